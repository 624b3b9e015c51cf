package main

import (
	"os"
	"path/filepath"
	"syscall"

	"continueexec/agent/wire"
)

// stat answers what is at a path; a link at its end is not followed.
func stat(_ *agent, r *request) func() {
	path, ok := r.path()
	if !ok {
		return nil
	}
	return func() {
		found, err := lstat(path)
		if err != nil {
			r.fail(asFailure(err, path))
			return
		}
		r.ok(found)
	}
}

// path reads the parameters of a method that takes only a path.
func (r *request) path() (string, bool) {
	var params wire.Path
	if !r.decode(&params) {
		return "", false
	}
	path := wire.Bytes(params.Path)
	if err := checkPath(path); err != nil {
		r.fail(err)
		return "", false
	}
	return path, true
}

func checkPath(path string) error {
	if !filepath.IsAbs(path) || holdsNUL(path) {
		return invalid("The path is not absolute: %q.", path)
	}
	return nil
}

// lstat is what lstat(2) says of path, which may be missing.
func lstat(path string) (wire.FileStat, error) {
	result := wire.FileStat{Path: wire.Text(path), Kind: "missing"}
	var found syscall.Stat_t
	switch err := syscall.Lstat(path, &found); err {
	case nil:
	case syscall.ENOENT, syscall.ENOTDIR:
		return result, nil
	default:
		return result, err
	}
	result.Size = found.Size
	result.Mode = found.Mode & 0o7777
	result.MtimeNS = found.Mtim.Nano()
	switch found.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		result.Kind = "file"
	case syscall.S_IFDIR:
		result.Kind = "dir"
	case syscall.S_IFLNK:
		result.Kind = "symlink"
		target, err := os.Readlink(path)
		if err != nil {
			return result, err
		}
		result.Target = wire.Text(target)
	default:
		result.Kind = "other"
	}
	return result, nil
}
