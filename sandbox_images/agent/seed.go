package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// `agent seed` is not the agent: the engine runs this program on the host, to write the first files of a sandbox that has
// never run into the folder that will be its workspace (continue_exec/mirror/seed.py says what is copied, and why here).
// Records come on stdin; for each an answer goes to stdout, in any order. Nothing is followed out of either folder.
//
//	record  u8 kind, u8 0, u16 mode, u32 length of path, i64 time of modification (ns), u64 length of extra, path, extra
//	        kinds: `d` a folder, `c` copy the file of that path, `b` a file whose bytes are extra, `l` a link to extra,
//	        `e` the end, without a path; when the records end without it, so does this program, at once
//	answer  u32 number of the record, u16 errno, u8 part, u8 0, u32 mode, u32 0, i64 size, i64 time of modification,
//	        i64 time of change (0: too young to be relied on), u64 inode, first 16 bytes of SHA-256 of what was copied
//
// With --texts, texts are written to that file as well, so that they can be merged with later ones: one record after the
// other, as continue_exec/mirror/blobs.py has them.
//
// All in little endian. Folders come before what is in them, and get their modes at the end, as they may forbid writing.

const (
	recordHead = 24
	answerSize = 64

	partSource      = 1 // the errno is about the host's file
	partDestination = 2 // the errno is about the copy
	partChanged     = 3 // the file changed while it was copied, or is no regular file (any more): there is no copy

	seedBatch   = 64        // files of one folder that one goroutine copies
	seedBuffer  = 256 << 10 // bytes; smaller files are read before their copy is made
	textHead    = 4 + 16    // bytes before a text: its length, its hash
	textLook    = 8000      // bytes in which a text has no NUL, as Git has it
	longestPath = 64 << 10
	mostExtra   = 1 << 30

	// youngNS is _YOUNG_NS of continue_exec/mirror/batch.py: a file that changed less than this ago may change again
	// without a difference in its times.
	youngNS = 50_000_000
)

type seedRecord struct {
	number uint32
	kind   byte
	mode   uint32
	mtime  int64
	folder string
	name   string
	extra  []byte
}

type seedAnswer struct {
	number uint32
	errno  syscall.Errno
	part   byte
	found  syscall.Stat_t
	ctime  int64
	digest [sha256.Size]byte
}

// seeder is one copy at work.
type seeder struct {
	from, to *folders
	texts    int // descriptor; negative: none are kept
	batches  chan []seedRecord
	workers  sync.WaitGroup

	mu  sync.Mutex
	out *bufio.Writer
	err error

	keeping sync.Mutex // of texts
}

// seed is the program; returns its exit code.
func seed(args []string) int {
	flags := flag.NewFlagSet("seed", flag.ContinueOnError)
	from := flags.String("from", "", "the host's folder")
	to := flags.String("to", "", "the folder that is filled; it is there")
	texts := flags.String("texts", "", "the file that gets the texts; made if it is missing")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	dieWithParent()
	syscall.Umask(0) // modes come out as they were said, whatever the engine's umask
	s := &seeder{texts: -1, out: bufio.NewWriterSize(os.Stdout, 64<<10), batches: make(chan []seedRecord, 16)}
	var err error
	if *texts != "" {
		const flags = syscall.O_WRONLY | syscall.O_APPEND | syscall.O_CREAT | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
		s.texts, err = syscall.Open(*texts, flags, 0o600)
	}
	if err == nil {
		s.from, err = topFolder(*from)
	}
	if err == nil {
		s.to, err = topFolder(*to)
	}
	if err == nil {
		err = s.all(bufio.NewReaderSize(os.Stdin, 256<<10))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "seed: %v\n", err)
		return 1
	}
	return 0
}

// dieWithParent sees to it that nothing is written any more when the engine has been killed: its successor begins anew.
func dieWithParent() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
}

