package main

import (
	"net"
	"sync"

	"continueexec/agent/wire"
)

const (
	// chunkSize is the largest payload that data is cut into: large enough to cost little per byte, small enough
	// that nobody waits long for their turn.
	chunkSize = 256 << 10
	// batchSize bounds what one writev carries of data, in bytes: a control frame waits for at most this much.
	batchSize = 512 << 10
	// controlRoom is how many bytes of control frames may wait before notifications do.
	controlRoom = 256 << 10
)

// source is a stream with bytes for the host.
type source interface {
	// fill returns the next payload, of at most limit bytes, and its kind; an empty one when nothing can be sent
	// now. The payload stays as it is until wrote is called.
	fill(limit int) (stream uint32, kind byte, payload []byte)
	// wrote says that the payload is with the kernel, and asks whether there is more.
	wrote() (more bool)
}

// writer sends frames of many streams in turns: control frames first, then one chunk of each stream that has some.
type writer struct {
	socket net.Conn

	mu      sync.Mutex
	work    *sync.Cond // there is something to write, or the writer is closed
	room    *sync.Cond // control frames have been written, or the writer is closed
	control [][]byte
	bytes   int // of control
	ready   []source
	queued  map[source]bool // in ready
	closed  bool
}

func newWriter(socket net.Conn) *writer {
	w := &writer{socket: socket, queued: map[source]bool{}}
	w.work, w.room = sync.NewCond(&w.mu), sync.NewCond(&w.mu)
	return w
}

// send queues a control or credit frame. It never blocks; after close it does nothing.
func (w *writer) send(frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.control = append(w.control, frame)
	w.bytes += len(frame)
	w.work.Signal()
}

// wake says that a source has something to send.
func (w *writer) wake(from source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(from)
}

func (w *writer) enqueue(from source) {
	if w.closed || w.queued[from] {
		return
	}
	w.queued[from] = true
	w.ready = append(w.ready, from)
	w.work.Signal()
}

// waitForRoom blocks until few control frames wait.
func (w *writer) waitForRoom() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.bytes > controlRoom && !w.closed {
		w.room.Wait()
	}
}

// drain blocks until no control frame waits or is being written, or the writer is closed.
func (w *writer) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.bytes > 0 && !w.closed {
		w.room.Wait()
	}
}

// close makes loop return. Frames that wait are dropped.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.control, w.ready = nil, nil
	w.work.Broadcast()
	w.room.Broadcast()
}

// loop writes until close or an error.
func (w *writer) loop() error {
	var headers [batchSize / chunkSize * 16][wire.HeaderSize]byte
	var filled, retry []source
	buffers := make(net.Buffers, 0, 2*len(headers))
	for {
		control, turns, ok := w.next(len(headers))
		if !ok {
			return nil
		}
		buffers = append(buffers[:0], control...)
		total := 0
		filled, retry = filled[:0], retry[:0]
		for at, from := range turns {
			if total >= batchSize {
				retry = append(retry, turns[at:]...)
				break
			}
			stream, kind, payload := from.fill(chunkSize)
			if len(payload) == 0 {
				continue
			}
			header := headers[len(filled)][:]
			wire.PutHeader(header, kind, stream, len(payload))
			buffers = append(buffers, header, payload)
			total += len(payload)
			filled = append(filled, from)
		}
		if len(buffers) > 0 {
			pending := buffers // WriteTo consumes its own slice
			if _, err := pending.WriteTo(w.socket); err != nil {
				return err
			}
		}
		more := filled[:0]
		for _, from := range filled {
			if from.wrote() {
				more = append(more, from)
			}
		}
		w.done(control, retry, more)
	}
}

// next waits for work and takes it: all control frames, and up to limit sources.
func (w *writer) next(limit int) (control [][]byte, turns []source, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.control) == 0 && len(w.ready) == 0 && !w.closed {
		w.work.Wait()
	}
	if w.closed {
		return nil, nil, false
	}
	control, w.control = w.control, nil
	limit = min(limit, len(w.ready))
	turns = append(turns, w.ready[:limit]...)
	w.ready = append(w.ready[:0], w.ready[limit:]...)
	for _, from := range turns {
		delete(w.queued, from)
	}
	return control, turns, true
}

// done puts back what did not fit (first in line: its turn was now) and what has more (last).
func (w *writer) done(control [][]byte, retry, more []source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, frame := range control {
		w.bytes -= len(frame)
	}
	w.room.Broadcast()
	first := make([]source, 0, len(retry)+len(w.ready))
	for _, from := range retry {
		if !w.closed && !w.queued[from] {
			w.queued[from] = true
			first = append(first, from)
		}
	}
	if len(first) > 0 {
		w.ready = append(first, w.ready...)
	}
	for _, from := range more {
		w.enqueue(from)
	}
}
