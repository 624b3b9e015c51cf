package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"syscall"
	"unsafe"

	"continueexec/agent/wire"
)

// The field `was` of an entry says what must be at its path: so nothing that changed inside is overwritten unseen.
const (
	wasAnything = ""
	wasNothing  = "-"
	wasFolder   = "d"
)

// checkWas fails with a conflict if something else is at the name than the entry says.
// Between this and the rename that follows it a program inside may still write: a window of microseconds that POSIX
// leaves, as there is no rename on a condition.
func checkWas(folder int, name, was string) error {
	if was == wasAnything {
		return nil
	}
	found, err := whatIs(folder, name)
	if err != nil {
		return err
	}
	if found == was {
		return nil
	}
	return changed(name)
}

func changed(name string) error {
	return fail(wire.CodeConflict, "", "%s was changed inside the sandbox", name)
}

// whatIs describes what is at a name, in the words of `was`.
func whatIs(folder int, name string) (string, error) {
	fd, err := syscall.Openat(folder, name, oPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err == syscall.ENOENT || err == syscall.ENOTDIR {
		return wasNothing, nil
	}
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	var found syscall.Stat_t
	if err := syscall.Fstat(fd, &found); err != nil {
		return "", err
	}
	switch found.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return "f:" + strconv.FormatInt(found.Size, 10) + ":" + strconv.FormatInt(found.Mtim.Nano(), 10) +
			":" + strconv.FormatUint(uint64(found.Mode&0o7777), 8), nil
	case syscall.S_IFDIR:
		return wasFolder, nil
	case syscall.S_IFLNK:
		target, err := readLink(folder, name)
		hash := sha256.Sum256([]byte(target))
		return "l:" + hex.EncodeToString(hash[:16]), err
	}
	return "other", nil
}

// readLink is readlinkat(2).
func readLink(folder int, name string) (string, error) {
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return "", err
	}
	buffer := make([]byte, 4097) // PATH_MAX and one more
	n, _, failed := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(folder), uintptr(unsafe.Pointer(text)),
		uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), 0, 0)
	if failed != 0 {
		return "", failed
	}
	return string(bytes.TrimRight(buffer[:n], "\x00")), nil
}

// mayMakeFolder: a folder is made where there is none; one that is there already is as good.
func mayMakeFolder(folder int, name, was string) error {
	if was != wasNothing {
		return checkWas(folder, name, was)
	}
	found, err := whatIs(folder, name)
	if err == nil && found != wasNothing && found != wasFolder {
		err = fail(wire.CodeConflict, "", "%s was made inside the sandbox", name)
	}
	return err
}

// removeIfWas deletes what the entry says is there. What is gone already is no failure.
func removeIfWas(folder int, name, was string) error {
	found, err := whatIs(folder, name)
	if err != nil || found == wasNothing {
		return err
	}
	if err := checkWas(folder, name, was); err != nil {
		return err
	}
	if was == wasFolder {
		if err := removeFolder(folder, name); err != nil && err != syscall.ENOTEMPTY && err != syscall.EEXIST {
			return err
		}
		return nil
	}
	return syscall.Unlinkat(folder, name)
}
