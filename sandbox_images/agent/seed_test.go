package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// record is one of seed's, as continue_exec/mirror/seed.py makes it.
func seedBytes(kind byte, mode uint16, path string, mtime int64, extra string) []byte {
	head := []byte{kind, 0}
	head = binary.LittleEndian.AppendUint16(head, mode)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(path)))
	head = binary.LittleEndian.AppendUint64(head, uint64(mtime))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(extra)))
	return append(append(head, path...), extra...)
}

type seeded struct {
	errno        syscall.Errno
	part         byte
	mode         uint32
	size         int64
	mtime, ctime int64
	digest       []byte
}

// runSeed runs the program and returns its answers by number of record.
func runSeed(t *testing.T, from, to string, records ...[]byte) (map[uint32]seeded, string, error) {
	t.Helper()
	command := osexec.Command(os.Args[0], "seed", "--from="+from, "--to="+to)
	command.Env = append(os.Environ(), "AGENT_UNDER_TEST=1")
	command.Stdin = bytes.NewReader(bytes.Join(records, nil))
	var words strings.Builder
	command.Stderr = &words
	out, err := command.Output()
	found := map[uint32]seeded{}
	for ; len(out) >= answerSize; out = out[answerSize:] {
		le := binary.LittleEndian
		found[le.Uint32(out)] = seeded{
			errno: syscall.Errno(le.Uint16(out[4:])), part: out[6], mode: le.Uint32(out[8:]),
			size: int64(le.Uint64(out[16:])), mtime: int64(le.Uint64(out[24:])), ctime: int64(le.Uint64(out[32:])),
			digest: out[48:64],
		}
	}
	return found, words.String(), err
}

var seedEnd = make([]byte, recordHead)

func init() { seedEnd[0] = 'e' }

