package main

import (
	"errors"
	"strings"
	"syscall"

	"continueexec/agent/wire"
)

const (
	oPath       = 0x200000 // O_PATH, the same on amd64 and arm64: no permission to read is needed
	openFolder  = oPath | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	folderMode  = 0o755 // of parents that nobody described
	mostFolders = 256   // kept open at once
)

// folders opens folders below a root, component by component, never through a symbolic link, and keeps them open.
// Used by the push's reader only.
type folders struct {
	top    *folder
	opened map[string]*folder
}

// folder is an open one.
type folder struct {
	fd   int
	path string // relative to the root
	tops *folders
}

// openFolders opens the root, which is made if it is missing.
func openFolders(root string) (*folders, error) {
	fd, err := syscall.Open("/", openFolder, 0)
	if err != nil {
		return nil, err
	}
	for _, part := range strings.Split(root, "/") {
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			_ = syscall.Close(fd)
			return nil, invalid("The root has the component %q.", part)
		}
		next, err := step(fd, part, true)
		_ = syscall.Close(fd)
		if err != nil {
			return nil, err
		}
		fd = next
	}
	f := &folders{opened: map[string]*folder{}}
	f.top = &folder{fd, "", f}
	return f, nil
}

// step opens the folder `name` in the folder fd.
func step(fd int, name string, create bool) (int, error) {
	next, err := syscall.Openat(fd, name, openFolder, 0)
	if err == syscall.ENOENT && create {
		if err = syscall.Mkdirat(fd, name, folderMode); err == nil || err == syscall.EEXIST {
			next, err = syscall.Openat(fd, name, openFolder, 0)
		}
	}
	if err == syscall.ENOTDIR || err == syscall.ELOOP {
		err = notFolder(name)
	}
	return next, err
}

// notFolder says that a component of a path is a file or a link; links are never followed.
func notFolder(name string) error {
	return fail(wire.CodeConflict, "Remove it inside the sandbox, or push a folder in its place.",
		"%s is no folder inside the sandbox, and links are not followed.", name)
}

// isRefusal reports whether an error is about the request rather than about what is there.
func isRefusal(err error) bool {
	var why *failure
	return errors.As(err, &why) && why.Code == wire.CodeOutsideWorkspace
}

func (f *folders) known(path string) *folder {
	if path == "" {
		return f.top
	}
	return f.opened[path]
}

func (f *folders) crowded() bool { return len(f.opened) >= mostFolders }

// open opens the folder at a relative path whose components have been checked.
func (f *folders) open(path string, create bool) (*folder, error) {
	if found := f.known(path); found != nil {
		return found, nil
	}
	above, name := "", path
	if cut := strings.LastIndexByte(path, '/'); cut >= 0 {
		above, name = path[:cut], path[cut+1:]
	}
	parent, err := f.open(above, create)
	if err != nil {
		return nil, err
	}
	fd, err := step(parent.fd, name, create)
	if err == syscall.ENOENT && parent != f.top { // the parent was removed under us, perhaps
		fd, err = f.walk(path, create)
	}
	if err != nil {
		return nil, err
	}
	fresh := &folder{fd, path, f}
	f.opened[path] = fresh
	return fresh, nil
}

// walk opens a path from the root on, using nothing that is open already. Any goroutine may call it.
func (f *folders) walk(path string, create bool) (int, error) {
	fd, err := syscall.Dup(f.top.fd)
	if err != nil {
		return -1, err
	}
	syscall.CloseOnExec(fd)
	if path == "" {
		return fd, nil
	}
	for _, part := range strings.Split(path, "/") {
		next, err := step(fd, part, create)
		_ = syscall.Close(fd)
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}

// forget closes a folder and all below it; "" means all but the root. Nobody may be using them.
func (f *folders) forget(path string) {
	for each, opened := range f.opened {
		if path == "" || each == path || strings.HasPrefix(each, path+"/") {
			_ = syscall.Close(opened.fd)
			delete(f.opened, each)
		}
	}
}

func (f *folders) close() {
	f.forget("")
	_ = syscall.Close(f.top.fd)
}
