package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"continueexec/agent/wire"
)

// record is one record of a push. header, if set, is sent in the entry's place.
type record struct {
	entry  wire.PushEntry
	header string
	data   string
}

func file(path, data string) record {
	return record{entry: wire.PushEntry{Path: path, Kind: "file", Mode: 0o644, Size: int64(len(data))}, data: data}
}

func other(kind, path string) record {
	return record{entry: wire.PushEntry{Path: path, Kind: kind, Mode: 0o755}}
}

func link(path, target string) record {
	return record{entry: wire.PushEntry{Path: path, Kind: "symlink", Target: target}}
}

func encode(h *host, records []record) []byte {
	var all []byte
	for _, each := range records {
		header := []byte(each.header)
		if each.header == "" {
			var err error
			header, err = json.Marshal(each.entry)
			h.must(err)
		}
		all = binary.BigEndian.AppendUint32(all, uint32(len(header)))
		all = append(append(all, header...), each.data...)
	}
	return all
}

// pushBytes sends raw records in frames of at most piece bytes, as credit allows.
func (h *host) pushBytes(root string, all []byte, piece int) answer {
	h.Helper()
	stream := h.stream()
	id := h.ask("push", wire.Push{Stream: stream, Root: root})
	answered := func() bool { _, there := h.answers[id]; return there }
	for sent := 0; sent < len(all); {
		n := min(piece, len(all)-sent)
		h.wait("credit", func() bool { return wire.InitialCredit+h.granted[stream]-sent >= n || answered() })
		h.send(wire.KindPush, stream, all[sent:sent+n])
		sent += n
	}
	h.send(wire.KindPush, stream, nil)
	return h.answer(id)
}

func (h *host) push(root string, records ...record) wire.PushResult {
	h.Helper()
	got := h.pushBytes(root, encode(h, records), 100_000)
	if got.Error != nil {
		h.Fatalf("push: %v", got.Error)
	}
	var result wire.PushResult
	h.must(json.Unmarshal(got.Result, &result))
	return result
}

// holds checks a file's contents.
func (h *host) holds(path, want string) {
	h.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		h.Errorf("%s holds %.40q (%v), not %.40q", path, got, err, want)
	}
}

func TestPushWritesATree(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "a", "root") // both are missing
	large := strings.Repeat("0123456789", 40_000)
	program := file("bin/tool", "#!/bin/sh\n")
	program.entry.Mode, program.entry.MtimeNS = 0o775, 1_234_567_890_123_456_789
	secret := other("dir", "private")
	secret.entry.Mode = 0o700
	got := h.push(root, other("dir", "bin"), program, file("deep/er/est.txt", "x"), file("empty", ""), file("large", large),
		link("bin/alias", "../nowhere"), secret, file(strings.Repeat("n", 255), "name"))
	if got.Written != 8 || len(got.Failed) != 0 {
		t.Fatalf("%+v", got)
	}
	h.holds(filepath.Join(root, "deep/er/est.txt"), "x")
	h.holds(filepath.Join(root, "empty"), "")
	h.holds(filepath.Join(root, "large"), large)
	var found wire.FileStat
	h.call("stat", wire.Path{Path: filepath.Join(root, "bin/tool")}, &found)
	if found.Mode != 0o775 || found.MtimeNS != program.entry.MtimeNS || found.Kind != "file" || found.Size != 10 {
		t.Errorf("%+v", found)
	}
	h.call("stat", wire.Path{Path: filepath.Join(root, "bin/alias")}, &found)
	if found.Kind != "symlink" || found.Target != "../nowhere" {
		t.Errorf("%+v", found)
	}
	h.call("stat", wire.Path{Path: filepath.Join(root, "private")}, &found)
	if found.Kind != "dir" || found.Mode != 0o700 {
		t.Errorf("%+v", found)
	}
}

func TestPushReplacesWhateverIsThere(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	h.push(root, file("file", "old"), file("tree/a/b", "c"), link("link", "file"), file("was-file", "x"), file("tree2/x", "y"))
	before, err := os.Open(filepath.Join(root, "file"))
	h.must(err)
	defer before.Close()
	got := h.push(root, file("file", "new"), file("tree", "now a file"), file("link", "now a file"), other("dir", "was-file"),
		file("was-file/below", "z"), link("tree2", "link"))
	if len(got.Failed) != 0 {
		t.Fatalf("%+v", got)
	}
	buffer := make([]byte, 10)
	if n, _ := before.Read(buffer); string(buffer[:n]) != "old" {
		t.Errorf("a reader sees %q: it was not replaced by rename", buffer[:n])
	}
	h.holds(filepath.Join(root, "file"), "new")
	h.holds(filepath.Join(root, "tree"), "now a file")
	h.holds(filepath.Join(root, "tree2"), "now a file")
	h.holds(filepath.Join(root, "was-file/below"), "z")
	names, _ := os.ReadDir(root)
	for _, each := range names {
		if strings.HasPrefix(each.Name(), ".continue-exec") {
			t.Errorf("left behind: %s", each.Name())
		}
	}
}

