package main

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"continueexec/agent/wire"
)

func TestGarbageClosesTheConnectionAndTheAgentLives(t *testing.T) {
	h := newHost(t)
	for name, bytes := range map[string]string{
		"unknown kind":     "\x00\x00\x00\x01\x77\x00\x00\x00\x00x",
		"oversized":        "\xff\xff\xff\xff\x01\x00\x00\x00\x00",
		"not JSON":         "\x00\x00\x00\x01\x01\x00\x00\x00\x00{",
		"JSON, no request": "\x00\x00\x00\x02\x01\x00\x00\x00\x00[]",
		"wrong way":        "\x00\x00\x00\x01\x10\x00\x00\x00\x00x",
		"short credit":     "\x00\x00\x00\x01\x20\x00\x00\x00\x00x",
		"HTTP":             "GET / HTTP/1.1\r\n\r\n",
	} {
		_, err := h.socket.Write([]byte(bytes))
		h.must(err)
		h.wait("the end", func() bool { return h.over != nil })
		if h.over != io.EOF && !strings.Contains(h.over.Error(), "reset") {
			t.Errorf("%s: %v", name, h.over)
		}
		h.connect()
	}
	h.shell("true")
}

func TestRequestsThatAreWrong(t *testing.T) {
	h := newHost(t)
	h.refused(wire.CodeNotSupported, "no_such_method", wire.Empty{})
	for method := range operations() {
		if method != "shutdown" && method != "ports" {
			h.refused(wire.CodeInvalidRequest, method, []int{1})
		}
	}
	h.send(wire.KindControl, 0, []byte(`{"event":"unknown","params":{}}`)) // ignored
	h.send(wire.KindStdin, 4711, []byte("to nobody"))
	h.send(wire.KindCredit, 4711, []byte{0, 0, 0, 1})
	h.refused(wire.CodeInvalidRequest, "exec", json.RawMessage(`{"stream":-1}`))
	h.shell("true")
}

func TestHelloComesFirst(t *testing.T) {
	h := newHost(t)
	h.dial()
	h.refused(wire.CodeProtocolError, "ports", wire.Empty{})
	h.refused(wire.CodeVersionMismatch, "hello", wire.Hello{Protocol: 99})
	h.refused(wire.CodeVersionMismatch, "hello", wire.Hello{Protocol: 0})
	h.refused(wire.CodeProtocolError, "hello", wire.Hello{Protocol: wire.Protocol, Token: "another"})
	var result wire.HelloResult
	h.call("hello", wire.Hello{Protocol: wire.Protocol}, &result)
	if result.PID != h.process.Process.Pid || len(result.BootID) != 32 || len(result.Capabilities) == 0 {
		t.Errorf("%+v", result)
	}
}

func TestTheDoorbellIgnoresNoise(t *testing.T) {
	h := newHost(t)
	h.bell.WriteString("\n\nno such verb\ndial\n" + strings.Repeat("x", 10000) + "\n\x00\xff\n")
	h.connect()
	h.bell.WriteString("hangup\n")
	h.wait("the end", func() bool { return h.over == io.EOF })
	h.connect()
	log, _ := os.ReadFile(h.log)
	if !strings.Contains(string(log), "no such verb") {
		t.Errorf("the log is silent: %s", log)
	}
}

func TestShutdownEndsEverything(t *testing.T) {
	h := newHost(t)
	stream := h.start(h.command("sh", "-c", "trap '' TERM; echo up; setsid sleep 1234567 & wait"))
	h.says(stream, "up")
	h.call("shutdown", wire.Empty{}, nil)
	h.wait("the end", func() bool { return h.over != nil })
	h.must(h.process.Wait())
	commands, _ := os.ReadDir("/proc")
	for _, each := range commands {
		line, _ := os.ReadFile("/proc/" + each.Name() + "/cmdline")
		if strings.Contains(string(line), "1234567") {
			t.Errorf("left: %s %q", each.Name(), line)
		}
	}
}

func TestClosedDoorbellIsShutdown(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	a := &agent{done: make(chan struct{})}
	go a.answerDoorbell(read)
	write.WriteString("hang") // half a line
	write.Close()
	select {
	case <-a.done:
	case <-time.After(deadline):
		t.Error("the end of the doorbell went unheard")
	}
}
