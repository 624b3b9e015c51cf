package tree

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// process is what /proc/PID/stat says of one.
type process struct {
	pid, parent, leader int // leader: of its process session, as setsid(2) counts
	gone                bool
}

// processes lists every process that can be seen.
func processes() []process {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	all := make([]process, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if found, ok := readStat(pid); ok {
				all = append(all, found)
			}
		}
	}
	return all
}

// readStat reads /proc/PID/stat: pid (comm) state ppid pgrp session ... The name may hold anything, also ')'.
func readStat(pid int) (process, bool) {
	text := slurp("/proc/"+strconv.Itoa(pid)+"/stat", 512)
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(text[end+1:])
	if len(fields) < 4 {
		return process{}, false
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	leader, _ := strconv.Atoi(string(fields[3]))
	state := fields[0][0]
	return process{pid, parent, leader, state == 'Z' || state == 'X'}, true
}

// slurp reads up to most bytes of a file with as few calls as can be.
func slurp(path string, most int) []byte {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	buffer := make([]byte, most)
	total := 0
	for total < most {
		n, err := syscall.Read(fd, buffer[total:])
		if n <= 0 || err != nil {
			break
		}
		total += n
	}
	return buffer[:total]
}
