package main

import (
	"bytes"
	"testing"

	"continueexec/agent/wire"
)

func TestARunOutlivesItsConnectionAndIsAdopted(t *testing.T) {
	h := newHost(t)
	h.grants = false
	params := h.command("sh", "-c", "echo one; read go; echo two; read go; echo three; exit 5")
	params.Stdin = true
	stream := h.start(params)
	h.says(stream, "one")
	h.socket.Close()
	hello := h.connect()
	if len(hello.Streams) != 1 || hello.Streams[0].RunID != params.RunID || !hello.Streams[0].Running || hello.Streams[0].End != 4 {
		t.Fatalf("hello tells %+v", hello.Streams)
	}
	h.output[stream].all = h.output[stream].all[:2] // as if only two bytes had been kept
	h.call("attach", wire.Attach{Stream: stream, Offset: 2}, nil)
	h.send(wire.KindStdin, stream, []byte("go\n"))
	h.says(stream, "two")
	h.connect() // replaces the connection; nobody is attached when it ends
	h.call("attach", wire.Attach{Stream: stream, Offset: 8}, nil)
	h.send(wire.KindStdin, stream, []byte("go\n"))
	exit, got := h.finish(stream)
	if string(got.all) != "one\ntwo\nthree\n" || exit.ExitCode != 5 {
		t.Errorf("%q, %+v", got.all, exit)
	}
	hello = h.connect()
	if len(hello.Streams) != 1 || hello.Streams[0].Running {
		t.Fatalf("hello tells %+v", hello.Streams)
	}
	h.call("attach", wire.Attach{Stream: stream, Offset: 14}, nil)
	h.finish(stream) // exited is said again until forget
	h.call("forget", wire.StreamRef{Stream: stream}, nil)
	h.refused(wire.CodeNotFound, "attach", wire.Attach{Stream: stream})
	if hello = h.connect(); len(hello.Streams) != 0 {
		t.Errorf("forgotten, yet there: %+v", hello.Streams)
	}
}

func TestUncreditedOutputIsKeptAndSentAgain(t *testing.T) {
	h := newHost(t)
	h.grants = false
	stream := h.start(h.command("sh", "-c", "yes 0123456789abcde | head -c 3000000; echo end >&2"))
	h.wait("a full window", func() bool { return len(h.captured(stream).all) == wire.InitialCredit })
	h.shell("true") // the window is full, and another run is not disturbed
	if n := len(h.captured(stream).all); n != wire.InitialCredit {
		t.Fatalf("%d bytes came without credit", n)
	}
	h.mu.Lock()
	h.output[stream] = &captured{all: h.output[stream].all[:1000], out: h.output[stream].out[:1000]}
	h.mu.Unlock()
	h.connect()
	h.call("attach", wire.Attach{Stream: stream, Offset: 1000}, nil)
	h.wait("a full window", func() bool { return len(h.captured(stream).all) == 1000+wire.InitialCredit })
	h.refused(wire.CodeInvalidRequest, "attach", wire.Attach{Stream: stream, Offset: 10})
	h.refused(wire.CodeInvalidRequest, "attach", wire.Attach{Stream: stream, Offset: 1 << 40})
	h.mu.Lock()
	h.grants = true
	kept := len(h.output[stream].all)
	h.mu.Unlock()
	h.send(wire.KindCredit, stream, wire.Credit(stream, kept-1000)[wire.HeaderSize:])
	exit, got := h.finish(stream)
	if want := bytes.Repeat([]byte("0123456789abcde\n"), 187500); !bytes.Equal(got.out, want) || exit.End != 3000004 {
		t.Errorf("%d bytes, exit %+v", len(got.out), exit)
	}
}

func TestAFloodDelaysNobody(t *testing.T) {
	h := newHost(t)
	flood := h.start(h.command("cat", "/dev/zero"))
	h.says(flood, "\x00")
	for range 20 {
		if _, got := h.shell("echo quick"); string(got.out) != "quick\n" {
			t.Fatalf("%q", got.out)
		}
		h.mu.Lock()
		*h.captured(flood) = captured{cut: true}
		h.mu.Unlock()
	}
	var reached wire.SignalResult
	h.call("signal", wire.Signal{Stream: flood, Signal: 9, Tree: true}, &reached)
	if reached.Reached != 1 {
		t.Errorf("reached %d", reached.Reached)
	}
}

func TestForgettingARunThatGoesOn(t *testing.T) {
	h := newHost(t)
	stream := h.start(h.command("sh", "-c", "yes > /dev/stdout"))
	h.says(stream, "y")
	h.call("forget", wire.StreamRef{Stream: stream}, nil)
	h.refused(wire.CodeNotFound, "signal", wire.Signal{Stream: stream, Signal: 9})
	h.shell("kill -9 $(grep -lz CONTINUE_EXEC_RUN=TestForgettingARunThatGoesOn_1 /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3) 2>/dev/null; true")
}
