// The agent: the first process of every sandbox. It does what the engine on the host asks for, and decides nothing.
//
//	main, doorbell          start; who may be talked to
//	agent                   what is known across connections: the runs
//	conn, dispatch, writer  one connection: frames in, requests, frames out
//	failure                 errors as they stand on the wire
//	run, output, inflow     a command: its life, what it wrote, what it is sent
//	spawn, lookup, pty      starting one
//	reaper                  every ended child, ours or orphaned
//	tree/                   which processes a run started
//	outflow                 bytes to the host on a stream that is not a run
//	hello … shutdown        one file per method, of the same name
//	push_*                  the parts of push: records, folders, files
//	egress                  the relay from 127.0.0.1 to the host's proxy
//	wire/                   frames and messages
//	seed                    no part of the agent: first files, copied on the host
//
// The protocol in words: docs/reference/agent-protocol.md. To add a method: the recipe in
// continue_exec/protocol/agent.py, a file of its name here, a row in dispatch.go.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"continueexec/agent/wire"
)

// version is set by scripts/build-agent from continue_exec/__init__.py.
var version = "0.0.0-dev"

func main() {
	os.Exit(start(os.Args[1:]))
}

// start runs the agent until shutdown and returns its exit code.
func start(args []string) int {
	if len(args) > 0 && args[0] == "seed" {
		return seed(args[1:])
	}
	flags := flag.NewFlagSet("agent", flag.ContinueOnError)
	sockets := flags.String("sockets", wire.SocketDir, "folder with agent.sock and egress.sock")
	egressPort := flags.Int("egress-port", wire.EgressPort, "relay on 127.0.0.1 at this port; 0: none")
	cgroups := flags.String("cgroups", "", "folder where a cgroup file system may be used to track runs; default: found")
	show := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *show {
		fmt.Println(version)
		return 0
	}
	log.SetFlags(log.LstdFlags | log.Lmicroseconds | log.LUTC)
	log.SetPrefix("agent: ")

	closeInExec()
	umask() // before there is anybody whom asking could disturb
	handleSignals()
	if os.Getpid() == 1 {
		if err := quietLinks(); err != nil {
			log.Printf("programs may complain about symbolic links: %v", err)
		}
	}
	a := newAgent(*sockets, *cgroups)
	log.Printf("version %s, pid %d, runs are tracked by %s", version, os.Getpid(), a.tracker.Name())
	if *egressPort > 0 {
		if err := a.serveEgress(*egressPort); err != nil {
			log.Printf("no egress relay: %v", err)
		}
	}
	go a.answerDoorbell(os.Stdin)
	<-a.done
	a.endEverything()
	return 0
}

// handleSignals makes TERM and INT end the agent in order. Signals that were ignored when it started are handled
// from here on, because children inherit what is ignored but not what is handled.
func handleSignals() {
	swallow := make(chan os.Signal, 1)
	for number := syscall.Signal(1); number < 32; number++ {
		if signal.Ignored(number) {
			signal.Notify(swallow, number)
		}
	}
	signal.Notify(swallow, syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		for range swallow {
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		log.Printf("ended by the signal %v", <-stop)
		if theAgent := current.Load(); theAgent != nil {
			theAgent.shutdown()
		} else {
			os.Exit(0)
		}
	}()
}

const closeRangeCloexec = 4 // linux/close_range.h

// closeInExec sees to it that what the agent was started with, but for its standard three, is not passed on.
func closeInExec() {
	const closeRange = 436 // the number is the same on every architecture
	if _, _, failed := syscall.RawSyscall(closeRange, 3, uintptr(^uint32(0)), closeRangeCloexec); failed == 0 {
		return
	}
	open, _ := os.ReadDir("/proc/self/fd")
	for _, each := range open {
		if fd, err := strconv.Atoi(each.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
