package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"continueexec/agent/wire"
)

func TestExecRunsACommandAsTold(t *testing.T) {
	h := newHost(t)
	params := h.command("sh", "-c", `echo out; echo err >&2; pwd; echo "$PWD $A"; exit 3`)
	params.Env = map[string]string{"PATH": "/usr/bin:/bin", "A": "b c", "PWD": "/elsewhere"}
	exit, got := h.finish(h.start(params))
	if exit.ExitCode != 3 || exit.Signal != nil || string(got.err) != "err\n" {
		t.Errorf("exit %+v, stderr %q", exit, got.err)
	}
	if want := "out\n" + h.folder + "\n" + h.folder + " b c\n"; string(got.out) != want {
		t.Errorf("stdout %q, not %q", got.out, want)
	}
}

func TestExecGivesCleanProcess(t *testing.T) {
	h := newHost(t)
	var limit syscall.Rlimit
	h.must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	_, got := h.shell(`ls /proc/self/fd | tr '\n' ' '; echo; grep -E 'Sig(Blk|Ign)' /proc/self/status; umask`)
	lines := strings.Split(string(got.out), "\n")
	if lines[0] != "0 1 2 3 " { // 3 is ls's own
		t.Errorf("descriptors %q", lines[0])
	}
	for _, line := range lines[1:3] {
		if !strings.HasSuffix(line, "0000000000000000") {
			t.Errorf("signals are blocked or ignored: %s", line)
		}
	}
	if want := fmt.Sprintf("%04o", umask()); lines[3] != want {
		t.Errorf("umask %s, not %s", lines[3], want)
	}
}

func TestExecRestoresTheLimitOfOpenFiles(t *testing.T) {
	h := newHost(t)
	// An agent within the agent, started with a low soft limit, which Go's runtime raises for itself.
	script := fmt.Sprintf(`ulimit -Sn 500; mkdir inner; mkfifo inner/in; exec 9<>inner/in
		AGENT_UNDER_TEST=1 %s --sockets inner --egress-port 0 <&9 2>inner/log & echo $!; wait`, os.Args[0])
	stream := h.start(h.command("sh", "-c", script))
	h.says(stream, "\n")
	inner := &host{T: t, folder: filepath.Join(h.folder, "inner"), log: filepath.Join(h.folder, "inner", "log"), grants: true}
	inner.change = h2cond(inner)
	inner.bell = openBell(h, filepath.Join(inner.folder, "in"))
	inner.listener = listen(h, filepath.Join(inner.folder, "agent.sock"))
	inner.connect() // its runs have the outer ones' names: it must not end its own parent's child, itself
	_, got := inner.shell("ulimit -Sn")
	if string(got.out) != "500\n" {
		t.Errorf("the soft limit is %q", got.out)
	}
	inner.call("shutdown", wire.Empty{}, nil)
	h.finish(stream)
}

func TestExecFailures(t *testing.T) {
	h := newHost(t)
	script := filepath.Join(h.folder, "script")
	h.must(os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755))
	plain := filepath.Join(h.folder, "plain")
	h.must(os.WriteFile(plain, []byte("echo plain $1\n"), 0o755))
	data := filepath.Join(h.folder, "data")
	h.must(os.WriteFile(data, []byte("no program"), 0o644))
	for name, each := range map[string]struct {
		code   string
		change func(*wire.Exec)
	}{
		"unknown program":     {wire.CodeCommandNotFound, func(p *wire.Exec) { p.Argv = []string{"no-such-program"} }},
		"unknown path":        {wire.CodeCommandNotFound, func(p *wire.Exec) { p.Argv = []string{"./no-such-program"} }},
		"missing interpreter": {wire.CodeCommandNotFound, func(p *wire.Exec) { p.Argv = []string{script} }},
		"not executable":      {wire.CodeCommandNotFound, func(p *wire.Exec) { p.Argv = []string{data} }},
		"a folder":            {wire.CodeCommandNotFound, func(p *wire.Exec) { p.Argv = []string{"/"} }},
		"empty PATH":          {wire.CodeCommandNotFound, func(p *wire.Exec) { p.Env = map[string]string{"PATH": "/no"} }},
		"missing cwd":         {wire.CodeNotFound, func(p *wire.Exec) { p.Cwd = "/no/such/folder" }},
		"missing cwd, no program": {wire.CodeNotFound, func(p *wire.Exec) {
			p.Cwd, p.Argv = "/no/such/folder", []string{"no-such-program"}
		}},
		"cwd is a file": {wire.CodeNotFound, func(p *wire.Exec) { p.Cwd = data }},
		"relative cwd":  {wire.CodeInvalidRequest, func(p *wire.Exec) { p.Cwd = "." }},
		"no argv":       {wire.CodeInvalidRequest, func(p *wire.Exec) { p.Argv = nil }},
		"NUL":           {wire.CodeInvalidRequest, func(p *wire.Exec) { p.Argv = []string{"echo", "a\x00b"} }},
		"bad variable":  {wire.CodeInvalidRequest, func(p *wire.Exec) { p.Env = map[string]string{"A=B": "c"} }},
		"bad terminal":  {wire.CodeInvalidRequest, func(p *wire.Exec) { p.TTY = &wire.TerminalSize{} }},
		"too large":     {wire.CodeTooLarge, func(p *wire.Exec) { p.Argv = []string{"true", strings.Repeat("x", 200<<10)} }},
		"stream zero":   {wire.CodeInvalidRequest, func(p *wire.Exec) { p.Stream = 0 }},
	} {
		params := h.command("true")
		each.change(&params)
		failed := h.refused(each.code, "exec", params)
		if failed.Message == "" {
			t.Errorf("%s: no message", name)
		}
	}
	_, got := h.finish(h.start(h.command(plain, "script")))
	if string(got.out) != "plain script\n" {
		t.Errorf("a script without an interpreter's line said %q", got.out)
	}
	taken := h.start(h.command("true"))
	params := h.command("true")
	params.Stream = taken
	h.refused(wire.CodeConflict, "exec", params)
}

