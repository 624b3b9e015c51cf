package main

import (
	"syscall"

	"continueexec/agent/wire"
)

// read sends a regular file's bytes on a stream, then answers.
func read(_ *agent, r *request) func() {
	var params wire.Read
	if !r.decode(&params) {
		return nil
	}
	path := wire.Bytes(params.Path)
	if err := checkPath(path); err != nil {
		r.fail(err)
		return nil
	}
	if params.Offset < 0 || params.Length < -1 {
		r.fail(invalid("Offset %d and length %d name no part of a file.", params.Offset, params.Length))
		return nil
	}
	reading := &reading{newOutflow(r.conn, params.Stream)}
	if err := r.conn.open(params.Stream, reading); err != nil {
		r.fail(err)
		return nil
	}
	return func() {
		defer r.conn.drop(params.Stream, reading)
		sent, err := reading.send(path, params.Offset, params.Length)
		if err != nil {
			r.fail(asFailure(err, path))
			return
		}
		r.ok(wire.ReadResult{Bytes: sent})
	}
}

// reading is the stream of one read.
type reading struct{ flow *outflow }

func (s *reading) data(byte, []byte) error { return wire.FrameError("a read takes no data") }
func (s *reading) credit(n int64)          { s.flow.more(n) }
func (s *reading) lost()                   { s.flow.kill() }
func (s *reading) end()                    { s.flow.kill() }

func (s *reading) send(path string, offset, length int64) (sent int64, err error) {
	// Without O_NONBLOCK opening a FIFO would wait for its writer.
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err == syscall.ELOOP {
		return 0, invalid("%s is a symbolic link.", path)
	}
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	var found syscall.Stat_t
	if err := syscall.Fstat(fd, &found); err != nil {
		return 0, err
	}
	if found.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return 0, invalid("%s is not a regular file.", path)
	}
	buffer := make([]byte, chunkSize)
	for length != 0 {
		piece := buffer
		if length > 0 {
			piece = buffer[:min(length, chunkSize)]
		}
		n, err := syscall.Pread(fd, piece, offset)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return sent, err
		}
		if n == 0 {
			break
		}
		if err := s.flow.send(piece[:n]); err != nil {
			return sent, err
		}
		sent += int64(n)
		offset += int64(n)
		if length > 0 {
			length -= int64(n)
		}
	}
	return sent, nil
}
