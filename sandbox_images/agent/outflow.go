package main

import (
	"errors"
	"sync"

	"continueexec/agent/wire"
)

// outflow sends bytes to the host on a stream that is not a run: a file being read, a port. One goroutine feeds it.
type outflow struct {
	conn   *conn
	stream uint32

	mu      sync.Mutex
	change  *sync.Cond
	credit  int64
	pending []byte // handed over, not yet taken by the writer
	writing bool   // taken, not yet written
	dead    bool
}

var errGone = errors.New("the host is gone")

func newOutflow(c *conn, stream uint32) *outflow {
	f := &outflow{conn: c, stream: stream, credit: wire.InitialCredit}
	f.change = sync.NewCond(&f.mu)
	return f
}

// send blocks until the bytes are with the kernel; the caller may then use them again, unless it fails.
func (f *outflow) send(bytes []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(bytes) > 0 {
		for f.credit <= 0 && !f.dead {
			f.change.Wait()
		}
		if f.dead {
			return errGone
		}
		n := min(int64(len(bytes)), f.credit, chunkSize)
		f.credit -= n
		f.pending, bytes = bytes[:n], bytes[n:]
		f.conn.out.wake(f)
		for (len(f.pending) > 0 || f.writing) && !f.dead {
			f.change.Wait()
		}
		if f.dead {
			return errGone
		}
	}
	return nil
}

func (f *outflow) fill(int) (uint32, byte, []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	payload := f.pending
	f.pending = nil
	f.writing = len(payload) > 0
	return f.stream, wire.KindStdout, payload
}

func (f *outflow) wrote() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writing = false
	f.change.Broadcast()
	return false
}

func (f *outflow) more(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.credit += n
	f.change.Broadcast()
}

func (f *outflow) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
	f.pending = nil
	f.change.Broadcast()
}