func TestExecPassesBytesThatAreNoText(t *testing.T) {
	h := newHost(t)
	raw := `{"id":900,"method":"exec","params":{"stream":900,"run_id":"r","argv":["printf","%s","caf\udce9 \ud83d\udca9 \\udce9"],` +
		`"cwd":"/","env":{"PATH":"/usr/bin:/bin"}}}`
	h.send(wire.KindControl, 0, []byte(raw))
	h.answer(900)
	if _, got := h.finish(900); string(got.out) != "caf\xe9 💩 \\udce9" {
		t.Errorf("printf said %q", got.out)
	}
}

func TestStdinIsWrittenAndClosed(t *testing.T) {
	h := newHost(t)
	params := h.command("cat")
	params.Stdin = true
	h.ask("exec", params)
	h.send(wire.KindStdin, params.Stream, []byte("before the answer ")) // the stream exists from the request on
	h.send(wire.KindStdin, params.Stream, []byte("and after"))
	h.says(params.Stream, "and after")
	h.send(wire.KindStdin, params.Stream, nil)
	exit, got := h.finish(params.Stream)
	if exit.ExitCode != 0 || string(got.out) != "before the answer and after" {
		t.Errorf("%+v %q", exit, got.out)
	}
	h.send(wire.KindStdin, params.Stream, []byte("to nobody"))
	h.shell("true") // the connection lives
}

func TestStdinIsDevNullUnlessWanted(t *testing.T) {
	h := newHost(t)
	if _, got := h.shell("readlink /proc/self/fd/0; cat"); string(got.out) != "/dev/null\n" {
		t.Errorf("stdin is %q", got.out)
	}
}

func TestStdinCredit(t *testing.T) {
	h := newHost(t)
	params := h.command("sh", "-c", "read go; wc -c")
	params.Stdin = true
	stream := h.start(params)
	chunk := make([]byte, 128<<10)
	h.send(wire.KindStdin, stream, []byte("\n"))
	sent := 1
	for range 32 {
		h.wait("credit", func() bool { return wire.InitialCredit+h.granted[stream]-sent >= len(chunk) })
		h.send(wire.KindStdin, stream, chunk)
		sent += len(chunk)
	}
	h.send(wire.KindStdin, stream, nil)
	if _, got := h.finish(stream); strings.TrimSpace(string(got.out)) != fmt.Sprint(sent-1) {
		t.Errorf("wc counted %q of %d", got.out, sent-1)
	}
}

func TestMoreStdinThanGrantedClosesTheConnection(t *testing.T) {
	h := newHost(t)
	params := h.command("sleep", "1000")
	params.Stdin = true
	stream := h.start(params)
	for range 20 {
		if _, err := h.socket.Write(wire.Encode(wire.KindStdin, stream, make([]byte, 128<<10))); err != nil {
			break
		}
	}
	h.wait("the end", func() bool { return h.over != nil })
}

func TestExitBySignal(t *testing.T) {
	h := newHost(t)
	exit, _ := h.shell("kill -9 $$")
	if exit.ExitCode != 137 || exit.Signal == nil || *exit.Signal != 9 {
		t.Errorf("%+v", exit)
	}
}

func TestBackgroundProcessesDoNotHoldTheExit(t *testing.T) {
	h := newHost(t)
	for _, background := range []string{"sleep 1000", "while echo more; do sleep 0.01; done"} {
		exit, got := h.shell("echo first; (" + background + ") & exit 4")
		if exit.ExitCode != 4 || !strings.HasPrefix(string(got.out), "first\n") {
			t.Errorf("%+v %q", exit, got.out)
		}
		var reached wire.SignalResult
		h.call("signal", wire.Signal{Stream: exit.Stream, Signal: 9, Tree: true}, &reached)
		if reached.Reached == 0 {
			t.Errorf("%s did not go on", background)
		}
	}
}

func TestOutputIsNotMixedUp(t *testing.T) {
	h := newHost(t)
	streams := map[int]uint32{}
	for n := range 60 {
		streams[n] = h.start(h.command("sh", "-c", fmt.Sprintf("for i in 1 2 3 4 5; do echo %d; echo e%d >&2; done", n, n)))
	}
	for n, stream := range streams {
		_, got := h.finish(stream)
		want := strings.Repeat(fmt.Sprintf("%d\n", n), 5)
		if string(got.out) != want || string(got.err) != strings.Repeat(fmt.Sprintf("e%d\n", n), 5) {
			t.Errorf("run %d said %q and %q", n, got.out, got.err)
		}
	}
}

func TestAThousandChildren(t *testing.T) {
	h := newHost(t)
	stream := h.start(h.command("sh", "-c", "i=0; while [ $i -lt 1000 ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait"))
	h.says(stream, "ready")
	var got wire.SignalResult
	h.call("signal", wire.Signal{Stream: stream, Signal: 9, Tree: true}, &got)
	if got.Reached < 1001 {
		t.Errorf("reached %d", got.Reached)
	}
	for got.Reached > 0 {
		h.call("signal", wire.Signal{Stream: stream, Signal: 9, Tree: true}, &got)
	}
	if exit, _ := h.finish(stream); exit.ExitCode != 137 {
		t.Errorf("%+v", exit)
	}
}
