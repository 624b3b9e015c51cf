package main

import (
	"net"
	"strconv"
	"sync"
	"time"

	"continueexec/agent/wire"
)

// connectTime bounds the wait for a port on the loopback interface; something that accepts at all does so at once.
const connectTime = 5 * time.Second

// connect opens a TCP connection to 127.0.0.1 inside and joins it to a stream.
func connect(_ *agent, r *request) func() {
	var params wire.Connect
	if !r.decode(&params) {
		return nil
	}
	if params.Port < 1 || params.Port > 65535 {
		r.fail(invalid("There is no port %d.", params.Port))
		return nil
	}
	j := &junction{conn: r.conn, stream: params.Stream, flow: newOutflow(r.conn, params.Stream), window: wire.InitialCredit}
	if err := r.conn.open(params.Stream, j); err != nil {
		r.fail(err)
		return nil
	}
	return func() {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(params.Port))
		socket, err := net.DialTimeout("tcp4", address, connectTime)
		if err == nil && !j.join(socket.(*net.TCPConn)) {
			err = errGone
		}
		if err != nil {
			r.conn.drop(params.Stream, j)
			r.fail(asFailure(err, "Nothing accepts connections on "+address))
			return
		}
		r.ok(wire.Empty{})
		j.carry()
	}
}

// junction joins a stream and a TCP connection.
type junction struct {
	conn   *conn
	stream uint32
	flow   *outflow
	input  inflow

	mu     sync.Mutex
	socket *net.TCPConn
	window int64 // bytes that the host may still send
	ended  bool
}

// join says what the stream is joined to; false: it has been closed meanwhile.
func (j *junction) join(socket *net.TCPConn) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended {
		_ = socket.Close()
		return false
	}
	j.socket = socket
	j.input.open(portSink{socket})
	return true
}

// carry sends what the port says until it ends, then tells.
func (j *junction) carry() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := j.socket.Read(buffer)
		if n > 0 && j.flow.send(buffer[:n]) != nil {
			break
		}
		if err != nil {
			break
		}
	}
	j.conn.drop(j.stream, j)
	j.end()
	j.conn.notify(wire.EventClosed, j.stream, wire.Closed{Stream: j.stream}, false)
}

// data implements endpoint.
func (j *junction) data(kind byte, payload []byte) error {
	if kind != wire.KindStdin {
		return wire.FrameError("a port takes STDIN frames only")
	}
	j.mu.Lock()
	j.window -= int64(len(payload))
	over := j.window < 0
	j.mu.Unlock()
	if over {
		return wire.FrameError("more STDIN than was granted")
	}
	j.input.put(payload, j)
	return nil
}

// grant implements granter.
func (j *junction) grant(n int) {
	j.mu.Lock()
	j.window += int64(n)
	j.mu.Unlock()
	j.conn.out.send(wire.Credit(j.stream, n))
}

func (j *junction) credit(n int64) { j.flow.more(n) }
func (j *junction) lost()          { j.end() }

// end implements closer. carry then ends too.
func (j *junction) end() {
	j.mu.Lock()
	j.ended = true
	socket := j.socket
	j.mu.Unlock()
	j.flow.kill()
	j.input.stop()
	if socket != nil {
		_ = socket.Close()
	}
}

// portSink is the way to a port.
type portSink struct{ *net.TCPConn }

func (p portSink) finish()  { _ = p.CloseWrite() }
func (p portSink) abandon() { _ = p.Close() }
