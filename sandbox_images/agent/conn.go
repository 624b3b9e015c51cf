package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"continueexec/agent/wire"
)

// endpoint is what a stream's number leads to on one connection.
type endpoint interface {
	// data takes a payload (valid during the call only). It never blocks; an error closes the connection.
	data(kind byte, payload []byte) error
	// credit allows n payload bytes more to the host.
	credit(n int64)
	// lost says that the connection is gone.
	lost()
}

// conn is one connection with a host. Its reader is one goroutine (serve), its writer another (out).
type conn struct {
	agent  *agent
	socket *net.UnixConn
	token  string
	out    *writer
	served chan struct{} // closed when neither reader nor writer uses anything any more

	greeted bool // by hello; the reader's own

	mu      sync.Mutex
	closed  bool
	streams map[uint32]endpoint
}

func newConn(a *agent, socket *net.UnixConn, token string) *conn {
	c := &conn{agent: a, socket: socket, token: token, served: make(chan struct{}), streams: map[uint32]endpoint{}}
	c.out = newWriter(socket)
	return c
}

// serve reads frames until the connection ends.
func (c *conn) serve() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := c.out.loop(); err != nil {
			c.close(err)
		}
	}()
	c.close(c.read())
	<-written
	close(c.served)
}

func (c *conn) read() error {
	frames := wire.NewReader(arrived{c.socket})
	for {
		frame, err := frames.Next()
		if err != nil {
			return err
		}
		if err := c.receive(frame); err != nil {
			return err
		}
	}
}

// arrived reads a socket until its end or, once its read deadline has passed, until nothing more is there: what the
// host had sent before it hung up or rang anew still counts.
type arrived struct{ *net.UnixConn }

func (a arrived) Read(into []byte) (int, error) {
	n, err := a.UnixConn.Read(into)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, err := a.SyscallConn()
	if err != nil {
		return 0, err
	}
	if wrong := raw.Control(func(fd uintptr) { n, err = syscall.Read(int(fd), into) }); wrong != nil {
		return 0, wrong
	}
	if n <= 0 { // the end, or nothing there
		return 0, io.EOF
	}
	return n, err
}

// finishTime bounds finish, should the host go on sending; what has arrived is read in far less.
const finishTime = 2 * time.Second

// finish takes what has arrived, then closes. It returns when nothing is read or written any more.
func (c *conn) finish() {
	_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	timer := time.AfterFunc(finishTime, func() { c.close(nil) })
	defer timer.Stop()
	<-c.served
}

func (c *conn) receive(frame wire.Frame) error {
	switch frame.Kind {
	case wire.KindControl:
		return c.control(frame.Payload)
	case wire.KindStdin, wire.KindPush:
		// No such stream is no mistake: it may have ended while this was on its way.
		if to := c.endpoint(frame.Stream); to != nil {
			return to.data(frame.Kind, frame.Payload)
		}
	case wire.KindCredit:
		if len(frame.Payload) != 4 {
			return wire.FrameError(fmt.Sprintf("a CREDIT frame has %d bytes of payload, not 4", len(frame.Payload)))
		}
		if to := c.endpoint(frame.Stream); to != nil {
			to.credit(int64(binary.BigEndian.Uint32(frame.Payload)))
		}
	default:
		return wire.FrameError(fmt.Sprintf("a frame of kind %#04x goes the other way", frame.Kind))
	}
	return nil
}

// close ends the connection; it may be called by anyone, several times. Runs are not touched by it.
func (c *conn) close(why error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	if why != nil && !errors.Is(why, io.EOF) && !errors.Is(why, net.ErrClosed) {
		log.Printf("connection closed: %v", why)
	}
	c.out.close()
	_ = c.socket.Close()
	for _, each := range streams {
		each.lost()
	}
}

func (c *conn) endpoint(stream uint32) endpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[stream]
}

// open gives a new stream's number to an endpoint.
func (c *conn) open(stream uint32, to endpoint) error {
	if stream == 0 {
		return invalid("A stream's number is greater than 0.")
	}
	if _, err := c.agent.run(stream); err == nil {
		return fail(wire.CodeConflict, "", "The stream %d is a run's.", stream)
	}
	return c.adopt(stream, to)
}

// adopt is open for the stream of a run that there is already.
func (c *conn) adopt(stream uint32, to endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fail(wire.CodeConflict, "", "The connection is closed.")
	}
	if _, here := c.streams[stream]; here {
		return fail(wire.CodeConflict, "", "The stream %d is in use.", stream)
	}
	c.streams[stream] = to
	return nil
}

// drop forgets a stream's number, if it still leads to `to`.
func (c *conn) drop(stream uint32, to endpoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[stream] == to {
		delete(c.streams, stream)
	}
}
