package main

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"continueexec/agent/wire"
)

var devNull = sync.OnceValues(func() (int, error) {
	return syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
})

// pipes are a command's three descriptors: its own ends, closed here after the fork, and ours, which become files
// only then: that costs system calls, and meanwhile the command is at work already.
type pipes struct {
	child  [3]int
	close  []int  // of the child's, those that are this run's own
	input  int    // ours; 0: none
	output [2]int // ours, of standard output and error; of a terminal only the first
}

// spawn starts the command of a run. On success r.pid and r.master are set, r.stdin is open, and the returned files
// are to be pumped.
func (r *run) spawn(params *wire.Exec) (outputs [2]*os.File, err error) {
	argv, cwd, env := texts(params.Argv), wire.Bytes(params.Cwd), environment(params)
	program, err := lookup(argv[0], cwd, params.Env)
	if err != nil {
		if at := syscall.Access(cwd, 1); at != nil {
			err = whyNot(at, argv[0], cwd)
		}
		return outputs, err
	}
	var ends pipes
	defer func() { ends.release(err != nil) }()
	attributes := &syscall.SysProcAttr{Setsid: true}
	if params.TTY != nil {
		err = ends.terminal(params.TTY)
		attributes.Setctty = true // fd 0 of the child
	} else {
		err = ends.plain(params.Stdin)
	}
	if err != nil {
		return outputs, asFailure(err, "The command's pipes cannot be made")
	}
	if r.group, err = r.agent.tracker.Group(r.id); err != nil {
		return outputs, asFailure(err, "The run cannot be tracked")
	}
	environ := append(env, r.group.Environ()...)
	attr := &syscall.ProcAttr{
		Dir: cwd, Env: environ, Sys: attributes,
		Files: []uintptr{uintptr(ends.child[0]), uintptr(ends.child[1]), uintptr(ends.child[2])},
	}
	pid, err := r.agent.reaper.spawn(r, func() (int, error) {
		runtime.LockOSThread() // it is the thread that is in the group
		defer runtime.UnlockOSThread()
		leave, err := r.group.Enter()
		if err != nil {
			return 0, err
		}
		defer leave()
		r.began = time.Now()
		pid, err := syscall.ForkExec(program, argv, attr)
		if err == syscall.ENOEXEC { // a script without #!: as execvp(3) and every shell do
			pid, err = syscall.ForkExec("/bin/sh", append([]string{"sh", program}, argv[1:]...), attr)
		}
		return pid, err
	})
	if err != nil {
		r.group.Close()
		return outputs, whyNot(err, program, cwd)
	}
	r.group.Started(pid)
	r.pid = pid
	switch {
	case params.TTY != nil:
		outputs[0] = os.NewFile(uintptr(ends.output[0]), "terminal")
		r.master = outputs[0]
		r.stdin.open(ttySink{r.master})
		return outputs, nil
	case params.Stdin:
		r.stdin.open(pipeSink{os.NewFile(uintptr(ends.input), "stdin")})
	}
	outputs[0] = os.NewFile(uintptr(ends.output[0]), "stdout")
	outputs[1] = os.NewFile(uintptr(ends.output[1]), "stderr")
	return outputs, nil
}

// plain makes pipes for output and error, and for input if it is wanted.
func (p *pipes) plain(stdin bool) error {
	null, err := devNull()
	if err != nil {
		return err
	}
	p.child[0] = null
	if stdin {
		if p.input, p.child[0], err = pipe(true); err != nil {
			return err
		}
		p.close = append(p.close, p.child[0])
	}
	for at := range p.output {
		if p.output[at], p.child[at+1], err = pipe(false); err != nil {
			return err
		}
		p.close = append(p.close, p.child[at+1])
	}
	return nil
}

// pipe makes one whose end on this side does not block.
func pipe(weWrite bool) (ours, theirs int, err error) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return 0, 0, err
	}
	ours, theirs = ends[0], ends[1]
	if weWrite {
		ours, theirs = theirs, ours
	}
	// One call where syscall.SetNonblock takes two: a new pipe has no other flags.
	_, _, failed := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(ours), syscall.F_SETFL, syscall.O_NONBLOCK)
	if failed != 0 {
		_ = syscall.Close(ours)
		_ = syscall.Close(theirs)
		return 0, 0, failed
	}
	return ours, theirs, nil
}

// release closes the child's ends, and after a failure ours.
func (p *pipes) release(failed bool) {
	for _, fd := range p.close {
		_ = syscall.Close(fd)
	}
	if !failed {
		return
	}
	for _, fd := range []int{p.input, p.output[0], p.output[1]} {
		if fd > 0 {
			_ = syscall.Close(fd)
		}
	}
}

// environment is the variables exactly as told, but for PWD, which is the folder.
func environment(params *wire.Exec) []string {
	all := make([]string, 0, len(params.Env)+2)
	for name, value := range params.Env {
		if name != "PWD" {
			all = append(all, wire.Bytes(name)+"="+wire.Bytes(value))
		}
	}
	return append(all, "PWD="+wire.Bytes(params.Cwd))
}

func texts(from []string) []string {
	all := make([]string, len(from))
	for at, text := range from {
		all[at] = wire.Bytes(text)
	}
	return all
}

// holdsNUL reports whether a text has what no argument, variable or path may hold.
func holdsNUL(text string) bool { return strings.IndexByte(wire.Bytes(text), 0) >= 0 }
