package main

import (
	"os"
	"sync"
	"syscall"
)

// reaper waits for every child: the commands' own processes and, as the agent is process 1 or a subreaper, orphans.
// Nobody else in the program may wait, so nobody can take another's child.
type reaper struct {
	mu    sync.Mutex
	more  *sync.Cond // a child was made
	made  int        // children so far
	owner map[int]*run
}

const prSetChildSubreaper = 36 // linux/prctl.h

func newReaper() *reaper {
	p := &reaper{owner: map[int]*run{}}
	p.more = sync.NewCond(&p.mu)
	if os.Getpid() != 1 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
	}
	go p.loop()
	return p
}

// spawn runs fork and remembers whose child it made, so that even one that ends at once finds its run.
func (p *reaper) spawn(r *run, fork func() (pid int, err error)) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err := fork()
	if err == nil {
		p.owner[pid] = r
	}
	p.made++ // also when it failed: the child that could not exec has been waited for by fork, or will be here
	p.more.Signal()
	return pid, err
}

func (p *reaper) loop() {
	for {
		p.mu.Lock()
		seen := p.made
		p.mu.Unlock()
		var status syscall.WaitStatus
		var usage syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &usage)
		if err == syscall.EINTR {
			continue
		}
		p.mu.Lock()
		if err != nil { // no child at all; without one there can be no orphan either
			for p.made == seen {
				p.more.Wait()
			}
			p.mu.Unlock()
			continue
		}
		r := p.owner[pid]
		delete(p.owner, pid)
		p.mu.Unlock()
		if r != nil {
			r.reaped(status, &usage)
		}
	}
}

// signal signals a child unless it has been waited for, so that its number cannot mean another process.
func (p *reaper) signal(pid int, r *run, number syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owner[pid] == r && syscall.Kill(pid, number) == nil
}