// topFolder opens a folder that the engine named; above it links are followed.
func topFolder(path string) (*folders, error) {
	fd, err := syscall.Open(path, oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := &folders{opened: map[string]*folder{}}
	f.top = &folder{fd, "", f}
	return f, nil
}

// all works through every record.
func (s *seeder) all(in *bufio.Reader) error {
	for range max(2, runtime.NumCPU()) {
		s.workers.Add(1)
		go s.work()
	}
	made, err := s.read(in)
	if err != nil {
		return err // the program ends with the workers at work: what they write counts for nothing
	}
	close(s.batches)
	s.workers.Wait()
	// From the bottom up: a folder that may not be entered would hide those in it.
	for at := len(made) - 1; at >= 0; at-- {
		s.answer(s.finish(&made[at]))
	}
	if s.err == nil {
		s.err = s.out.Flush()
	}
	return s.err
}

// read takes records, makes folders, and hands files on; returns the folders.
func (s *seeder) read(in *bufio.Reader) ([]seedRecord, error) {
	var made, batch []seedRecord
	for number := uint32(0); ; number++ {
		record, err := readRecord(in, number)
		if err != nil {
			return nil, err
		}
		ended := record.kind == 'e'
		if len(batch) > 0 && (ended || record.kind == 'd' || len(batch) == seedBatch || record.folder != batch[0].folder) {
			s.batches <- batch
			batch = nil
		}
		switch {
		case ended:
			return made, nil
		case record.kind != 'd':
			batch = append(batch, record)
		default:
			if err := s.folder(&record); err != nil {
				s.answer(seedAnswer{number: number, errno: errnoOf(err), part: partDestination})
			} else {
				made = append(made, record)
			}
		}
	}
}

func readRecord(in *bufio.Reader, number uint32) (seedRecord, error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return seedRecord{}, fmt.Errorf("record %d: %w", number, err)
	}
	if head[0] == 'e' {
		return seedRecord{kind: 'e'}, nil
	}
	length := binary.LittleEndian.Uint32(head[4:])
	extra := binary.LittleEndian.Uint64(head[16:])
	if length == 0 || length > longestPath || extra > mostExtra {
		return seedRecord{}, fmt.Errorf("record %d announces a path of %d and %d more bytes", number, length, extra)
	}
	rest := make([]byte, uint64(length)+extra)
	if _, err := io.ReadFull(in, rest); err != nil {
		return seedRecord{}, fmt.Errorf("record %d: %w", number, err)
	}
	path := string(rest[:length])
	if err := checkRelative(path); err != nil {
		return seedRecord{}, err
	}
	r := seedRecord{
		number: number,
		kind:   head[0],
		mode:   uint32(binary.LittleEndian.Uint16(head[2:])) & 0o777,
		mtime:  int64(binary.LittleEndian.Uint64(head[8:])),
		name:   path,
		extra:  rest[length:],
	}
	if cut := strings.LastIndexByte(path, '/'); cut >= 0 {
		r.folder, r.name = path[:cut], path[cut+1:]
	}
	return r, nil
}

func checkRelative(path string) error {
	if strings.IndexByte(path, 0) >= 0 {
		return fmt.Errorf("a path holds a NUL")
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("the path %q has the component %q", path, part)
		}
	}
	return nil
}

// folder makes a folder that we may write into; finish gives it its mode.
func (s *seeder) folder(r *seedRecord) error {
	parent, err := s.to.walk(r.folder, true)
	if err != nil {
		return err
	}
	defer syscall.Close(parent)
	if err = syscall.Mkdirat(parent, r.name, r.mode|0o700); err == syscall.EEXIST {
		err = nil // made for something in it
	}
	return err
}

func (s *seeder) finish(r *seedRecord) seedAnswer {
	result := seedAnswer{number: r.number, part: partDestination}
	fd, err := s.to.walk(r.folder, false)
	if err == nil {
		defer syscall.Close(fd)
		var folder int
		if folder, err = syscall.Openat(fd, r.name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0); err == nil {
			defer syscall.Close(folder)
			err = syscall.Fchmod(folder, r.mode)
		}
	}
	return result.with(err)
}

func (a seedAnswer) with(err error) seedAnswer {
	if err == nil {
		a.part, a.errno = 0, 0
	} else {
		a.errno = errnoOf(err)
	}
	return a
}

func errnoOf(err error) syscall.Errno {
	if errno, ok := err.(syscall.Errno); ok {
		return errno
	}
	return syscall.ENOTDIR // what step says of a component that is no folder
}

// work copies the files of one batch after the other.
func (s *seeder) work() {
	defer s.workers.Done()
	room := make([]byte, textHead+seedBuffer)
	sum := sha256.New()
	for batch := range s.batches {
		from, noSource := s.from.walk(batch[0].folder, false)
		to, noTarget := s.to.walk(batch[0].folder, true)
		for at := range batch {
			r := &batch[at]
			switch {
			case noTarget != nil:
				s.answer(seedAnswer{number: r.number, errno: errnoOf(noTarget), part: partDestination})
			case r.kind != 'c':
				s.answer(r.make(to))
			case noSource != nil:
				s.answer(seedAnswer{number: r.number, errno: errnoOf(noSource), part: partSource})
			default:
				result, size := r.copy(from, to, room[textHead:], sum)
				if result.errno == 0 && result.part == 0 && size > 0 {
					s.keep(room[:textHead+size], result.digest[:16])
				}
				s.answer(result)
			}
		}
		if noSource == nil {
			_ = syscall.Close(from)
		}
		if noTarget == nil {
			_ = syscall.Close(to)
		}
	}
}

