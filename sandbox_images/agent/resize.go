package main

import (
	"syscall"
	"unsafe"

	"continueexec/agent/tree"
	"continueexec/agent/wire"
)

// resize sets the size of a run's terminal.
func resize(a *agent, r *request) func() {
	var params wire.Resize
	if !r.decode(&params) {
		return nil
	}
	command, err := a.run(params.Stream)
	if err == nil {
		err = checkSize(&params.Size)
	}
	if err != nil {
		r.fail(err)
		return nil
	}
	return func() {
		<-command.started
		if command.master == nil {
			r.fail(invalid("The run on stream %d has no terminal.", params.Stream))
			return
		}
		raw, err := command.master.SyscallConn()
		if err == nil {
			var failed error
			err = raw.Control(func(fd uintptr) { failed = resizeTerminal(int(fd), &params.Size, command.group) })
			if err == nil && failed != nil {
				r.fail(asFailure(failed, "The terminal"))
				return
			}
		}
		_ = err // the terminal is closed: the run has ended, its size matters to nobody
		r.ok(wire.Empty{})
	}
}

// resizeTerminal sets the size and tells the foreground processes, which gVisor's terminals do not do by themselves.
// Nor do those say to others which processes are in the foreground: all of the run are told then, as who does not
// ask for SIGWINCH ignores it.
func resizeTerminal(master int, size *wire.TerminalSize, all tree.Group) error {
	if err := setSize(master, size); err != nil {
		return err
	}
	var group int32
	if ioctl(master, syscall.TIOCGPGRP, unsafe.Pointer(&group)) == nil && group > 0 {
		_ = syscall.Kill(-int(group), syscall.SIGWINCH)
	} else {
		all.Signal(syscall.SIGWINCH)
	}
	return nil
}
