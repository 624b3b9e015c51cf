package main

import (
	"os"
	"sync"
)

// grantSize is how many bytes are taken before the host is told: a quarter of the window, so that it never waits for
// a grant that is held back.
const grantSize = 256 << 10

// inflow carries bytes from the host to something that may be slow: a command's standard input, a port. It is bounded
// by the credit that its connection gave.
type inflow struct {
	mu      sync.Mutex
	target  sink // nil until open
	queue   []parcel
	running bool // a goroutine is writing
	stopped bool

	owner granter // of owed; the writing goroutine's own, as is owed
	owed  int     // bytes taken that the host has not been told of
}

// sink is where an inflow's bytes go.
type sink interface {
	Write([]byte) (int, error)
	// finish passes the end of file on.
	finish()
	// abandon makes a Write that is under way return.
	abandon()
}

// granter tells a host that n bytes have been taken.
type granter interface{ grant(n int) }

// parcel is one payload, or with eof the end.
type parcel struct {
	bytes []byte
	eof   bool
	owner granter
}

// open says where the bytes go. What has come before waits for this.
func (f *inflow) open(target sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.target = target
	f.begin()
}

// begin sees to it that somebody writes what waits. f.mu is held.
func (f *inflow) begin() {
	if !f.running && f.target != nil && len(f.queue) > 0 {
		f.running = true
		go f.carry()
	}
}

// put queues one payload; an empty one is the end of file. It never blocks.
func (f *inflow) put(payload []byte, owner granter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	f.queue = append(f.queue, parcel{append([]byte(nil), payload...), len(payload) == 0, owner})
	f.begin()
}

// stop drops what waits, and what comes.
func (f *inflow) stop() {
	f.mu.Lock()
	f.stopped = true
	f.queue = nil
	target := f.target
	f.mu.Unlock()
	if target != nil {
		target.abandon()
	}
}

// carry writes until nothing waits. When the target takes nothing any more, bytes are dropped but still granted, so
// that the host does not wait for ever.
func (f *inflow) carry() {
	broken := false
	for {
		f.mu.Lock()
		if len(f.queue) == 0 {
			f.running = false
			f.mu.Unlock()
			return
		}
		next := f.queue[0]
		f.queue = f.queue[1:]
		f.mu.Unlock()
		if next.eof {
			f.target.finish()
			continue
		}
		if !broken {
			_, err := f.target.Write(next.bytes)
			broken = err != nil
		}
		if f.owner != next.owner { // of an earlier connection: that host no longer waits
			f.owner, f.owed = next.owner, 0
		}
		if f.owed += len(next.bytes); f.owed >= grantSize {
			next.owner.grant(f.owed)
			f.owed = 0
		}
	}
}

// pipeSink is the writing end of a command's standard input.
type pipeSink struct{ *os.File }

func (p pipeSink) finish()  { _ = p.Close() }
func (p pipeSink) abandon() { _ = p.Close() }

// ttySink is a terminal's master: its end of file is the character ^D. The pump closes the file.
type ttySink struct{ *os.File }

const endOfTransmission = 0x04 // VEOF, termios(3)

func (t ttySink) finish() { _, _ = t.Write([]byte{endOfTransmission}) }
func (ttySink) abandon()  {}
