package main

import (
	"log"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"continueexec/agent/wire"
)

const (
	// retained is how much output of a run is kept until the host has credited it, in bytes. It equals the initial
	// credit, so credit and room in the buffer are one and the same: what is kept may be sent.
	retained = wire.InitialCredit
	// firstRing is the size of a run's first buffer: most runs write little.
	firstRing = 16 << 10
	// maxSegments bounds the bookkeeping of a run that writes to both outputs in turns, byte by byte.
	maxSegments = 32 << 10
	// A command that has written floodBytes within floodTime floods. Its pipe is then made larger, and read again
	// only after floodPause unless a read took much: each read costs the same, whatever it takes, and in gVisor so
	// does each wake-up of the command.
	floodBytes = 256 << 10
	floodTime  = 50 * time.Millisecond
	floodPause = 200 * time.Microsecond
	floodRead  = 64 << 10
	pipeLarge  = 1 << 20
)

// output is what a run wrote and the host has not kept yet: a ring of bytes, addressed by their offset since the
// run's start, and the limits between standard output and error in it.
//
//	start <= sent <= end <= start+retained
type output struct {
	ring             []byte // its size is a power of two
	start, sent, end int64
	segments         []segment // of [start, end)
	cursor           int       // the segment that holds sent
}

// segment is bytes of one kind, from the end of the segment before it.
type segment struct {
	end  int64
	kind byte
}

// waiting reports whether bytes wait to be sent.
func (o *output) waiting() bool { return o.sent < o.end }

// full reports whether nothing more can be kept.
func (o *output) full() bool {
	return o.end-o.start >= retained || len(o.segments) >= maxSegments
}

// space is where the next bytes go: one piece, not empty unless full. The caller may fill it without a lock as long as it
// is the only one to do so, because what is kept only ever shrinks from the other side.
func (o *output) space() []byte {
	size := int64(len(o.ring))
	if o.end-o.start >= size {
		o.grow()
		size = int64(len(o.ring))
	}
	if size == 0 || o.full() {
		return nil
	}
	from := o.end & (size - 1)
	free := min(size-from, size-(o.end-o.start), chunkSize)
	return o.ring[from : from+free]
}

// grow makes the ring larger. The old one stays as it is for a write that is under way.
func (o *output) grow() {
	size := int64(len(o.ring)) * 8
	if size == 0 {
		size = firstRing
	}
	size = min(size, retained)
	if size <= int64(len(o.ring)) {
		return
	}
	ring := make([]byte, size)
	for at := o.start; at < o.end; {
		piece := o.piece(at, o.end)
		copy(ring[at&(size-1):], piece[:min(int64(len(piece)), size-at&(size-1))])
		at += min(int64(len(piece)), size-at&(size-1))
	}
	o.ring = ring
}

// piece is the bytes from `from` on, up to `to` or the ring's edge.
func (o *output) piece(from, to int64) []byte {
	size := int64(len(o.ring))
	at := from & (size - 1)
	return o.ring[at : at+min(to-from, size-at)]
}

// added takes n bytes that were put into space.
func (o *output) added(kind byte, n int) {
	full := n == len(o.space())
	o.end += int64(n)
	if last := len(o.segments) - 1; last >= 0 && o.segments[last].kind == kind {
		o.segments[last].end = o.end
	} else {
		o.segments = append(o.segments, segment{o.end, kind})
	}
	if full && n >= firstRing/2 { // it writes faster than small pieces: give it room
		o.grow()
	}
}

// next takes up to limit bytes of one kind for sending.
func (o *output) next(limit int) (kind byte, payload []byte) {
	if !o.waiting() {
		return 0, nil
	}
	for o.segments[o.cursor].end <= o.sent {
		o.cursor++
	}
	at := o.segments[o.cursor]
	payload = o.piece(o.sent, min(at.end, o.sent+int64(limit)))
	o.sent += int64(len(payload))
	return at.kind, payload
}

