package tree

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sleeper starts a process in a group and returns its number.
func sleeper(t *testing.T, g Group, argv ...string) int {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	leave, err := g.Enter()
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := syscall.ForkExec(program, argv, &syscall.ProcAttr{Env: g.Environ(), Sys: &syscall.SysProcAttr{Setsid: true}})
	leave()
	if err != nil {
		t.Fatal(err)
	}
	g.Started(pid)
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	})
	return pid
}

// trackers are those that work here; the group file system only where this may write to one.
func trackers(t *testing.T) []Tracker {
	all := []Tracker{New("")}
	folder := "/sys/fs/cgroup/pids/continue-exec-test"
	home := "/sys/fs/cgroup/pids" + ownGroup(t) + "/cgroup.procs"
	if err := os.Mkdir(folder, 0o755); err == nil || os.IsExist(err) && os.Getuid() == 0 {
		tracker := New(folder)
		groups, ok := tracker.(*cgroups)
		if !ok {
			t.Fatalf("%s was not chosen but %s", folder, tracker.Name())
		}
		t.Cleanup(func() { // after its members have been waited for
			err := os.WriteFile(home, []byte(strconv.Itoa(os.Getpid())), 0) // an agent's threads stay in its folder
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
				groups.sweep()
				if err = syscall.Rmdir(folder); err == nil { // the kernel lets go of a dead member in its own time
					return
				}
			}
			left, _ := filepath.Glob(folder + "/*/")
			t.Errorf("%v: %v", err, left)
		})
		all = append(all, tracker)
	}
	return all
}

// ownGroup is this process's group, as proc(5) says.
func ownGroup(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if _, path, found := strings.Cut(line, ":pids:"); found {
			return path
		}
	}
	return ""
}

func TestGroupsAreApart(t *testing.T) {
	for _, tracker := range trackers(t) {
		t.Log(tracker.Name())
		one, err := tracker.Group("run_one")
		if err != nil {
			t.Fatal(err)
		}
		two, err := tracker.Group("run_two")
		if err != nil {
			t.Fatal(err)
		}
		sleeper(t, one, "sleep", "100")
		other := sleeper(t, two, "sleep", "100")
		if n := one.Signal(0); n != 1 {
			t.Errorf("%d members, not 1", n)
		}
		if n := one.Signal(syscall.SIGKILL); n != 1 {
			t.Errorf("%d killed, not 1", n)
		}
		if n := one.Signal(syscall.SIGKILL); n != 0 {
			t.Errorf("then %d", n)
		}
		if n := two.Signal(0); n != 1 || syscall.Kill(other, 0) != nil {
			t.Errorf("the other group has %d members", n)
		}
		two.Signal(syscall.SIGKILL)
		one.Close()
		two.Close()
	}
}

func TestAMarkOutlivesEverythingElse(t *testing.T) {
	tracker := newMarks()
	if !tracker.limits {
		t.Log("no marks by limit here: the kernel is gVisor's")
		return
	}
	g, err := tracker.Group("run_marked")
	if err != nil {
		t.Fatal(err)
	}
	pid := sleeper(t, g, "env", "-i", "setsid", "--fork", "sleep", "100")
	var status syscall.WaitStatus
	_, _ = syscall.Wait4(pid, &status, 0, nil)
	g.(*markedGroup).first = -1 // nor does the process session help
	found := g.(*markedGroup)
	for _, each := range allProcesses() {
		if each != os.Getpid() && found.hasMark(each) { // this process has it too: it made the child
			_ = syscall.Kill(each, syscall.SIGKILL)
			return
		}
	}
	t.Error("the daemon is not marked")
}

func allProcesses() (all []int) {
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid := 0
		for _, digit := range filepath.Base(name) {
			pid = pid*10 + int(digit-'0')
		}
		all = append(all, pid)
	}
	return all
}

func TestStatOfOddNames(t *testing.T) {
	folder := t.TempDir()
	odd := filepath.Join(folder, "a ) R 1 (b")
	if err := os.Symlink("/bin/sleep", odd); err != nil {
		t.Fatal(err)
	}
	process := exec.Command(odd, "100")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	found, ok := readStat(process.Process.Pid)
	if !ok || found.parent != os.Getpid() || found.gone {
		t.Errorf("%+v", found)
	}
	_ = process.Process.Kill()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if found, _ = readStat(process.Process.Pid); found.gone {
			break
		}
	}
	if !found.gone {
		t.Error("a zombie counts as alive")
	}
	_ = process.Wait()
}
