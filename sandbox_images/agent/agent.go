package main

import (
	"crypto/rand"
	"encoding/hex"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"continueexec/agent/tree"
)

// agent is what outlives a connection.
type agent struct {
	sockets string
	bootID  string
	tracker tree.Tracker
	reaper  *reaper
	relays  relays

	done     chan struct{} // closed by shutdown
	shutOnce sync.Once

	mu   sync.Mutex
	runs map[uint32]*run // by stream; a run stays until it is forgotten
	conn *conn           // the one connection, or nil
}

// current is the process's agent, for the signal handler.
var current atomic.Pointer[agent]

func newAgent(sockets, cgroups string) *agent {
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		log.Fatalf("no randomness: %v", err)
	}
	a := &agent{
		sockets: sockets,
		bootID:  hex.EncodeToString(random[:]),
		tracker: tree.New(cgroups),
		reaper:  newReaper(),
		done:    make(chan struct{}),
		runs:    map[uint32]*run{},
	}
	current.Store(a)
	return a
}

// run finds a run by its stream.
func (a *agent) run(stream uint32) (*run, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.runs[stream]; r != nil {
		return r, nil
	}
	return nil, notFound("There is no run on stream %d.", stream)
}

// allRuns is a snapshot of the runs.
func (a *agent) allRuns() []*run {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]*run, 0, len(a.runs))
	for _, r := range a.runs {
		all = append(all, r)
	}
	return all
}

// shutdown asks main to end everything and exit.
func (a *agent) shutdown() {
	a.shutOnce.Do(func() { close(a.done) })
}

// killPatience bounds the end of everything: as process 1 the kernel ends what is left when we exit.
const killPatience = 2 * time.Second

// endEverything kills what every run started, then closes the connection.
func (a *agent) endEverything() {
	if os.Getpid() == 1 {
		_ = syscall.Kill(-1, syscall.SIGKILL) // everybody else, in one go; what is left ends with us
	} else {
		tree.KillAll(killPatience)
	}
	a.hangup()
}
