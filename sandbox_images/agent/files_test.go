package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"continueexec/agent/wire"
)

func TestStatAndList(t *testing.T) {
	h := newHost(t)
	h.must(os.MkdirAll(filepath.Join(h.folder, "d/sub"), 0o755))
	h.must(os.WriteFile(filepath.Join(h.folder, "d/a"), []byte("abc"), 0o640))
	h.must(os.Symlink("a", filepath.Join(h.folder, "d/link")))
	h.must(syscall.Mkfifo(filepath.Join(h.folder, "d/pipe"), 0o600))
	var got wire.FileList
	h.call("list", wire.Path{Path: filepath.Join(h.folder, "d")}, &got)
	text := ""
	for _, each := range got.Entries {
		text += filepath.Base(each.Path) + ":" + each.Kind + ":" + each.Target + " "
	}
	if text != "a:file: link:symlink:a pipe:other: sub:dir: " {
		t.Errorf("%s", text)
	}
	var found wire.FileStat
	for path, kind := range map[string]string{"d/none": "missing", "d/a/none": "missing", "d/link": "symlink", "d": "dir"} {
		h.call("stat", wire.Path{Path: filepath.Join(h.folder, path)}, &found)
		if found.Kind != kind {
			t.Errorf("%s is %s", path, found.Kind)
		}
	}
	h.refused(wire.CodeNotFound, "list", wire.Path{Path: filepath.Join(h.folder, "none")})
	h.refused(wire.CodeInvalidRequest, "list", wire.Path{Path: filepath.Join(h.folder, "d/a")})
	h.refused(wire.CodeInvalidRequest, "stat", wire.Path{Path: "relative"})
	h.refused(wire.CodeInvalidRequest, "stat", wire.Path{Path: "/a\x00b"})
}

func TestAListThatIsTooLargeIsAnError(t *testing.T) {
	h := newHost(t)
	folder := filepath.Join(h.folder, strings.Repeat("long", 50))
	h.must(os.Mkdir(folder, 0o755))
	for n := range 3000 {
		h.must(os.WriteFile(filepath.Join(folder, fmt.Sprintf("%0200d", n)), nil, 0o644))
	}
	h.refused(wire.CodeTooLarge, "list", wire.Path{Path: folder})
}

func TestRead(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(h.folder, "file")
	text := strings.Repeat("0123456789", 300_000)
	h.must(os.WriteFile(path, []byte(text), 0o644))
	for _, each := range []struct {
		offset, length int64
		want           string
	}{{0, -1, text}, {5, 10, text[5:15]}, {2_999_990, 100, text[2_999_990:]}, {4_000_000, -1, ""}, {0, 0, ""}} {
		stream := h.stream()
		var result wire.ReadResult
		h.call("read", map[string]any{"stream": stream, "path": path, "offset": each.offset, "length": each.length}, &result)
		if got := string(h.captured(stream).out); got != each.want || result.Bytes != int64(len(each.want)) {
			t.Errorf("%d+%d: %d bytes, announced %d, not %d", each.offset, each.length, len(got), result.Bytes, len(each.want))
		}
	}
	stream := h.stream()
	h.call("read", json.RawMessage(fmt.Sprintf(`{"stream":%d,"path":%q}`, stream, path)), nil)
	if got := len(h.captured(stream).out); got != len(text) {
		t.Errorf("without a length: %d bytes", got)
	}
	h.must(os.Symlink(path, filepath.Join(h.folder, "link")))
	h.must(syscall.Mkfifo(filepath.Join(h.folder, "pipe"), 0o600))
	h.refused(wire.CodeNotFound, "read", wire.Read{Stream: h.stream(), Path: path + "x"})
	h.refused(wire.CodeInvalidRequest, "read", wire.Read{Stream: h.stream(), Path: h.folder})
	h.refused(wire.CodeInvalidRequest, "read", wire.Read{Stream: h.stream(), Path: filepath.Join(h.folder, "link")})
	h.refused(wire.CodeInvalidRequest, "read", wire.Read{Stream: h.stream(), Path: filepath.Join(h.folder, "pipe")})
}

func TestAReadCanBeClosed(t *testing.T) {
	h := newHost(t)
	h.grants = false
	path := filepath.Join(h.folder, "file")
	h.must(os.WriteFile(path, make([]byte, 3<<20), 0o644))
	stream := h.stream()
	id := h.ask("read", wire.Read{Stream: stream, Path: path, Length: -1})
	h.wait("a full window", func() bool { return len(h.captured(stream).out) == wire.InitialCredit })
	h.call("close", wire.StreamRef{Stream: stream}, nil)
	if got := h.answer(id); got.Error == nil {
		t.Errorf("%s", got.Result)
	}
	h.call("close", wire.StreamRef{Stream: stream}, nil) // again is success
}

func (h *host) sees(what string, condition func(paths []string, overflow bool) bool) {
	h.Helper()
	h.wait(what, func() bool {
		var paths []string
		overflow := false
		for _, each := range h.changed {
			paths = append(paths, each.Paths...)
			overflow = overflow || each.Overflow
		}
		return condition(paths, overflow)
	})
}

func TestWatch(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	h.must(os.MkdirAll(filepath.Join(root, "old/deep"), 0o755))
	stream := h.stream()
	h.call("watch", wire.Watch{Stream: stream, Path: root}, nil)
	see := func(path string) {
		t.Helper()
		h.sees(path, func(paths []string, _ bool) bool { return slices.Contains(paths, filepath.Join(root, path)) })
	}
	h.must(os.WriteFile(filepath.Join(root, "old/deep/a"), nil, 0o644))
	see("old/deep/a")
	h.must(os.MkdirAll(filepath.Join(root, "new/x/y"), 0o755))
	h.must(os.WriteFile(filepath.Join(root, "new/x/y/b"), nil, 0o644))
	see("new/x/y/b")
	h.must(os.WriteFile(filepath.Join(root, "new/x/y/c"), nil, 0o644))
	see("new/x/y/c")
	h.must(os.Rename(filepath.Join(root, "new"), filepath.Join(root, "moved")))
	see("new")
	see("moved")
	h.must(os.WriteFile(filepath.Join(root, "moved/x/y/d"), nil, 0o644))
	see("moved/x/y/d")
	h.must(os.Remove(filepath.Join(root, "old/deep/a")))
	h.push(root, file("pushed", "x"))
	see("pushed")
	h.call("close", wire.StreamRef{Stream: stream}, nil)
	h.refused(wire.CodeNotFound, "watch", wire.Watch{Stream: h.stream(), Path: root + "x"})
	h.refused(wire.CodeNotFound, "watch", wire.Watch{Stream: h.stream(), Path: filepath.Join(root, "pushed")})
}

func TestWatchOfAStorm(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	h.must(os.MkdirAll(root, 0o755))
	h.call("watch", wire.Watch{Stream: h.stream(), Path: root}, nil)
	for n := range 5000 {
		h.must(os.WriteFile(filepath.Join(root, fmt.Sprint(n)), nil, 0o644))
	}
	h.sees("all or overflow", func(paths []string, overflow bool) bool {
		slices.Sort(paths)
		return overflow || len(slices.Compact(paths)) >= 5000
	})
	for _, each := range h.changed {
		if len(each.Paths) > mostPaths {
			t.Errorf("%d paths at once", len(each.Paths))
		}
	}
}
