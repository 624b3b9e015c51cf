package main

import (
	"io"
	"log"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	relayBuffer = 32 << 10 // bytes on their way, per direction
	// refusal is what a client is told, most being HTTP clients, when the host's proxy is not there.
	refusal = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
		"continue_exec: nothing on the host answers for the network; this sandbox may have none.\n"
	acceptPause = 50 * time.Millisecond // after an error of accept, such as too many open files
)

// relays are the connections to the host's proxy that live.
type relays struct {
	mu   sync.Mutex
	live map[net.Conn]bool
}

// serveEgress listens on 127.0.0.1 and joins each connection to the host's proxy, which decides.
func (a *agent) serveEgress(port int) error {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				log.Printf("egress: %v", err)
				time.Sleep(acceptPause)
				continue
			}
			go a.relay(client.(*net.TCPConn))
		}
	}()
	return nil
}

// relay joins one connection. Each direction ends by itself, so a request's end does not cut its answer.
func (a *agent) relay(client *net.TCPConn) {
	defer client.Close()
	host, err := net.Dial("unix", filepath.Join(a.sockets, "egress.sock"))
	if err != nil {
		_, _ = io.WriteString(client, refusal)
		return
	}
	defer host.Close()
	a.relays.add(host)
	defer a.relays.remove(host)
	proxy := host.(*net.UnixConn)
	up := make(chan struct{})
	go func() {
		defer close(up)
		if copyAll(proxy, client) != nil { // the client is gone: the proxy must not wait for it
			_ = proxy.Close()
			return
		}
		_ = proxy.CloseWrite()
	}()
	if copyAll(client, proxy) != nil {
		_ = client.Close()
	} else {
		_ = client.CloseWrite()
	}
	<-up
}

// copyAll copies until the end of file, which is no error. It hides the types from io.Copy, whose splice(2) between
// such sockets gVisor does not offer.
func copyAll(to io.Writer, from io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, relayBuffer))
	return err
}

func (r *relays) add(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live == nil {
		r.live = map[net.Conn]bool{}
	}
	r.live[c] = true
}

func (r *relays) remove(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, c)
}

// closeAll cuts every connection to the host: one that lives would fail a checkpoint.
func (r *relays) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.live {
		_ = c.Close()
	}
}
