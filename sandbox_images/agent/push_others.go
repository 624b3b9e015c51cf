package main

import (
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// processStart tells this agent's temporary files from another's.
var processStart = time.Now().UnixNano() & 0xffffffff

const atRemoveDir = 0x200 // AT_REMOVEDIR

// makeFolder makes a folder, or gives one that is there the mode. Anything else in its place is replaced.
// A folder's time of modification is not set: what is written into it next would change it.
func (p *pusher) makeFolder(in *folder, name, path string, mode uint32, was string) error {
	mode &= 0o7777
	err := syscall.Mkdirat(in.fd, name, mode&0o777)
	if err == nil && mode&0o777&^umask() == mode {
		return nil
	}
	if err != nil && err != syscall.EEXIST {
		return err
	}
	fd, err := syscall.Openat(in.fd, name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err == syscall.ENOTDIR || err == syscall.ELOOP {
		if was == wasNothing || was == wasFolder {
			return changed(name) // just now
		}
		p.writers.wait()
		p.folders.forget(path)
		if err = syscall.Unlinkat(in.fd, name); err != nil && err != syscall.ENOENT {
			return err
		}
		if err = syscall.Mkdirat(in.fd, name, mode&0o777); err != nil {
			return err
		}
		fd, err = syscall.Openat(in.fd, name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var found syscall.Stat_t
	if err := syscall.Fstat(fd, &found); err != nil || found.Mode&0o7777 == mode {
		return err
	}
	return syscall.Fchmod(fd, mode)
}

// makeLink makes a symbolic link. Its target is text and is never followed here.
func (p *pusher) makeLink(in *folder, name, path, target, was string) error {
	if target == "" || strings.IndexByte(target, 0) >= 0 {
		return invalid("A symbolic link needs a target.")
	}
	err := symlinkat(target, in.fd, name)
	if err != syscall.EEXIST {
		return err
	}
	if was == wasNothing {
		return changed(name) // just now
	}
	p.writers.wait()
	p.folders.forget(path)
	made := temporary()
	if err := symlinkat(target, in.fd, made); err != nil {
		return err
	}
	if err = takePlace(in.fd, made, name, was); err != nil {
		_ = syscall.Unlinkat(in.fd, made)
	}
	return err
}

func symlinkat(target string, folder int, name string) error {
	from, err := syscall.BytePtrFromString(target)
	if err != nil {
		return err
	}
	to, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, failed := syscall.Syscall(syscall.SYS_SYMLINKAT, uintptr(unsafe.Pointer(from)), uintptr(folder), uintptr(unsafe.Pointer(to)))
	if failed != 0 {
		return failed
	}
	return nil
}

// remove deletes whatever has the name. What is not there is deleted already.
func (p *pusher) remove(in *folder, name, path string) error {
	err := syscall.Unlinkat(in.fd, name)
	switch err {
	case nil, syscall.ENOENT:
		return nil
	case syscall.EISDIR, syscall.EPERM: // a folder; POSIX says EPERM
		p.writers.wait()
		p.folders.forget(path)
		return removeTree(in.fd, name)
	}
	return err
}

// removeTree deletes a folder and what is below it, or anything else. Links are deleted, not followed.
func removeTree(in int, name string) error {
	err := syscall.Unlinkat(in, name)
	if err == nil || err == syscall.ENOENT {
		return nil
	}
	if gone := removeFolder(in, name); gone == nil || gone == syscall.ENOENT {
		return nil
	}
	fd, opened := syscall.Openat(in, name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if opened == syscall.EACCES { // a folder that was made unreadable, and no right to override that
		_ = syscall.Fchmodat(in, name, 0o700, 0)
		fd, opened = syscall.Openat(in, name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	}
	if opened == syscall.ENOTDIR || opened == syscall.ELOOP {
		return err
	}
	if opened != nil {
		return opened
	}
	folder := os.NewFile(uintptr(fd), name)
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(512)
		for _, each := range names {
			if err := removeTree(fd, each); err != nil {
				return err
			}
		}
		if len(names) == 0 || err != nil {
			break
		}
		// Deleting while reading may hide entries: begin again.
		if _, err := folder.Seek(0, 0); err != nil {
			return err
		}
	}
	if err := removeFolder(in, name); err != syscall.ENOENT {
		return err
	}
	return nil
}

func removeFolder(in int, name string) error {
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, failed := syscall.Syscall(syscall.SYS_UNLINKAT, uintptr(in), uintptr(unsafe.Pointer(text)), atRemoveDir)
	if failed != 0 {
		return failed
	}
	return nil
}
