package tree

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// process is what /proc/PID/stat says of one.
type process struct {
	pid, parent, leader int // leader: of its process session, as setsid(2) counts
	gone                bool
}

// descendants lists the living and dead processes below this one. As process 1 or a subreaper adopts every orphan,
// that is whatever any run started.
func descendants() []process {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	children := map[int][]process{} // by parent
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if found, ok := readStat(pid); ok {
				children[found.parent] = append(children[found.parent], found)
			}
		}
	}
	below := append([]process(nil), children[os.Getpid()]...)
	for at := 0; at < len(below); at++ {
		below = append(below, children[below[at].pid]...)
	}
	return below
}

// KillAll kills every process below this one until none is left or the patience ends.
func KillAll(patience time.Duration) {
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		if signalAll(syscall.SIGKILL, func() []int { return living(descendants(), nil) }) == 0 {
			return
		}
	}
}

// living picks the numbers of those that are not zombies and, unless member is nil, members.
func living(all []process, member map[int]bool) []int {
	pids := []int{}
	for _, each := range all {
		if !each.gone && (member == nil || member[each.pid]) {
			pids = append(pids, each.pid)
		}
	}
	return pids
}

const exiting = 0x4 // PF_EXITING, linux/sched.h: its files are closed, it only is not a zombie yet

// readStat reads /proc/PID/stat: pid (comm) state ppid pgrp session ... The name may hold anything, also ')'.
func readStat(pid int) (process, bool) {
	text := slurp("/proc/"+strconv.Itoa(pid)+"/stat", 512)
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) < 7 {
		return process{}, false
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	leader, _ := strconv.Atoi(string(fields[3]))
	state := fields[0][0]
	flags, _ := strconv.ParseUint(string(fields[6]), 10, 64)
	return process{pid, parent, leader, state == 'Z' || state == 'X' || flags&exiting != 0}, true
}

// slurp reads up to most bytes of a file with as few calls as can be.
func slurp(path string, most int) []byte {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	buffer := make([]byte, min(most, 4096))
	total := 0
	for {
		n, err := syscall.Read(fd, buffer[total:])
		if n <= 0 || err != nil {
			return buffer[:total]
		}
		if total += n; total == len(buffer) {
			if total == most {
				return buffer
			}
			buffer = append(buffer, make([]byte, min(total, most-total))...)
		}
	}
}
