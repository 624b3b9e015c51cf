package main

import (
	"io"
	"sync"

	"continueexec/agent/wire"
)

// push writes files below a root: records arrive on a stream (push_records.go), folders are walked without following
// links (push_folders.go), files are written by a few goroutines (push_files.go).
func push(_ *agent, r *request) func() {
	var params wire.Push
	if !r.decode(&params) {
		return nil
	}
	root := wire.Bytes(params.Root)
	if err := checkPath(root); err != nil {
		r.fail(err)
		return nil
	}
	incoming := newIncoming(r.conn, params.Stream)
	if err := r.conn.open(params.Stream, incoming); err != nil {
		r.fail(err)
		return nil
	}
	return func() {
		defer r.conn.drop(params.Stream, incoming)
		defer incoming.lost()
		job, err := newPusher(root, incoming)
		if err != nil {
			r.fail(asFailure(err, root))
			return
		}
		defer job.close()
		if err := job.all(); err != nil {
			r.fail(err)
			return
		}
		r.ok(job.result())
	}
}

// incoming is the stream of one push: bounded by the credit that it gives, read like a file.
type incoming struct {
	conn   *conn
	stream uint32

	mu     sync.Mutex
	news   *sync.Cond
	queue  [][]byte
	window int64 // bytes that the host may still send
	owed   int64 // bytes taken that it has not been told of
	ended  bool
	gone   bool

	current, spent []byte // the reader's own: what is left of a payload, and the payload
}

func newIncoming(c *conn, stream uint32) *incoming {
	in := &incoming{conn: c, stream: stream, window: wire.InitialCredit}
	in.news = sync.NewCond(&in.mu)
	return in
}

var payloads = sync.Pool{New: func() any { return new([]byte) }}

// data implements endpoint.
func (in *incoming) data(kind byte, payload []byte) error {
	if kind != wire.KindPush {
		return wire.FrameError("a push takes PUSH frames only")
	}
	copied := append((*payloads.Get().(*[]byte))[:0], payload...)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.window -= int64(len(payload)); in.window < 0 {
		return wire.FrameError("more PUSH than was granted")
	}
	if len(payload) == 0 {
		in.ended = true
	} else if !in.ended && !in.gone {
		in.queue = append(in.queue, copied)
	}
	in.news.Signal()
	return nil
}

// credit implements endpoint; nothing is sent on a push.
func (in *incoming) credit(int64) {}

// lost implements endpoint.
func (in *incoming) lost() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.gone = true
	in.queue = nil
	in.news.Signal()
}

// next returns at least one byte and at most `most`, valid until the next call. io.EOF: the host ended the push.
func (in *incoming) next(most int) ([]byte, error) {
	if len(in.current) == 0 {
		if in.spent != nil {
			spent := in.spent
			payloads.Put(&spent)
			in.spent = nil
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		for len(in.queue) == 0 && !in.ended && !in.gone {
			in.news.Wait()
		}
		switch {
		case in.gone:
			return nil, errGone
		case len(in.queue) == 0:
			return nil, io.EOF
		}
		in.current, in.queue = in.queue[0], in.queue[1:]
		in.spent = in.current
	}
	n := min(most, len(in.current))
	piece := in.current[:n]
	in.current = in.current[n:]
	return piece, nil
}

// Read implements io.Reader.
func (in *incoming) Read(into []byte) (int, error) {
	piece, err := in.next(len(into))
	return copy(into, piece), err
}

// taken says that n bytes are where they belong; the host may send as many more.
func (in *incoming) taken(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.owed += int64(n); in.owed >= grantSize {
		in.window += in.owed
		in.conn.out.send(wire.Credit(in.stream, int(in.owed)))
		in.owed = 0
	}
}
