package main

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"continueexec/agent/wire"
)

const (
	writerCount = 3  // creating files waits for the file system more than for the processor
	writerQueue = 64 // small files that wait for one writer
	createFlags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
)

// job is one file to be written.
type job struct {
	folder *folder
	name   string
	path   string
	entry  wire.PushEntry
	bytes  []byte // all of a small file
}

var jobs = sync.Pool{New: func() any { return new(job) }}

func newJob(in *folder, name, path string, entry *wire.PushEntry) *job {
	j := jobs.Get().(*job)
	j.folder, j.name, j.path, j.entry = in, name, path, *entry
	return j
}

// size makes room for a small file's bytes.
func (j *job) size(n int) {
	if cap(j.bytes) < n {
		j.bytes = make([]byte, max(n, 16<<10))
	}
	j.bytes = j.bytes[:n]
}

// writers write small files side by side; those of the same path one after the other, in order.
type writers struct {
	push   *pusher
	queues [writerCount]chan *job
	seed   maphash.Seed
	ended  sync.WaitGroup

	mu    sync.Mutex
	idle  *sync.Cond
	paths map[string]int // under way
}

func startWriters(p *pusher) *writers {
	w := &writers{push: p, seed: maphash.MakeSeed(), paths: map[string]int{}}
	w.idle = sync.NewCond(&w.mu)
	for at := range w.queues {
		w.queues[at] = make(chan *job, writerQueue)
		w.ended.Add(1)
		go w.loop(w.queues[at])
	}
	return w
}

// give queues a job.
func (w *writers) give(j *job) {
	w.mu.Lock()
	w.paths[j.path]++
	w.mu.Unlock()
	w.queues[maphash.String(w.seed, j.path)%writerCount] <- j
}

func (w *writers) loop(queue chan *job) {
	defer w.ended.Done()
	for j := range queue {
		w.push.done(j.entry.Path, w.write(j))
		w.push.in.taken(len(j.bytes))
		w.mu.Lock()
		if w.paths[j.path]--; w.paths[j.path] == 0 {
			delete(w.paths, j.path)
		}
		w.idle.Broadcast()
		w.mu.Unlock()
		jobs.Put(j)
	}
}

// settle waits until nothing is under way for a path.
func (w *writers) settle(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.paths[path] > 0 {
		w.idle.Wait()
	}
}

// wait waits until nothing is under way.
func (w *writers) wait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.paths) > 0 {
		w.idle.Wait()
	}
}

func (w *writers) stop() {
	for _, queue := range w.queues {
		close(queue)
	}
	w.ended.Wait()
}

// write writes a small file.
func (w *writers) write(j *job) error {
	return j.inFolder(func(fd int) error {
		return j.create(fd, func(file int) error { return writeAll(file, j.bytes) })
	})
}

// inFolder calls do with the job's folder; if that has been removed meanwhile, again with one that is made anew.
func (j *job) inFolder(do func(fd int) error) error {
	err := do(j.folder.fd)
	if err != syscall.ENOENT {
		return err
	}
	fd, err := j.folder.tops.walk(j.folder.path, true)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return do(fd)
}

// create makes the file in a folder: directly if there is none, else beside it and then by rename.
func (j *job) create(folder int, fill func(file int) error) error {
	mode := uint32(j.entry.Mode) & 0o7777
	name, replace := j.name, false
	file, err := -1, error(syscall.EEXIST)
	if j.entry.Was == wasAnything || j.entry.Was == wasNothing {
		file, err = syscall.Openat(folder, name, createFlags, mode&0o777)
	}
	if err == syscall.EEXIST {
		if err = checkWas(folder, j.name, j.entry.Was); err != nil {
			return err
		}
		name, replace = temporary(), true
		file, err = syscall.Openat(folder, name, createFlags, mode&0o777)
	}
	if err != nil {
		return err
	}
	err = fill(file)
	if err == nil && mode&0o777&^umask() != mode {
		err = syscall.Fchmod(file, mode)
	}
	if err == nil && j.entry.MtimeNS != 0 {
		err = setTime(file, j.entry.MtimeNS)
	}
	if closed := syscall.Close(file); err == nil {
		err = closed
	}
	if err == nil && replace {
		err = checkWas(folder, j.name, j.entry.Was)
	}
	if err == nil && replace {
		err = takePlace(folder, name, j.name, j.entry.Was)
	}
	if err != nil {
		_ = syscall.Unlinkat(folder, name)
	}
	return err
}

// takePlace renames to a name that may be taken: by anything, or by what `was` says. A folder with something in it goes
// only in the first case.
func takePlace(folder int, from, to, was string) error {
	err := syscall.Renameat(folder, from, folder, to)
	if err != syscall.EISDIR && err != syscall.EEXIST && err != syscall.ENOTEMPTY {
		return err
	}
	switch was {
	case wasAnything:
		err = removeTree(folder, to)
	case wasFolder:
		err = removeFolder(folder, to)
	default:
		err = changed(to)
	}
	if err == syscall.EEXIST || err == syscall.ENOTEMPTY {
		return changed(to)
	}
	if err == nil {
		err = syscall.Renameat(folder, from, folder, to)
	}
	return err
}

var temporaries atomic.Uint64

// temporary is a name for a file that is not complete; watchers and lists may meet it for a moment.
func temporary() string {
	return fmt.Sprintf(".continue-exec-%x-%x.tmp", processStart, temporaries.Add(1))
}

// errStream wraps an error of the push's stream, as opposed to one of the file.
var errStream = errors.New("stream")

type streamError struct{ error }

func (streamError) Is(target error) bool { return target == errStream }
func (e streamError) Unwrap() error      { return e.error }

// stream writes a large file as it arrives. When it cannot be written its bytes are read all the same.
func (p *pusher) stream(j *job) error {
	left := j.entry.Size
	err := j.inFolder(func(folder int) error {
		return j.create(folder, func(file int) error {
			for left > 0 {
				piece, err := p.in.next(int(min(left, chunkSize)))
				if err != nil {
					return streamError{err}
				}
				left -= int64(len(piece))
				err = writeAll(file, piece)
				p.in.taken(len(piece))
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	if errors.Is(err, errStream) {
		return err
	}
	if skipped := p.skip(left); skipped != nil {
		return streamError{skipped}
	}
	return err
}

func writeAll(file int, bytes []byte) error {
	for len(bytes) > 0 {
		n, err := syscall.Write(file, bytes)
		if err != nil && err != syscall.EINTR {
			return err
		}
		bytes = bytes[max(n, 0):]
	}
	return nil
}

// umask is this process's, which children inherit and so is never changed.
var umask = sync.OnceValue(func() uint32 {
	mask := syscall.Umask(0o022)
	syscall.Umask(mask)
	return uint32(mask)
})

const utimeOmit = 1<<30 - 2 // UTIME_OMIT, utimensat(2)

// setTime sets an open file's time of modification.
func setTime(file int, nanoseconds int64) error {
	times := [2]syscall.Timespec{{Nsec: utimeOmit}, syscall.NsecToTimespec(nanoseconds)}
	_, _, failed := syscall.Syscall6(syscall.SYS_UTIMENSAT, uintptr(file), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if failed != 0 {
		return failed
	}
	return nil
}
