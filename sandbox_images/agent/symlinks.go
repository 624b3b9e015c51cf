package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

// gVisor (seen in 20240729, with directfs) answers lgetxattr(2) and llistxattr(2) on a symbolic link with EBADF, so `ls -l`
// and `cp -a` complain about every link. A link has no attributes that a program inside could want: "not supported" is
// what a file system without them says, and what programs expect.

const (
	seccompSetModeFilter = 1
	seccompAllThreads    = 1 // SECCOMP_FILTER_FLAG_TSYNC: any thread may fork a command

	retAllow = 0x7fff0000
	retErrno = 0x00050000

	loadWord    = 0x20 // BPF_LD | BPF_W | BPF_ABS
	jumpIfEqual = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	giveBack    = 0x06 // BPF_RET | BPF_K

	offsetNumber, offsetArch = 0, 4 // of struct seccomp_data
)

type linkCalls struct {
	seccomp         uintptr
	arch            uint32
	lgetxattr, list uint32
}

var linkCallsOf = map[string]linkCalls{
	"amd64": {seccomp: 317, arch: 0xc000003e, lgetxattr: 192, list: 195},
	"arm64": {seccomp: 277, arch: 0xc00000b7, lgetxattr: 9, list: 12},
}

type bpf struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// quietLinks makes those two calls say "not supported" here and in every process that is started from here on. It must run
// before the first command.
func quietLinks() error {
	calls, known := linkCallsOf[runtime.GOARCH]
	if !known {
		return nil
	}
	program := []bpf{
		{loadWord, 0, 0, offsetArch},
		{jumpIfEqual, 0, 3, calls.arch},
		{loadWord, 0, 0, offsetNumber},
		{jumpIfEqual, 2, 0, calls.lgetxattr},
		{jumpIfEqual, 1, 0, calls.list},
		{giveBack, 0, 0, retAllow},
		{giveBack, 0, 0, retErrno | uint32(syscall.EOPNOTSUPP)},
	}
	filter := struct {
		length uint16
		first  *bpf
	}{uint16(len(program)), &program[0]}
	_, _, failed := syscall.Syscall(calls.seccomp, seccompSetModeFilter, seccompAllThreads, uintptr(unsafe.Pointer(&filter)))
	if failed != 0 {
		return failed
	}
	return nil
}
