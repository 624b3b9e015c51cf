package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"continueexec/agent/wire"
)

// was sets what an entry expects.
func (r record) was(text string) record {
	r.entry.Was = text
	return r
}

// as describes what is at a path, as the host remembers it.
func (h *host) as(path string) string {
	h.Helper()
	found, err := os.Lstat(path)
	h.must(err)
	return fmt.Sprintf("f:%d:%d:%o", found.Size(), found.ModTime().UnixNano(), found.Mode().Perm())
}

// conflicts pushes one entry that must be refused, and changes nothing.
func (h *host) conflicts(root string, one record) {
	h.Helper()
	got := h.push(root, one)
	if got.Written != 0 || len(got.Failed) != 1 || got.Failed[0].Code != wire.CodeConflict {
		h.Errorf("%+v: %+v", one.entry, got)
	}
}

func TestPushOnlyOverWhatIsKnown(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	at := func(name string) string { return filepath.Join(root, name) }
	h.must(os.MkdirAll(at("full"), 0o755))
	h.must(os.MkdirAll(at("empty"), 0o755))
	h.must(os.WriteFile(at("file"), []byte("mine"), 0o644))
	h.must(os.WriteFile(at("full/own"), []byte("own"), 0o644))
	h.must(os.Symlink("file", at("link")))

	h.conflicts(root, file("file", "new").was("-"))
	h.conflicts(root, file("file", "new").was("f:4:1:644"))
	h.conflicts(root, file("file", "new").was("d"))
	h.conflicts(root, file("gone", "new").was("f:4:1:644"))
	h.conflicts(root, file("nowhere/gone", "new").was("f:4:1:644"))
	h.conflicts(root, file("full", "new").was("-"))
	h.conflicts(root, other("delete", "file").was("f:3:3:644"))
	h.conflicts(root, other("delete", "link").was("l:elsewhere"))
	h.conflicts(root, other("dir", "file").was("-"))
	h.conflicts(root, link("link", "new").was("l:elsewhere"))
	h.conflicts(root, link("file", "new").was("-"))
	if _, err := os.Lstat(at("nowhere")); err == nil {
		t.Error("a folder was made for a file that was refused")
	}
	h.holds(at("file"), "mine")

	got := h.push(root,
		file("file", "theirs").was(h.as(at("file"))),
		file("fresh", "new").was("-"),
		link("link", "fresh").was("l:3b9c358f36f0a31b6ad3e14f309c7cf1"),
		other("dir", "full").was("-"),
		other("delete", "full").was("d"),
		other("delete", "empty").was("d"),
		other("delete", "never").was("f:1:1:644"),
	)
	if len(got.Failed) != 0 {
		t.Fatalf("%+v", got)
	}
	h.holds(at("file"), "theirs")
	h.holds(at("link"), "new")
	h.holds(at("full/own"), "own")
	if _, err := os.Lstat(at("empty")); err == nil {
		t.Error("the empty folder is still there")
	}
}

// What programs inside put at a name between the check and the rename: no folder of theirs goes, no link is followed.
func TestWhatAppearsAfterTheCheckStays(t *testing.T) {
	h := newHost(t)
	at := func(name string) string { return filepath.Join(h.folder, name) }
	fd, err := syscall.Open(h.folder, openFolder, 0)
	h.must(err)
	defer syscall.Close(fd)
	h.must(os.MkdirAll(at("folder/sub"), 0o755))
	h.must(os.WriteFile(at("folder/sub/own"), []byte("own"), 0o644))
	h.must(os.Symlink("folder", at("link")))
	h.must(os.WriteFile(at("new"), []byte("new"), 0o644))

	for _, was := range []string{"-", "d", "f:3:3", "l:0"} {
		if err := takePlace(fd, "new", "folder", was); asFailure(err, "").Code != wire.CodeConflict {
			t.Errorf("%s: %v", was, err)
		}
	}
	h.holds(at("folder/sub/own"), "own")
	p := &pusher{}
	in := &folder{fd: fd}
	for _, was := range []string{"-", "d"} {
		if err := p.makeFolder(in, "link", "link", 0o700, was); asFailure(err, "").Code != wire.CodeConflict {
			t.Errorf("%s: %v", was, err)
		}
	}
	if err := p.makeLink(in, "link", "link", "elsewhere", "-"); asFailure(err, "").Code != wire.CodeConflict {
		t.Error(err)
	}
	if target, err := os.Readlink(at("link")); err != nil || target != "folder" {
		t.Error(target, err)
	}
	if err := takePlace(fd, "new", "folder", ""); err != nil {
		t.Error(err)
	}
	h.holds(at("folder"), "new")
}

func TestPushWritesInPlaceOfAnEmptyFolderOnly(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	at := func(name string) string { return filepath.Join(root, name) }
	h.must(os.MkdirAll(at("full/below"), 0o755))
	h.must(os.MkdirAll(at("empty"), 0o755))
	h.must(os.WriteFile(at("full/below/own"), []byte("own"), 0o644))
	h.conflicts(root, file("full", "new").was("d"))
	h.conflicts(root, link("full", "new").was("d"))
	h.holds(at("full/below/own"), "own")
	if got := h.push(root, file("empty", "new").was("d")); len(got.Failed) != 0 {
		t.Fatalf("%+v", got)
	}
	h.holds(at("empty"), "new")
}

func TestPushSeesAModeThatWasChangedInside(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	h.must(os.MkdirAll(root, 0o755))
	path := filepath.Join(root, "run.sh")
	h.must(os.WriteFile(path, []byte("old"), 0o644))
	was := h.as(path)
	h.must(os.Chmod(path, 0o755))
	h.conflicts(root, file("run.sh", "new").was(was))
	h.holds(path, "old")
}
