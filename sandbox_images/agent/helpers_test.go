package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"continueexec/agent/wire"
)

// The test binary is also the agent: tests start it as a process of its own, because it waits for every child.
func TestMain(m *testing.M) {
	if os.Getenv("AGENT_UNDER_TEST") != "" {
		_ = os.Unsetenv("AGENT_UNDER_TEST")
		os.Exit(start(os.Args[1:]))
	}
	os.Exit(m.Run())
}

const deadline = 60 * time.Second // no test waits so long unless it fails

// host is the other side: a folder with a doorbell and a socket, an agent, and a connection.
type host struct {
	*testing.T
	folder   string
	bell     *os.File
	listener net.Listener
	process  *osexec.Cmd
	log      string

	socket  net.Conn
	mu      sync.Mutex
	change  *sync.Cond
	answers map[int64]answer
	output  map[uint32]*captured
	exited  map[uint32]wire.Exited
	closed  map[uint32]bool
	changed []wire.Changed
	over    error // why reading ended
	nextID  atomic.Int64
	streams atomic.Uint32
	grants  bool // credit is given for output at once
	granted map[uint32]int
}

type answer struct {
	Result json.RawMessage
	Error  *failure
}

type captured struct {
	out, err, all []byte
	cut           bool // by the test
}

// newHost starts an agent and connects to it.
func newHost(t *testing.T, args ...string) *host {
	t.Helper()
	h := &host{T: t, folder: t.TempDir(), grants: true}
	h.change = sync.NewCond(&h.mu)
	bell := filepath.Join(h.folder, "in")
	h.must(syscall.Mkfifo(bell, 0o600))
	var err error
	h.bell, err = os.OpenFile(bell, os.O_RDWR, 0)
	h.must(err)
	h.listener, err = net.Listen("unix", filepath.Join(h.folder, "agent.sock"))
	h.must(err)
	h.log = filepath.Join(h.folder, "log")
	log, err := os.Create(h.log)
	h.must(err)
	args = append([]string{"--sockets", h.folder, "--egress-port", "0"}, args...)
	h.process = osexec.Command(os.Args[0], args...)
	h.process.Env = append(os.Environ(), "AGENT_UNDER_TEST=1")
	stdin, err := os.OpenFile(bell, os.O_RDWR|syscall.O_NONBLOCK, 0)
	h.must(err)
	syscall.SetNonblock(int(stdin.Fd()), false)
	h.process.Stdin, h.process.Stderr = stdin, log
	h.must(h.process.Start())
	stdin.Close()
	log.Close()
	t.Cleanup(h.stop)
	h.connect()
	return h
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// stop ends the agent and fails the test if it did not end well: a crash, or a data race.
func (h *host) stop() {
	if h.process.ProcessState != nil {
		return // the test has seen its end
	}
	h.process.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(deadline, func() { h.process.Process.Kill() })
	err := h.process.Wait()
	timer.Stop()
	h.listener.Close()
	h.bell.Close()
	log, _ := os.ReadFile(h.log)
	if err != nil || strings.Contains(string(log), "DATA RACE") || strings.Contains(string(log), "a defect in") {
		h.Errorf("the agent ended with %v; its log:\n%s", err, log)
	} else if h.Failed() {
		h.Logf("the agent's log:\n%s", log)
	}
}

// connect rings the doorbell and shakes hands; an earlier connection is replaced.
func (h *host) connect() wire.HelloResult {
	h.Helper()
	h.dial()
	var result wire.HelloResult
	h.call("hello", wire.Hello{Protocol: wire.Protocol, Version: "test"}, &result)
	return result
}

func (h *host) dial() {
	h.Helper()
	token := fmt.Sprintf("%032x", time.Now().UnixNano())
	_, err := h.bell.WriteString("dial " + token + "\n")
	h.must(err)
	socket, err := h.listener.Accept()
	h.must(err)
	line := make([]byte, len(token)+1)
	_, err = io.ReadFull(socket, line)
	h.must(err)
	if string(line) != token+"\n" {
		h.Fatalf("the first line is %q, not the token", line)
	}
	h.mu.Lock()
	h.socket = socket
	h.over = nil
	h.answers, h.exited, h.closed = map[int64]answer{}, map[uint32]wire.Exited{}, map[uint32]bool{}
	h.granted = map[uint32]int{}
	if h.output == nil {
		h.output = map[uint32]*captured{}
	}
	h.mu.Unlock()
	go h.receive(socket)
}

func (h *host) receive(socket net.Conn) {
	frames := wire.NewReader(socket)
	for {
		frame, err := frames.Next()
		h.mu.Lock()
		if h.socket != socket {
			h.mu.Unlock()
			return
		}
		if err != nil {
			h.over = err
			h.change.Broadcast()
			h.mu.Unlock()
			return
		}
		h.take(frame)
		h.change.Broadcast()
		grant := h.grants && (frame.Kind == wire.KindStdout || frame.Kind == wire.KindStderr)
		h.mu.Unlock()
		if grant {
			socket.Write(wire.Credit(frame.Stream, len(frame.Payload)))
		}
	}
}

func (h *host) take(frame wire.Frame) {
	if frame.Kind == wire.KindCredit {
		h.granted[frame.Stream] += int(binary.BigEndian.Uint32(frame.Payload))
		return
	}
	if frame.Kind != wire.KindControl {
		to := h.captured(frame.Stream)
		to.all = append(to.all, frame.Payload...)
		if frame.Kind == wire.KindStdout {
			to.out = append(to.out, frame.Payload...)
		} else if frame.Kind == wire.KindStderr {
			to.err = append(to.err, frame.Payload...)
		}
		return
	}
	var message struct {
		ID     *int64
		Result json.RawMessage
		Error  *failure
		Event  string
		Params json.RawMessage
	}
	if err := json.Unmarshal(frame.Payload, &message); err != nil {
		h.Errorf("not JSON: %s", frame.Payload)
		return
	}
	switch {
	case message.ID != nil:
		h.answers[*message.ID] = answer{message.Result, message.Error}
	case message.Event == wire.EventExited:
		var note wire.Exited
		json.Unmarshal(message.Params, &note)
		if have := len(h.captured(note.Stream).all); int64(have) != note.End && h.grants && !h.captured(note.Stream).cut {
			h.Errorf("exited overtook output: %d of %d bytes", have, note.End)
		}
		h.exited[note.Stream] = note
	case message.Event == wire.EventClosed:
		var note wire.Closed
		json.Unmarshal(message.Params, &note)
		h.closed[note.Stream] = true
	case message.Event == wire.EventChanged:
		var note wire.Changed
		json.Unmarshal(message.Params, &note)
		h.changed = append(h.changed, note)
	}
}

func (h *host) captured(stream uint32) *captured {
	if h.output[stream] == nil {
		h.output[stream] = &captured{}
	}
	return h.output[stream]
}

// wait blocks until condition holds; it is called with h.mu.
func (h *host) wait(what string, condition func() bool) {
	h.Helper()
	timer := time.AfterFunc(deadline, h.change.Broadcast)
	defer timer.Stop()
	end := time.Now().Add(deadline)
	h.mu.Lock()
	defer h.mu.Unlock()
	for !condition() {
		if time.Now().After(end) {
			h.Fatalf("waited in vain for %s; so far %v", what, h.summary())
		}
		if h.over != nil && what != "the end" {
			h.Fatalf("the connection ended (%v) while waiting for %s", h.over, what)
		}
		h.change.Wait()
	}
}

// ask sends a request and returns its number.
func (h *host) ask(method string, params any) int64 {
	h.Helper()
	id := h.nextID.Add(1)
	payload, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	h.must(err)
	h.send(wire.KindControl, 0, payload)
	return id
}

func (h *host) send(kind byte, stream uint32, payload []byte) {
	h.Helper()
	_, err := h.socket.Write(wire.Encode(kind, stream, payload))
	h.must(err)
}

func (h *host) answer(id int64) answer {
	h.Helper()
	h.wait(fmt.Sprintf("answer %d", id), func() bool { _, there := h.answers[id]; return there })
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answers[id]
}

func (h *host) call(method string, params, result any) {
	h.Helper()
	got := h.answer(h.ask(method, params))
	if got.Error != nil {
		h.Fatalf("%s: %v", method, got.Error)
	}
	if result != nil {
		h.must(json.Unmarshal(got.Result, result))
	}
}

// refused expects an error of the given code.
func (h *host) refused(code, method string, params any) *failure {
	h.Helper()
	got := h.answer(h.ask(method, params))
	if got.Error == nil {
		h.Fatalf("%s succeeded: %s", method, got.Result)
	}
	if got.Error.Code != code {
		h.Fatalf("%s failed with %v, not %s", method, got.Error, code)
	}
	return got.Error
}

func (h *host) stream() uint32 { return h.streams.Add(1) }

var plainEnv = map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"}

// command is an Exec with the usual parameters.
func (h *host) command(argv ...string) wire.Exec {
	stream := h.stream()
	return wire.Exec{Stream: stream, RunID: fmt.Sprintf("run_%d", stream), Argv: argv, Cwd: h.folder, Env: plainEnv}
}

// start starts a command and returns its stream.
func (h *host) start(params wire.Exec) uint32 {
	h.Helper()
	h.call("exec", params, nil)
	return params.Stream
}

// finish waits for a run's end.
func (h *host) finish(stream uint32) (wire.Exited, captured) {
	h.Helper()
	h.wait(fmt.Sprintf("the end of run %d", stream), func() bool { _, there := h.exited[stream]; return there })
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.exited[stream], *h.captured(stream)
}

// shell runs a script to its end.
func (h *host) shell(script string) (wire.Exited, captured) {
	h.Helper()
	return h.finish(h.start(h.command("sh", "-c", script)))
}

// says waits until a run's output contains text.
func (h *host) says(stream uint32, text string) {
	h.Helper()
	h.wait(fmt.Sprintf("%q from run %d", text, stream), func() bool {
		return strings.Contains(string(h.captured(stream).all), text)
	})
}

// summary says what has come, with h.mu.
func (h *host) summary() string {
	var text strings.Builder
	for stream, got := range h.output {
		fmt.Fprintf(&text, "stream %d: %d bytes ending in %q; ", stream, len(got.all), got.all[max(0, len(got.all)-60):])
	}
	return text.String()
}
