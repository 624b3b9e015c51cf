package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"continueexec/agent/wire"
)

func local(t *testing.T) (*net.TCPListener, int) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.(*net.TCPListener), listener.Addr().(*net.TCPAddr).Port
}

func TestPortsAndConnect(t *testing.T) {
	h := newHost(t)
	listener, port := local(t)
	var found wire.PortList
	h.call("ports", wire.Empty{}, &found)
	seen := false
	for _, each := range found.Ports {
		if each.Port == port {
			seen = each.Address == "127.0.0.1" && each.PID != nil && *each.PID == os.Getpid() && each.Command != ""
		}
	}
	if !seen {
		t.Errorf("%+v", found)
	}
	stream := h.stream()
	id := h.ask("connect", wire.Connect{Stream: stream, Port: port})
	h.send(wire.KindStdin, stream, []byte("early ")) // before the answer
	server, err := listener.Accept()
	h.must(err)
	if got := h.answer(id); got.Error != nil {
		t.Fatal(got.Error)
	}
	h.send(wire.KindStdin, stream, []byte("request"))
	h.send(wire.KindStdin, stream, nil) // half-closed
	request, err := io.ReadAll(server)
	h.must(err)
	if string(request) != "early request" {
		t.Errorf("%q", request)
	}
	answer := strings.Repeat("answer", 500_000)
	go func() {
		io.WriteString(server, answer)
		server.Close()
	}()
	h.wait("closed", func() bool { return h.closed[stream] })
	if got := string(h.captured(stream).out); got != answer {
		t.Errorf("%d bytes of %d", len(got), len(answer))
	}
	listener.Close()
	h.refused(wire.CodeNotFound, "connect", wire.Connect{Stream: h.stream(), Port: port})
	h.refused(wire.CodeInvalidRequest, "connect", wire.Connect{Stream: h.stream(), Port: 0})
}

func TestAConnectionThatIsClosedByTheHost(t *testing.T) {
	h := newHost(t)
	listener, port := local(t)
	for _, end := range []func(stream uint32){
		func(stream uint32) { h.call("close", wire.StreamRef{Stream: stream}, nil) },
		func(uint32) { h.connect() },
	} {
		stream := h.stream()
		h.call("connect", wire.Connect{Stream: stream, Port: port}, nil)
		server, err := listener.Accept()
		h.must(err)
		end(stream)
		server.SetReadDeadline(time.Now().Add(deadline))
		if n, err := server.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}

// egress starts an agent with its relay and returns the relay's address.
func egress(t *testing.T) (*host, string) {
	listener, port := local(t)
	listener.Close() // free, as far as can be known
	h := newHost(t, "--egress-port", fmt.Sprint(port))
	return h, fmt.Sprintf("127.0.0.1:%d", port)
}

func TestEgressJoinsTheHostsProxy(t *testing.T) {
	h, address := egress(t)
	client, err := net.Dial("tcp4", address)
	h.must(err)
	refused, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(refused), "HTTP/1.1 502 ") {
		t.Errorf("without a proxy: %q, %v", refused, err)
	}
	proxy := listen(h, filepath.Join(h.folder, "egress.sock"))
	for range 3 {
		client, err := net.Dial("tcp4", address)
		h.must(err)
		server, err := proxy.Accept()
		h.must(err)
		question, answer := strings.Repeat("?", 1_000_000), strings.Repeat("!", 2_000_000)
		go func() {
			io.WriteString(client, question)
			client.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(server)
		h.must(err)
		if string(got) != question {
			t.Fatalf("up: %d bytes", len(got))
		}
		go func() { // after the client has closed its half
			io.WriteString(server, answer)
			server.Close()
		}()
		if got, err = io.ReadAll(client); err != nil || string(got) != answer {
			t.Fatalf("down: %d bytes, %v", len(got), err)
		}
		client.Close()
	}
}

func TestHangupCutsEgress(t *testing.T) {
	h, address := egress(t)
	proxy := listen(h, filepath.Join(h.folder, "egress.sock"))
	client, err := net.Dial("tcp4", address)
	h.must(err)
	server, err := proxy.Accept()
	h.must(err)
	io.WriteString(client, "x")
	_, err = server.Read(make([]byte, 1))
	h.must(err)
	h.bell.WriteString("hangup\n")
	server.SetReadDeadline(time.Now().Add(deadline))
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%v", err)
	}
	client.SetReadDeadline(time.Now().Add(deadline))
	if _, err := client.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("%v", err)
	}
}