func TestPushKeepsTheOrderOfAPath(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	var records []record
	for n := range 200 {
		records = append(records, file("same", fmt.Sprint(n)), other("delete", "gone"), file("gone", "x"))
		records = append(records, file("t/a", "1"), other("delete", "t"), file("t/b", fmt.Sprint(n)))
	}
	records = append(records, other("delete", "gone"), other("delete", "never/was"))
	if got := h.push(root, records...); len(got.Failed) != 0 || got.Written != len(records) {
		t.Fatalf("%+v", got)
	}
	h.holds(filepath.Join(root, "same"), "199")
	h.holds(filepath.Join(root, "t/b"), "199")
	for _, path := range []string{"gone", "t/a"} {
		if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
			t.Errorf("%s is there", path)
		}
	}
}

func TestPushNeverLeavesItsRoot(t *testing.T) {
	h := newHost(t)
	outside := filepath.Join(h.folder, "outside")
	root := filepath.Join(h.folder, "root")
	h.must(os.MkdirAll(outside, 0o755))
	h.must(os.WriteFile(filepath.Join(outside, "victim"), []byte("safe"), 0o644))
	h.must(os.MkdirAll(root, 0o755))
	h.must(os.Symlink(outside, filepath.Join(root, "out")))
	h.must(os.Symlink(filepath.Join(outside, "victim"), filepath.Join(root, "direct")))
	bad := []string{"../outside/victim", "/etc/x", "a/../../outside/victim", "", ".", "..", "a//b", "a/./b", "a/", "/", "a/..", "nul\x00byte"}
	var records []record
	for _, path := range bad {
		records = append(records, file(path, "evil"), other("delete", path), other("dir", path), link(path, "x"))
	}
	for _, kind := range []record{file("out/victim", "evil"), other("dir", "out/d"), link("out/l", "x")} {
		records = append(records, kind)
	}
	got := h.push(root, records...)
	if got.Written != 0 {
		t.Errorf("%d were written; failed: %+v", got.Written, got.Failed)
	}
	// What a link points to is neither deleted nor overwritten; the link itself may be.
	got = h.push(root, other("delete", "out/victim"), file("direct", "mine"), other("delete", "out"))
	if len(got.Failed) != 0 {
		t.Errorf("%+v", got)
	}
	h.holds(filepath.Join(outside, "victim"), "safe")
	h.holds(filepath.Join(root, "direct"), "mine")
	entries, _ := os.ReadDir(outside)
	if len(entries) != 1 {
		t.Errorf("outside now holds %v", entries)
	}
	h.must(os.Symlink(outside, filepath.Join(h.folder, "rootlink")))
	h.refused(wire.CodeConflict, "push", wire.Push{Stream: h.stream(), Root: filepath.Join(h.folder, "rootlink")})
	h.refused(wire.CodeInvalidRequest, "push", wire.Push{Stream: h.stream(), Root: "relative"})
}

func TestPushGoesOnAfterAFailure(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	large := strings.Repeat("x", 300_000)
	got := h.push(root, file("ok1", "1"), file(strings.Repeat("n", 300), "too long"), file(strings.Repeat("m", 300), large),
		record{entry: wire.PushEntry{Path: "odd", Kind: "socket"}}, file("ok2", "2"))
	if got.Written != 2 || len(got.Failed) != 3 {
		t.Fatalf("%+v", got)
	}
	h.holds(filepath.Join(root, "ok2"), "2")
	var many []record
	for n := range mostFailures + 50 {
		many = append(many, file(fmt.Sprintf("../%d", n), "x"))
	}
	if got = h.push(root, many...); got.Written != 0 || len(got.Failed) != mostFailures || got.Unlisted != 50 {
		t.Errorf("%d written, %d listed, %d not", got.Written, len(got.Failed), got.Unlisted)
	}
}

func TestPushFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		// What an ordinary user can fill is /dev/full's like; the kernel's answer is the same errno.
		if code, _ := codeOf(syscall.ENOSPC); code != wire.CodeDiskFull {
			t.Error(code)
		}
		return
	}
	h := newHost(t)
	small := filepath.Join(h.folder, "small")
	h.must(os.Mkdir(small, 0o755))
	h.must(syscall.Mount("tmpfs", small, "tmpfs", 0, "size=256k"))
	defer syscall.Unmount(small, syscall.MNT_DETACH)
	got := h.push(small, file("fits", "x"), file("large", strings.Repeat("x", 600_000)), file("medium", strings.Repeat("y", 200_000)),
		file("too", strings.Repeat("z", 100_000)))
	if got.Written != 2 || len(got.Failed) != 2 || got.Failed[0].Code != wire.CodeDiskFull || got.Failed[1].Code != wire.CodeDiskFull {
		t.Errorf("%+v", got)
	}
	for _, path := range []string{"large", "too"} {
		if _, err := os.Lstat(filepath.Join(small, path)); err == nil {
			t.Errorf("half of %s is there", path)
		}
	}
}

func TestPushNamesThatAreNoText(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	got := h.push(root, record{header: `{"path":"caf\udce9/\ud83d\udca9","kind":"file","size":1,"mode":420}`, data: "x"},
		record{header: `{"path":"l","kind":"symlink","target":"to-\udcff"}`})
	if got.Written != 2 {
		t.Fatalf("%+v", got)
	}
	h.holds(filepath.Join(root, "caf\xe9/💩"), "x")
	if target, _ := os.Readlink(filepath.Join(root, "l")); target != "to-\xff" {
		t.Errorf("target %q", target)
	}
	reply := h.answer(h.ask("list", wire.Path{Path: root}))
	if text := string(reply.Result); !strings.Contains(text, `root/caf\udce9"`) || !strings.Contains(text, `"to-\udcff"`) {
		t.Errorf("list says %s", text)
	}
	reply = h.answer(h.ask("stat", json.RawMessage(fmt.Sprintf(`{"path":"%s/caf\udce9"}`, root))))
	if text := string(reply.Result); !strings.Contains(text, `"kind":"dir"`) {
		t.Errorf("stat says %s", text)
	}
}

func TestPushInAnyPieces(t *testing.T) {
	h := newHost(t)
	all := encode(h, []record{file("a", "aa"), other("dir", "d"), file("d/b", ""), file("c", "cc")})
	for piece := 1; piece < 12; piece++ {
		root := filepath.Join(h.folder, fmt.Sprint(piece))
		if got := h.pushBytes(root, all, piece); got.Error != nil {
			t.Fatalf("pieces of %d: %v", piece, got.Error)
		}
		h.holds(filepath.Join(root, "c"), "cc")
	}
}

func TestPushOfGarbage(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	whole := encode(h, []record{file("cut", "abc")})
	for name, bytes := range map[string]string{
		"length":   "\xff\xff\xff\xff{}",
		"no JSON":  "\x00\x00\x00\x01{",
		"cut":      "\x00\x00\x00\x40{",
		"cut data": string(whole[:len(whole)-1]),
		"negative": string(encode(h, []record{{header: `{"path":"a","kind":"file","size":-5}`}})),
	} {
		got := h.pushBytes(root, []byte(bytes), 1000)
		if got.Error == nil || got.Error.Code != wire.CodeProtocolError {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Errorf("written: %v", entries)
	}
	h.push(root, file("a", "b")) // the connection lives
}

func TestPushOfManyFiles(t *testing.T) {
	h := newHost(t)
	var records []record
	for n := range 3000 {
		records = append(records, file(fmt.Sprintf("d%d/f%d", n/5, n), strings.Repeat(fmt.Sprint(n), n%700)))
	}
	began := time.Now()
	got := h.push(filepath.Join(h.folder, "root"), records...)
	t.Logf("%d files in %v", got.Written, time.Since(began))
	if got.Written != 3000 {
		t.Errorf("%d written, %+v", got.Written, got.Failed)
	}
	for n := range 3000 {
		h.holds(filepath.Join(h.folder, fmt.Sprintf("root/d%d/f%d", n/5, n)), strings.Repeat(fmt.Sprint(n), n%700))
	}
}

func TestPushWhoseHostGoesAwayLeavesNoHalfFile(t *testing.T) {
	h := newHost(t)
	root := filepath.Join(h.folder, "root")
	stream := h.stream()
	h.ask("push", wire.Push{Stream: stream, Root: root})
	all := encode(h, []record{file("whole", "x"), file("half", strings.Repeat("y", 500_000))})
	h.send(wire.KindPush, stream, all[:300_000])
	for { // until it is being written
		if _, err := os.Lstat(filepath.Join(root, "half")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	h.connect()
	for {
		if _, err := os.Lstat(filepath.Join(root, "half")); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	h.holds(filepath.Join(root, "whole"), "x")
}
