package main

import (
	"path/filepath"
	"strings"
	"sync"

	"continueexec/agent/wire"
)

// exec starts a command. Its stream exists from the moment the request is read, so input that follows is not lost.
func exec(a *agent, r *request) func() {
	var params wire.Exec
	if !r.decode(&params) {
		return nil
	}
	if err := checkExec(&params); err != nil {
		r.fail(err)
		return nil
	}
	command := newRun(a, &params)
	if params.Stdin || params.TTY != nil {
		command.stdin = new(inflow)
	}
	at := newAttachment(command, r.conn)
	if err := r.conn.open(params.Stream, at); err != nil {
		r.fail(err)
		return nil
	}
	a.mu.Lock()
	a.runs[params.Stream] = command
	a.mu.Unlock()
	return func() { command.start(r, &params, at) }
}

func checkExec(params *wire.Exec) error {
	if len(params.Argv) == 0 || params.Argv[0] == "" {
		return invalid("argv names no program.")
	}
	if !filepath.IsAbs(params.Cwd) {
		return invalid("cwd is not absolute: %q.", params.Cwd)
	}
	if size := params.TTY; size != nil {
		if err := checkSize(size); err != nil {
			return err
		}
	}
	texts := append([]string{params.Cwd, params.RunID}, params.Argv...)
	for name, value := range params.Env {
		if name == "" || strings.Contains(name, "=") {
			return invalid("%q is no name of a variable.", name)
		}
		texts = append(texts, name, value)
	}
	for _, text := range texts {
		if holdsNUL(text) {
			return invalid("An argument, a variable or the folder holds a NUL byte.")
		}
	}
	return nil
}

func checkSize(size *wire.TerminalSize) error {
	const most = 1<<16 - 1
	if size.Rows < 1 || size.Rows > most || size.Cols < 1 || size.Cols > most {
		return invalid("A terminal of %d rows and %d columns is impossible.", size.Rows, size.Cols)
	}
	return nil
}

// start is the part of exec that takes time.
func (r *run) start(from *request, params *wire.Exec, at *attachment) {
	r.mu.Lock()
	r.pumps = 2
	if params.TTY != nil {
		r.pumps = 1
		r.tail(wire.KindStderr).closed = true
	}
	r.mu.Unlock()
	outputs, err := r.spawn(params)
	if err != nil {
		r.agent.mu.Lock()
		delete(r.agent.runs, params.Stream)
		r.agent.mu.Unlock()
		from.conn.drop(params.Stream, at)
		close(r.started)
		from.fail(err)
		return
	}
	from.ok(wire.ExecResult{PID: r.pid}) // before any output can overtake it
	r.mu.Lock()
	r.attach(at, 0)
	r.mu.Unlock()
	close(r.started)
	tail := new(sync.Mutex)
	go r.pump(outputs[0], wire.KindStdout, tail)
	if outputs[1] != nil {
		go r.pump(outputs[1], wire.KindStderr, tail)
	}
}
