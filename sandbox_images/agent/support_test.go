package main

import (
	"net"
	"os"
	"sync"
)

func h2cond(h *host) *sync.Cond { return sync.NewCond(&h.mu) }

func openBell(h *host, path string) *os.File {
	h.Helper()
	bell, err := os.OpenFile(path, os.O_RDWR, 0)
	h.must(err)
	return bell
}

func listen(h *host, path string) net.Listener {
	h.Helper()
	listener, err := net.Listen("unix", path)
	h.must(err)
	h.Cleanup(func() { listener.Close() })
	return listener
}
