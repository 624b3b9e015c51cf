package main

import (
	"os"
	"sync"
	"syscall"
	"time"

	"continueexec/agent/tree"
	"continueexec/agent/wire"
)

// quietTime is how long an ended command's output is still waited for when something in the background holds it open.
const quietTime = 50 * time.Millisecond

// longestTail bounds that wait where something in the background never falls silent. Everything that stood in the
// pipes when the command ended is read in any case.
const longestTail = time.Second

// run is one command, from exec to forget. It belongs to the agent and outlives connections.
type run struct {
	agent   *agent
	stream  uint32
	id      string
	group   tree.Group
	began   time.Time
	started chan struct{} // closed when exec has succeeded or failed
	stdin   *inflow       // nil: /dev/null

	// Set before started is closed, never changed after.
	pid    int
	master *os.File // of its terminal, or nil

	mu         sync.Mutex
	out        output
	room       *sync.Cond // output has room again, or nobody wants more
	pumps      int        // readers that have not seen the end of file
	stalled    int        // of those, how many wait for room
	quiet      *time.Timer
	lastRead   time.Time
	tails      [2]tail   // of output and error
	tailEnd    time.Time // when what the background writes counts no more
	ended      bool      // the command's own process is gone
	finished   bool      // and so is its output: exit is final
	forgotten  bool
	exit       wire.Exited
	attachment *attachment
}

func newRun(a *agent, params *wire.Exec) *run {
	r := &run{agent: a, stream: params.Stream, id: params.RunID, started: make(chan struct{})}
	r.room = sync.NewCond(&r.mu)
	return r
}

// reaped is called once, by the reaper, when the command's own process has ended.
func (r *run) reaped(status syscall.WaitStatus, usage *syscall.Rusage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.exit = wire.Exited{
		Stream:     r.stream,
		RunID:      r.id,
		ExitCode:   status.ExitStatus(),
		DurationMS: time.Since(r.began).Milliseconds(),
		Usage: wire.Usage{
			UserMS:      usage.Utime.Nano() / 1e6,
			SystemMS:    usage.Stime.Nano() / 1e6,
			MaxRSSBytes: usage.Maxrss << 10, // getrusage(2): kilobytes
		},
	}
	if status.Signaled() {
		number := int(status.Signal())
		r.exit.Signal = &number
		r.exit.ExitCode = 128 + number
	}
	if r.pumps == 0 {
		r.finish()
		return
	}
	r.lastRead = time.Now()
	r.tailEnd = r.lastRead.Add(longestTail)
	r.quiet = time.AfterFunc(quietTime, r.checkQuiet)
}

// checkQuiet ends the wait for output when none has come for quietTime. Time in which nobody could read because the
// host had given no credit does not count.
func (r *run) checkQuiet() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return
	}
	if r.stalled > 0 {
		r.lastRead = time.Now()
	}
	left := quietTime - time.Since(r.lastRead)
	if left > 0 && !(time.Now().After(r.tailEnd) && r.tails[0].caughtUp() && r.tails[1].caughtUp()) {
		r.quiet.Reset(left)
		return
	}
	r.finish()
}

// tail tells of one output whether all that the command itself wrote to it has been read.
type tail struct {
	closed bool  // no reader
	dry    bool  // the last read found nothing
	was    bool  // a read found nothing after the command ended
	since  int64 // bytes read after the command ended
}

// caughtUp: it was empty since the end, or more came since than a pipe can hold.
func (t *tail) caughtUp() bool { return t.closed || t.dry || t.was || t.since >= pipeLarge }

// read counts a read of n bytes; 0: there was nothing. run.mu is held.
func (t *tail) read(n int, ended bool) {
	t.dry = n == 0
	if ended {
		t.was = t.was || t.dry
		t.since += int64(n)
	}
}

// tail is that of STDOUT or STDERR; r.mu is held.
func (r *run) tail(kind byte) *tail { return &r.tails[kind&1] }

// finish makes the exit final. What is written from now on is thrown away. r.mu is held.
func (r *run) finish() {
	if r.finished {
		return
	}
	r.finished = true
	r.exit.End = r.out.end
	r.room.Broadcast()
	if r.stdin != nil {
		r.stdin.stop()
	}
	if r.attachment != nil {
		r.attachment.tell()
	}
}

// status is the run as hello tells of it.
func (r *run) status() wire.StreamStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return wire.StreamStatus{
		Stream: r.stream, RunID: r.id, PID: r.pid, Running: !r.finished, Offset: r.out.start, End: r.out.end,
	}
}

// mayAttach checks the offset that a host wants output from; r.mu is held.
func (r *run) mayAttach(offset int64) error {
	if offset < r.out.start || offset > r.out.end {
		return invalid("Output of stream %d can be sent from %d to %d, not from %d.", r.stream, r.out.start, r.out.end, offset)
	}
	return nil
}

// attach joins the run to a connection; r.mu is held. Bytes before offset are forgotten, the others sent again.
func (r *run) attach(to *attachment, offset int64) {
	r.out.rewind(offset)
	r.room.Broadcast()
	r.attachment = to
	to.tell()
	if r.out.waiting() {
		to.conn.out.wake(to)
	}
}

// attachment is a run on one connection: it sends the run's output and takes its input.
type attachment struct {
	run    *run
	conn   *conn
	window int64 // bytes of input that the host may still send; the connection's reader's and the run's stdin's, by mu
	mu     sync.Mutex
	told   bool // exited has been sent; under run.mu
}

func newAttachment(r *run, c *conn) *attachment {
	return &attachment{run: r, conn: c, window: wire.InitialCredit}
}

// tell sends exited once everything else has been sent; run.mu is held.
func (at *attachment) tell() {
	r := at.run
	if r.finished && !r.out.waiting() && !at.told && r.attachment == at {
		at.told = true
		at.conn.notify(wire.EventExited, r.stream, r.exit, false)
	}
}

// fill implements source.
func (at *attachment) fill(limit int) (stream uint32, kind byte, payload []byte) {
	r := at.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attachment != at {
		return 0, 0, nil
	}
	kind, payload = r.out.next(limit)
	return r.stream, kind, payload
}

// wrote implements source.
func (at *attachment) wrote() (more bool) {
	r := at.run
	r.mu.Lock()
	defer r.mu.Unlock()
	at.tell()
	return r.attachment == at && r.out.waiting()
}

// data implements endpoint: standard input.
func (at *attachment) data(kind byte, payload []byte) error {
	if kind != wire.KindStdin {
		return wire.FrameError("a run takes STDIN frames only")
	}
	at.mu.Lock()
	at.window -= int64(len(payload))
	over := at.window < 0
	at.mu.Unlock()
	if over {
		return wire.FrameError("more STDIN than was granted")
	}
	if at.run.stdin != nil {
		at.run.stdin.put(payload, at)
	}
	return nil
}

// grant gives the host back what the command has taken.
func (at *attachment) grant(n int) {
	at.mu.Lock()
	at.window += int64(n)
	at.mu.Unlock()
	at.conn.out.send(wire.Credit(at.run.stream, n))
}

// credit implements endpoint: the host has kept n bytes more.
func (at *attachment) credit(n int64) {
	r := at.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.attachment == at {
		r.out.forget(n)
		r.room.Broadcast()
	}
}

// lost implements endpoint.
func (at *attachment) lost() {
	at.run.mu.Lock()
	defer at.run.mu.Unlock()
	if at.run.attachment == at {
		at.run.attachment = nil
	}
}