// forget drops n bytes that the host has kept. Bytes that were never sent cannot have been kept.
func (o *output) forget(n int64) {
	o.start = min(o.start+n, o.sent)
	drop := 0
	for drop < len(o.segments) && o.segments[drop].end <= o.start {
		drop++
	}
	o.segments = o.segments[drop:]
	o.cursor = max(o.cursor-drop, 0)
}

// rewind drops what precedes offset and sends the rest again.
func (o *output) rewind(offset int64) {
	o.sent = offset
	o.cursor = 0
	o.forget(offset - o.start)
}

// pump reads one of a command's outputs until its end. `tail` is held by whoever writes to the ring's free end.
func (r *run) pump(file *os.File, kind byte, tail *sync.Mutex) {
	defer func() {
		if defect := recover(); defect != nil {
			log.Printf("a defect in reading run %s: %v\n%s", r.id, defect, debug.Stack())
		}
		_ = file.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pumps--
		r.tail(kind).closed = true
		if r.pumps == 0 && r.ended {
			r.finish()
		}
	}()
	raw, err := file.SyscallConn()
	if err != nil {
		log.Printf("run %s: its output cannot be read: %v", r.id, err)
		return
	}
	flood := floodgate{raw: raw}
	for {
		var n int
		var stop error
		waited := raw.Read(func(fd uintptr) bool {
			n, stop = r.take(int(fd), kind, tail)
			return stop != syscall.EAGAIN
		})
		switch {
		case waited != nil:
			return
		case stop == errNoRoom:
			r.waitForRoom()
		case stop != nil || n == 0: // EIO: the last process has closed the terminal
			return
		default:
			flood.passed(n)
		}
	}
}

// floodgate slows the reading of a command that floods, so that more is read at once.
type floodgate struct {
	raw   syscall.RawConn
	since time.Time
	bytes int
	large bool
}

// passed counts n bytes that were read, and pauses if there is a flood.
func (f *floodgate) passed(n int) {
	f.bytes += n
	if f.bytes < floodBytes {
		return
	}
	now := time.Now()
	if now.Sub(f.since) > floodTime {
		f.since, f.bytes = now, 0
		return
	}
	if !f.large {
		f.large = true
		_ = f.raw.Control(func(fd uintptr) { // fails for a terminal: no matter
			_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETPIPE_SZ, pipeLarge)
		})
	}
	if f.bytes > 16*floodBytes {
		f.since, f.bytes = now, floodBytes
	}
	if n < floodRead {
		time.Sleep(floodPause)
	}
}

var errNoRoom = syscall.Errno(syscall.ENOBUFS)

// take reads once from fd into the ring, or into nowhere when nobody wants more.
func (r *run) take(fd int, kind byte, tail *sync.Mutex) (int, error) {
	tail.Lock()
	defer tail.Unlock()
	r.mu.Lock()
	var into []byte
	unwanted := r.finished || r.forgotten
	if unwanted {
		into = make([]byte, 4096)
	} else if into = r.out.space(); into == nil {
		r.mu.Unlock()
		return 0, errNoRoom
	}
	r.mu.Unlock()
	n, err := syscall.Read(fd, into)
	for err == syscall.EINTR {
		n, err = syscall.Read(fd, into)
	}
	if unwanted || n <= 0 && err != syscall.EAGAIN {
		return n, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tail(kind).read(max(n, 0), r.ended)
	if n <= 0 {
		return n, err
	}
	if r.finished || r.forgotten {
		return n, nil
	}
	r.lastRead = time.Now()
	r.out.added(kind, n)
	if r.attachment != nil {
		r.attachment.conn.out.wake(r.attachment)
	}
	return n, nil
}

// waitForRoom blocks until output can be kept again, or nobody wants more.
func (r *run) waitForRoom() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalled++
	for r.out.full() && !r.finished && !r.forgotten {
		r.room.Wait()
	}
	r.stalled--
	r.lastRead = time.Now()
}
