package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// cgroups tracks by membership in a control group of version 1, one per run: children inherit it, and neither setsid,
// nor a double fork, nor an empty environment leaves it. gVisor offers such a file system where the sandbox's
// specification mounts one (type `cgroup` on /sys/fs/cgroup); it lives in the sentry and has nothing to do with the
// host's groups. Version 1 has what this needs: single threads can be moved, so that the thread that forks is in the
// group before the child exists.
//
// A process that may write to that file system could move itself out; marks are looked at as well, for that.
type cgroups struct {
	folder string // of the controller, writable
	marks  *marks
	out    int // its `tasks`, open for writing: the way back

	mu   sync.Mutex
	last int
	free []place // empty, for runs to come: making a group costs more than entering one
	full []place // had members when their run was forgotten
}

// place is a group's folder, with its `tasks` open for writing.
type place struct {
	folder string
	in     int
	spoilt bool // not to be used again
}

// mostFree empty groups are kept.
const mostFree = 16

// candidates are looked at when no folder is named, by process 1 only: on a host those groups are not ours to make.
var candidates = []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup/job"}

const groupPrefix = "continue-exec-"

// newCgroups returns nil if no thread can be moved to a group and back here.
func newCgroups(folder string, m *marks) *cgroups {
	tasks := filepath.Join(folder, "tasks")
	out, err := syscall.Open(tasks, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	c := &cgroups{folder: folder, marks: m, out: out}
	c.sweep() // of an agent before this one
	probe, err := c.Group("probe")
	if err != nil {
		_ = syscall.Close(out)
		return nil
	}
	defer probe.Close()
	leave, err := probe.Enter()
	if err != nil {
		_ = syscall.Close(out)
		return nil
	}
	leave()
	return c
}

// sweep removes empty groups that were left behind.
func (c *cgroups) sweep() {
	left, _ := filepath.Glob(filepath.Join(c.folder, groupPrefix+"*"))
	for _, each := range left {
		_ = syscall.Rmdir(each)
	}
}

func (c *cgroups) Name() string { return "cgroup " + c.folder + " and " + c.marks.Name() }

func (c *cgroups) Group(runID string) (Group, error) {
	marked, err := c.marks.Group(runID)
	if err != nil {
		return nil, err
	}
	at, err := c.place()
	if err != nil {
		return nil, err
	}
	return &cgroup{markedGroup: marked.(*markedGroup), of: c, place: at}, nil
}

// place returns an empty group.
func (c *cgroups) place() (place, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		at := c.free[n-1]
		c.free = c.free[:n-1]
		return at, nil
	}
	c.last++
	folder := fmt.Sprintf("%s/%s%d-%d", c.folder, groupPrefix, os.Getpid(), c.last)
	if err := syscall.Mkdir(folder, 0o755); err != nil {
		return place{}, err
	}
	in, err := syscall.Open(folder+"/tasks", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		_ = syscall.Rmdir(folder)
		return place{}, err
	}
	return place{folder: folder, in: in}, nil
}

// members reads the numbers of the processes in the group.
func (p place) members() (all []int) {
	for _, line := range strings.Fields(string(slurp(p.folder+"/cgroup.procs", 1<<20))) {
		if pid, err := strconv.Atoi(line); err == nil && pid != os.Getpid() { // the agent's own thread, just now forking
			all = append(all, pid)
		}
	}
	return all
}

// cgroup is one run's group.
type cgroup struct {
	*markedGroup
	of *cgroups
	place

	use     sync.RWMutex // held for writing by Close: afterwards the place is another run's
	closed  bool
	limited atomic.Bool // new processes have been forbidden: the place is not used again
}

func (g *cgroup) Enter() (func(), error) {
	if _, err := g.markedGroup.Enter(); err != nil {
		return nil, err
	}
	self := []byte(strconv.Itoa(syscall.Gettid()))
	if _, err := syscall.Write(g.in, self); err != nil {
		return nil, err
	}
	return func() { _, _ = syscall.Write(g.of.out, self) }, nil
}

// Signal reaches the group's members, and whatever else has this run's marks. Before it kills, it forbids
// new ones, for good: nothing of a run that was killed has a reason to start more.
func (g *cgroup) Signal(number syscall.Signal) int {
	g.use.RLock()
	defer g.use.RUnlock()
	if g.closed {
		return 0
	}
	if number == syscall.SIGKILL {
		g.limited.Store(true)
		_ = os.WriteFile(g.folder+"/pids.max", []byte("0"), 0)
	}
	return signalAll(number, g.members)
}

func (g *cgroup) members() []int {
	all := g.markedGroup.members()
	seen := map[int]bool{}
	for _, pid := range all {
		seen[pid] = true
	}
	for _, pid := range g.place.members() {
		if found, ok := readStat(pid); ok && !found.gone && !seen[pid] {
			all = append(all, pid)
		}
	}
	slices.Sort(all)
	return all
}

// Close gives the group back. One that still has members waits until they are gone.
func (g *cgroup) Close() {
	g.use.Lock()
	defer g.use.Unlock()
	if g.closed {
		return
	}
	g.closed = true
	g.markedGroup.Close()
	g.place.spoilt = g.limited.Load()
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	waiting := append(g.of.full, g.place)
	g.of.full = nil
	for _, each := range waiting {
		switch {
		case len(each.members()) > 0:
			g.of.full = append(g.of.full, each)
		case !each.spoilt && len(g.of.free) < mostFree:
			g.of.free = append(g.of.free, each)
		default:
			_ = syscall.Close(each.in)
			_ = syscall.Rmdir(each.folder)
		}
	}
}
