package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"continueexec/agent/wire"
)

// daemon forks twice, in sessions of their own, with an empty environment, and writes its number.
const daemon = `env -i setsid sh -c 'setsid sh -c "echo \$\$ > %s; exec sleep 1000" </dev/null >/dev/null 2>&1 &'`

func TestTheTreeIncludesDaemons(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(h.folder, "pid")
	exit, _ := h.shell(fmt.Sprintf(daemon, file) + "; while [ ! -s " + file + " ]; do sleep 0.01; done")
	text, err := os.ReadFile(file)
	h.must(err)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	other := h.start(h.command("sleep", "1000"))
	var got wire.SignalResult
	h.call("signal", wire.Signal{Stream: exit.Stream, Signal: 0, Tree: true}, &got)
	if got.Reached != 1 {
		t.Fatalf("the tree has %d processes", got.Reached)
	}
	h.call("signal", wire.Signal{Stream: exit.Stream, Signal: 9, Tree: true}, &got)
	if got.Reached != 1 {
		t.Errorf("reached %d", got.Reached)
	}
	for got.Reached > 0 {
		h.call("signal", wire.Signal{Stream: exit.Stream, Signal: 9, Tree: true}, &got)
	}
	if state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); len(state) > 0 && !strings.Contains(string(state), ") Z ") {
		t.Errorf("the daemon is alive: %s", state)
	}
	h.call("signal", wire.Signal{Stream: other, Signal: 15, Tree: false}, &got)
	if got.Reached != 1 {
		t.Errorf("another run was not there to be signalled")
	}
	if exit, _ := h.finish(other); exit.ExitCode != 143 {
		t.Errorf("%+v", exit)
	}
}

func TestAForkBombIsKilled(t *testing.T) {
	h := newHost(t)
	// Each makes two and ends: never many at a time, always other ones.
	script := filepath.Join(h.folder, "bomb")
	h.must(os.WriteFile(script, []byte("#!/bin/sh\n[ $1 -gt 0 ] || exit 0\nsetsid $0 $(($1-1)) &\nsleep 0.005\nsetsid $0 $(($1-1)) &\n"), 0o755))
	stream := h.start(h.command("sh", "-c", "setsid "+script+" 9 & echo go; sleep 1000"))
	h.says(stream, "go")
	end := time.Now().Add(deadline)
	var got wire.SignalResult
	for got.Reached = 1; got.Reached > 0 && time.Now().Before(end); {
		h.call("signal", wire.Signal{Stream: stream, Signal: 9, Tree: true}, &got)
	}
	if got.Reached > 0 {
		t.Errorf("%d are left", got.Reached)
	}
	h.finish(stream)
}

func TestSignalOnlyTheProcess(t *testing.T) {
	h := newHost(t)
	stream := h.start(h.command("sh", "-c", "trap 'echo got; exit 7' TERM; sleep 1000 & echo up; wait"))
	h.says(stream, "up")
	var got wire.SignalResult
	h.call("signal", wire.Signal{Stream: stream, Signal: 15, Tree: false}, &got)
	if exit, out := h.finish(stream); exit.ExitCode != 7 || !strings.Contains(string(out.out), "got") || got.Reached != 1 {
		t.Errorf("%+v %q", exit, out.out)
	}
	h.call("signal", wire.Signal{Stream: stream, Signal: 15, Tree: false}, &got)
	if got.Reached != 0 {
		t.Errorf("a process that has ended was reached")
	}
	h.refused(wire.CodeInvalidRequest, "signal", wire.Signal{Stream: stream, Signal: 65})
	h.refused(wire.CodeNotFound, "signal", wire.Signal{Stream: 4711, Signal: 9})
}

func TestOrphansAreReaped(t *testing.T) {
	h := newHost(t)
	h.shell("for i in 1 2 3 4 5; do (sleep 0.05 &) ; done")
	h.shell("sleep 0.3")
	agent := h.process.Process.Pid
	_, got := h.shell(fmt.Sprintf("ps -o stat= --ppid %d | grep -c Z", agent))
	if strings.TrimSpace(string(got.out)) != "0" {
		t.Errorf("zombies: %s", got.out)
	}
}

func TestUsage(t *testing.T) {
	h := newHost(t)
	exit, _ := h.shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
	if exit.Usage.UserMS == 0 || exit.Usage.MaxRSSBytes < 1<<19 || exit.DurationMS == 0 {
		t.Errorf("%+v", exit)
	}
}
