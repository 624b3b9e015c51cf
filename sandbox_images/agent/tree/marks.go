package tree

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// marks tracks by what a process inherits and seldom changes:
//
//   - a resource limit that the kernel has no use for since Linux 2.4.25, RLIMIT_LOCKS: its soft value is the run's
//     number. It survives setsid, a double fork and an empty environment. Where limits of others cannot be read
//     (prlimit(2) refuses, or the kernel knows no such limit) the rest has to do:
//   - the variable CONTINUE_EXEC_RUN;
//   - the process session of the first process;
//   - being a child of a member.
type marks struct {
	limits bool

	mu   sync.Mutex
	last uint64
	live map[int]*markedGroup // by first process
}

const (
	variable    = "CONTINUE_EXEC_RUN="
	rlimitLocks = 10 // asm-generic/resource.h
	firstMark   = 1 << 40
)

func newMarks() *marks {
	m := &marks{live: map[int]*markedGroup{}, last: firstMark + uint64(os.Getpid())<<24}
	probe := m.last
	was, ok := limit(0, nil)
	if ok && was.Max == ^uint64(0) {
		m.limits = m.mark(probe) && m.marked(os.Getpid()) == probe
	}
	return m
}

func (m *marks) Name() string {
	if m.limits {
		return "marks (limit, variable, parents)"
	}
	return "marks (variable, parents)"
}

func (m *marks) Group(runID string) (Group, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	return &markedGroup{by: m, run: runID, mark: m.last}, nil
}

// mark sets the mark of this process, for the children that it makes from now on.
func (m *marks) mark(value uint64) bool {
	_, ok := limit(0, &syscall.Rlimit{Cur: value, Max: ^uint64(0)})
	return ok
}

// marked reads the mark of a process; 0: none can be read.
func (m *marks) marked(pid int) uint64 {
	found, _ := limit(pid, nil)
	return found.Cur
}

// limit reads and sets RLIMIT_LOCKS of a process; 0 is this one.
func limit(pid int, set *syscall.Rlimit) (was syscall.Rlimit, ok bool) {
	_, _, failed := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), rlimitLocks,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(&was)), 0, 0)
	return was, failed == 0
}

// markedGroup is one run's group.
type markedGroup struct {
	by    *marks
	run   string
	mark  uint64
	first int
}

func (g *markedGroup) Environ() []string { return []string{variable + g.run} }

func (g *markedGroup) Enter() (func(), error) {
	if g.by.limits {
		g.by.mark(g.mark) // stays until the next: whatever else this process forks is no run's
	}
	return func() {}, nil
}

func (g *markedGroup) Started(pid int) {
	g.by.mu.Lock()
	defer g.by.mu.Unlock()
	g.first = pid
	g.by.live[pid] = g // of a number that is used again, only the newest is meant
}

func (g *markedGroup) Close() {
	g.by.mu.Lock()
	defer g.by.mu.Unlock()
	if g.by.live[g.first] == g {
		delete(g.by.live, g.first)
	}
}

// patience bounds one Signal; with SIGKILL a caller repeats it anyway until it returns 0.
const patience = time.Second

func (g *markedGroup) Signal(number syscall.Signal) int {
	return signalAll(number, g.members)
}

// members lists the living members.
func (g *markedGroup) members() []int {
	g.by.mu.Lock()
	first := g.first
	if g.by.live[first] != g {
		first = -1
	}
	g.by.mu.Unlock()
	all := descendants() // parents before their children
	member := map[int]bool{}
	for _, each := range all {
		if each.pid == first || first > 0 && each.leader == first || member[each.parent] || !each.gone && g.hasMark(each.pid) {
			member[each.pid] = true
		}
	}
	return living(all, member)
}

// longestEnviron bounds what is read of a process's environment, in bytes; the agent puts the mark at its end.
const longestEnviron = 256 << 10

func (g *markedGroup) hasMark(pid int) bool {
	if g.by.limits && g.by.marked(pid) == g.mark {
		return true
	}
	environ := slurp("/proc/"+strconv.Itoa(pid)+"/environ", longestEnviron)
	for _, entry := range bytes.Split(environ, []byte{0}) {
		if string(entry) == variable+g.run {
			return true
		}
	}
	return false
}

// signalAll signals every member once, also those that appear meanwhile, and returns how many there were. To kill,
// it first stops what it finds, so that no member makes new ones faster than they are killed, and then waits until
// none is left.
func signalAll(number syscall.Signal, members func() []int) int {
	reached := map[int]bool{}
	for deadline := time.Now().Add(patience); ; {
		found := members()
		fresh := 0
		for _, pid := range found {
			if !reached[pid] {
				fresh++
				if number == syscall.SIGKILL {
					_ = syscall.Kill(pid, syscall.SIGSTOP)
				}
			}
		}
		for _, pid := range found {
			if number == syscall.SIGKILL || !reached[pid] {
				_ = syscall.Kill(pid, number)
			}
			reached[pid] = true
		}
		if len(found) == 0 || number != syscall.SIGKILL && fresh == 0 || number == 0 || time.Now().After(deadline) {
			return len(reached)
		}
		if number == syscall.SIGKILL && fresh == 0 {
			time.Sleep(200 * time.Microsecond) // the dying need a moment
		}
	}
}