func TestSeedCopiesWhatItIsTold(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	old := time.Unix(1_000_000_000, 123_456_789)
	large := bytes.Repeat([]byte("0123456789abcdef"), 3*seedBuffer/16)
	for name, data := range map[string][]byte{"d/small": []byte("small"), "d/large": large, "empty": {}, "exact": large[:seedBuffer]} {
		_ = os.Mkdir(filepath.Join(from, "d"), 0o755)
		if err := os.WriteFile(filepath.Join(from, name), data, 0o640); err != nil {
			t.Fatal(err)
		}
		_ = os.Chtimes(filepath.Join(from, name), old, old)
	}
	_ = os.Chmod(filepath.Join(from, "d/small"), 0o4555)
	found, words, err := runSeed(t, from, to,
		seedBytes('d', 0o555, "d", 0, ""),
		seedBytes('c', 0, "d/small", 0, ""),
		seedBytes('c', 0, "d/large", 0, ""),
		seedBytes('c', 0, "empty", 0, ""),
		seedBytes('c', 0, "exact", 0, ""),
		seedBytes('b', 0o600, "new/deep/text", old.UnixNano(), "words"),
		seedBytes('l', 0, "d/link", 0, "/nowhere"),
		seedEnd,
	)
	if err != nil || len(found) != 7 {
		t.Fatalf("%v: %s; %d answers", err, words, len(found))
	}
	for number, each := range found {
		if each.part != 0 {
			t.Errorf("record %d: %+v", number, each)
		}
	}
	sum := sha256.Sum256(large)
	if got := found[2]; !bytes.Equal(got.digest, sum[:16]) || got.size != int64(len(large)) || got.mtime != old.UnixNano() || got.ctime != 0 {
		t.Errorf("%+v", got)
	}
	for path, want := range map[string]struct {
		data []byte
		mode os.FileMode
	}{"d/small": {[]byte("small"), 0o555}, "d/large": {large, 0o640}, "empty": {nil, 0o640}, "exact": {large[:seedBuffer], 0o640}, "new/deep/text": {[]byte("words"), 0o600}} {
		data, err := os.ReadFile(filepath.Join(to, path))
		info, _ := os.Lstat(filepath.Join(to, path))
		if err != nil || !bytes.Equal(data, want.data) || info.Mode() != want.mode || !info.ModTime().Equal(old) {
			t.Errorf("%s: %v %v", path, err, info)
		}
	}
	for path, want := range map[string]os.FileMode{"d": 0o555, "new": 0o755, "new/deep": 0o755} {
		if info, err := os.Lstat(filepath.Join(to, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", path, err, info)
		}
	}
	if target, err := os.Readlink(filepath.Join(to, "d/link")); err != nil || target != "/nowhere" {
		t.Errorf("%s %v", target, err)
	}
}

func TestSeedSaysWhatItDidNotCopy(t *testing.T) {
	from, to, outside := t.TempDir(), t.TempDir(), t.TempDir()
	_ = os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600)
	_ = os.Symlink(filepath.Join(outside, "secret"), filepath.Join(from, "link"))
	_ = os.Symlink(outside, filepath.Join(from, "folder"))
	_ = os.Symlink(outside, filepath.Join(to, "led"))
	_ = syscall.Mkfifo(filepath.Join(from, "pipe"), 0o600)
	_ = os.WriteFile(filepath.Join(from, "there"), nil, 0o600)
	_ = os.WriteFile(filepath.Join(to, "there"), []byte("kept"), 0o600)
	found, words, err := runSeed(t, from, to,
		seedBytes('c', 0, "link", 0, ""),
		seedBytes('c', 0, "folder/secret", 0, ""),
		seedBytes('b', 0o600, "led/astray", 1, "x"),
		seedBytes('c', 0, "pipe", 0, ""),
		seedBytes('c', 0, "gone", 0, ""),
		seedBytes('c', 0, "there", 0, ""),
		seedEnd,
	)
	if err != nil {
		t.Fatal(err, words)
	}
	want := []seeded{
		{errno: syscall.ELOOP, part: partSource},
		{errno: syscall.ENOTDIR, part: partSource},
		{errno: syscall.ENOTDIR, part: partDestination},
		{part: partChanged},
		{errno: syscall.ENOENT, part: partSource},
		{errno: syscall.EEXIST, part: partDestination},
	}
	for number, each := range want {
		if got := found[uint32(number)]; got.errno != each.errno || got.part != each.part {
			t.Errorf("record %d: %+v", number, got)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) != 1 {
		t.Error("something was written through a link", left)
	}
}

// A file whose size is not what it was when it was opened is not taken: /proc says 0 of files that have content.
func TestSeedLeavesOutAFileThatIsNotAsLongAsItSaid(t *testing.T) {
	to := t.TempDir()
	found, words, err := runSeed(t, "/proc/self", to, seedBytes('c', 0, "status", 0, ""), seedEnd)
	if err != nil || found[0].part != partChanged {
		t.Error(err, words, found)
	}
	if left, _ := os.ReadDir(to); len(left) != 0 {
		t.Error(left)
	}
}

func TestSeedRefuses(t *testing.T) {
	for name, records := range map[string][][]byte{
		"no end":         {seedBytes('d', 0o755, "d", 0, "")},
		"cut off":        {seedBytes('b', 0o644, "f", 0, "words")[:recordHead+3]},
		"upwards":        {seedBytes('d', 0o755, "a/../../b", 0, ""), seedEnd},
		"absolute":       {seedBytes('d', 0o755, "/b", 0, ""), seedEnd},
		"a NUL":          {seedBytes('d', 0o755, "a\x00b", 0, ""), seedEnd},
		"no path":        {seedBytes('d', 0o755, "", 0, ""), seedEnd},
		"a path too big": {seedBytes('d', 0o755, strings.Repeat("a/", 40_000)+"a", 0, ""), seedEnd},
	} {
		to := t.TempDir()
		if _, words, err := runSeed(t, t.TempDir(), to, records...); err == nil || !strings.HasPrefix(words, "seed: ") {
			t.Errorf("%s: %v %q", name, err, words)
		}
	}
}
