package main

import (
	"strings"
	"testing"

	"continueexec/agent/wire"
)

func TestTerminal(t *testing.T) {
	h := newHost(t)
	params := h.command("sh", "-c", `trap 'stty size' WINCH; stty size; tty >/dev/null && echo is a tty
		echo ready; while ! read line; do :; done; echo "<$line>"; cat; exit 6`)
	params.TTY = &wire.TerminalSize{Rows: 31, Cols: 97}
	stream := h.start(params)
	h.says(stream, "ready")
	h.says(stream, "31 97\r\nis a tty\r\n")
	h.call("resize", wire.Resize{Stream: stream, Size: wire.TerminalSize{Rows: 12, Cols: 34}}, nil)
	h.says(stream, "12 34")
	h.send(wire.KindStdin, stream, []byte("hello\n"))
	h.says(stream, "<hello>")
	h.send(wire.KindStdin, stream, nil) // ^D ends cat
	if exit, got := h.finish(stream); exit.ExitCode != 6 || len(got.err) != 0 {
		t.Errorf("%+v %q", exit, got.all)
	}
	h.call("resize", wire.Resize{Stream: stream, Size: wire.TerminalSize{Rows: 1, Cols: 1}}, nil) // too late: no matter
	plain := h.start(h.command("sleep", "1000"))
	h.refused(wire.CodeInvalidRequest, "resize", wire.Resize{Stream: plain, Size: wire.TerminalSize{Rows: 1, Cols: 1}})
}

func TestTerminalsControlCharacters(t *testing.T) {
	h := newHost(t)
	params := h.command("cat") // a shell between two commands may put the signal off
	params.TTY = &wire.TerminalSize{Rows: 24, Cols: 80}
	stream := h.start(params)
	h.send(wire.KindStdin, stream, []byte("x\n"))
	h.says(stream, "x\r\nx\r\n")
	h.send(wire.KindStdin, stream, []byte{3}) // ^C
	if exit, got := h.finish(stream); exit.Signal == nil || *exit.Signal != 2 {
		t.Errorf("%+v %q", exit, got.all)
	}
}

func TestTerminalKeepsItsLastWords(t *testing.T) {
	h := newHost(t)
	params := h.command("sh", "-c", "seq 1 2000")
	params.TTY = &wire.TerminalSize{Rows: 24, Cols: 80}
	if _, got := h.finish(h.start(params)); !strings.HasSuffix(string(got.out), "\r\n2000\r\n") {
		t.Errorf("the end is %q", got.out[max(0, len(got.out)-20):])
	}
}
