package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"

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
	frames := wire.NewReader(c.socket)
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
