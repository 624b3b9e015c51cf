package main

import (
	"os"
	"strings"

	"continueexec/agent/wire"
)

// list answers the entries of a folder by name. A link at the path's end is not followed.
func list(_ *agent, r *request) func() {
	path, ok := r.path()
	if !ok {
		return nil
	}
	return func() {
		at, err := lstat(path)
		if err == nil && at.Kind == "missing" {
			err = notFound("There is no %s.", path)
		} else if err == nil && at.Kind != "dir" {
			err = invalid("%s is not a folder.", path)
		}
		if err != nil {
			r.fail(asFailure(err, path))
			return
		}
		entries, err := os.ReadDir(path) // sorted by name
		if err != nil {
			r.fail(asFailure(err, path))
			return
		}
		result := wire.FileList{Entries: make([]wire.FileStat, 0, len(entries))}
		for _, entry := range entries {
			found, err := lstat(strings.TrimSuffix(path, "/") + "/" + entry.Name())
			if err == nil && found.Kind != "missing" { // gone since it was listed
				result.Entries = append(result.Entries, found)
			}
		}
		r.ok(result)
	}
}
