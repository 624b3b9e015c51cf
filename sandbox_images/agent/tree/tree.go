// Package tree knows which processes a run started, also those that left its process group or were orphaned.
//
//	tree.go    what a tracker offers, and the choice of one
//	marks.go   anywhere: marks that processes inherit, read from /proc
//	cgroup.go  where a cgroup file system may be used: membership that nobody can lose
//	proc.go    reading /proc
package tree

import (
	"os"
	"syscall"
)

// Tracker makes groups.
type Tracker interface {
	// Name is for the log.
	Name() string
	// Group prepares to track one run.
	Group(runID string) (Group, error)
}

// Group is the processes of one run.
type Group interface {
	// Environ is what the first process needs in its environment.
	Environ() []string
	// Enter makes what this thread forks a member. The goroutine must call leave, on the same thread, after the fork.
	// Calls are serialised by the caller.
	Enter() (leave func(), err error)
	// Started tells the first process.
	Started(pid int)
	// Signal reaches every member there is and returns how many there were. With SIGKILL also those that
	// appear meanwhile.
	Signal(number syscall.Signal) int
	// Close ends the tracking. Members that are left go on.
	Close()
}

// New chooses the best tracker that works here. folder, if not empty, is where a cgroup file system may be used.
func New(folder string) Tracker {
	m := newMarks()
	folders := []string{folder}
	if folder == "" {
		folders = nil
		if os.Getpid() == 1 {
			folders = candidates
		}
	}
	for _, each := range folders {
		if c := newCgroups(each, m); c != nil {
			return c
		}
	}
	return m
}
