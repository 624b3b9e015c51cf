package main

import (
	"bytes"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// longestRing is the longest line that is looked at, in bytes. The host writes at most 512 (PIPE_BUF's least).
const longestRing = 4096

// answerDoorbell obeys the lines that the host writes to the doorbell, until its end of file, which means shutdown.
func (a *agent) answerDoorbell(bell *os.File) {
	fd := int(bell.Fd()) // blocking reads on purpose: an idle agent costs nothing, not even a poll
	line := make([]byte, 0, longestRing)
	chunk := make([]byte, 512)
	for {
		n, err := syscall.Read(fd, chunk)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN: // somebody made it non-blocking
			time.Sleep(20 * time.Millisecond)
			continue
		case err != nil || n == 0:
			if err == nil {
				err = io.EOF
			}
			log.Printf("the doorbell is closed (%v): shutting down", err)
			a.shutdown()
			return
		}
		line = append(line, chunk[:n]...)
		for {
			end := bytes.IndexByte(line, '\n')
			if end < 0 {
				break
			}
			a.ring(string(line[:end]))
			line = append(line[:0], line[end+1:]...)
		}
		if len(line) >= longestRing {
			log.Printf("doorbell: %d bytes without a line's end are ignored", len(line))
			line = line[:0]
		}
	}
}

// ring obeys one line.
func (a *agent) ring(line string) {
	verb, token, _ := strings.Cut(line, " ")
	switch {
	case verb == "dial" && token != "":
		if err := a.dial(token); err != nil {
			log.Printf("doorbell: dial: %v", err)
		}
	case line == "hangup":
		a.relays.closeAll() // first: the host saves our memory as soon as the connection ends
		a.hangup()
	case line == "":
	default:
		log.Printf("doorbell: a line is ignored: %.100q", line)
	}
}

// dial replaces the connection by a new one.
func (a *agent) dial(token string) error {
	a.hangup()
	socket, err := net.Dial("unix", filepath.Join(a.sockets, "agent.sock"))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(socket, token+"\n"); err != nil {
		_ = socket.Close()
		return err
	}
	c := newConn(a, socket.(*net.UnixConn), token)
	a.mu.Lock()
	a.conn = c
	a.mu.Unlock()
	go c.serve()
	return nil
}

// hangup closes the connection, if there is one. It returns when nothing is read or written any
// more.
func (a *agent) hangup() {
	a.mu.Lock()
	c := a.conn
	a.conn = nil
	a.mu.Unlock()
	if c != nil {
		c.finish()
	}
}