// make writes what came with the record.
func (r *seedRecord) make(to int) seedAnswer {
	result := seedAnswer{number: r.number, part: partDestination}
	if r.kind == 'l' {
		return result.with(symlinkat(string(r.extra), to, r.name))
	}
	file, err := syscall.Openat(to, r.name, createFlags, r.mode)
	if err != nil {
		return result.with(err)
	}
	return result.with(r.done(to, file, writeAll(file, r.extra), r.mtime))
}

// done closes a copy; one that is not complete is deleted.
func (r *seedRecord) done(to, file int, err error, mtime int64) error {
	if err == nil {
		err = setTime(file, mtime)
	}
	if closed := syscall.Close(file); err == nil {
		err = closed
	}
	if err != nil {
		_ = syscall.Unlinkat(to, r.name)
	}
	return err
}

// keep appends a text to the texts: one write, so that those of several goroutines stand one after the other. One that
// cannot be kept, or is written half, is only not there to be merged.
func (s *seeder) keep(record []byte, digest []byte) {
	text := record[textHead:]
	if s.texts < 0 || bytes.IndexByte(text[:min(len(text), textLook)], 0) >= 0 {
		return
	}
	binary.LittleEndian.PutUint32(record, uint32(len(text)))
	copy(record[4:], digest)
	s.keeping.Lock()
	defer s.keeping.Unlock()
	if n, err := syscall.Write(s.texts, record); err != nil || n != len(record) {
		_ = syscall.Close(s.texts) // what follows half a record could not be found
		s.texts = -1
	}
}

// copy copies one file as it is now. If all of it is in the buffer, its size is returned.
func (r *seedRecord) copy(from, to int, buffer []byte, sum hash.Hash) (seedAnswer, int) {
	result := seedAnswer{number: r.number, part: partSource}
	// Not blocking: a named pipe that took the file's place must not hang us.
	const flags = syscall.O_RDONLY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY | syscall.O_CLOEXEC
	source, err := syscall.Openat(from, r.name, flags, 0)
	if err != nil {
		return result.with(err), 0
	}
	defer syscall.Close(source)
	if err := syscall.Fstat(source, &result.found); err != nil {
		return result.with(err), 0
	}
	if result.found.Mode&syscall.S_IFMT != syscall.S_IFREG {
		result.part = partChanged
		return result, 0
	}
	now := time.Now().UnixNano()
	if result.ctime = syscall.TimespecToNsec(result.found.Ctim); now-result.ctime < youngNS {
		result.ctime = 0
	}
	sum.Reset()
	n, err := readFull(source, buffer)
	if err != nil {
		return result.with(err), 0
	}
	whole := n < len(buffer)
	if whole && int64(n) != result.found.Size {
		result.part = partChanged
		return result, 0
	}
	result.part = partDestination
	file, err := syscall.Openat(to, r.name, createFlags, result.found.Mode&0o777)
	if err != nil {
		return result.with(err), 0
	}
	total := int64(0)
	for n > 0 && err == nil {
		total += int64(n)
		_, _ = sum.Write(buffer[:n])
		if err = writeAll(file, buffer[:n]); err != nil || whole {
			break
		}
		if total > result.found.Size { // it grows: no end may ever come
			break
		}
		if n, err = readFull(source, buffer); err != nil {
			result.part = partSource
		}
	}
	if err == nil && total != result.found.Size {
		err, result.part = syscall.EAGAIN, partChanged
	}
	sum.Sum(result.digest[:0])
	result = result.with(r.done(to, file, err, syscall.TimespecToNsec(result.found.Mtim)))
	if !whole {
		return result, 0
	}
	return result, int(total)
}

// readFull reads until the buffer is full or the file ends.
func readFull(file int, buffer []byte) (int, error) {
	total := 0
	for total < len(buffer) {
		n, err := syscall.Read(file, buffer[total:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return total, err
		}
		if n == 0 {
			break
		}
		total += n
	}
	return total, nil
}

func (s *seeder) answer(a seedAnswer) {
	var line [answerSize]byte
	binary.LittleEndian.PutUint32(line[0:], a.number)
	binary.LittleEndian.PutUint16(line[4:], uint16(a.errno))
	line[6] = a.part
	binary.LittleEndian.PutUint32(line[8:], a.found.Mode)
	binary.LittleEndian.PutUint64(line[16:], uint64(a.found.Size))
	binary.LittleEndian.PutUint64(line[24:], uint64(syscall.TimespecToNsec(a.found.Mtim)))
	binary.LittleEndian.PutUint64(line[32:], uint64(a.ctime))
	binary.LittleEndian.PutUint64(line[40:], a.found.Ino)
	copy(line[48:], a.digest[:16])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		_, s.err = s.out.Write(line[:])
	}
}
