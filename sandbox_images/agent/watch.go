package main

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"continueexec/agent/wire"
)

const (
	// batchTime gathers what changes together, so that a build does not become a notification per file.
	batchTime = 20 * time.Millisecond
	// mostPaths in one notification, whose frame is bounded; with more, the host is to look at all of it.
	mostPaths = 2048
	// watchEvents are those that change what a reader of the tree would see.
	watchEvents = syscall.IN_CREATE | syscall.IN_CLOSE_WRITE | syscall.IN_MODIFY | syscall.IN_ATTRIB | syscall.IN_DELETE |
		syscall.IN_MOVED_FROM | syscall.IN_MOVED_TO | syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF
	watchFlags = watchEvents | syscall.IN_ONLYDIR | syscall.IN_DONT_FOLLOW | syscall.IN_EXCL_UNLINK
)

// watch reports what changes below a folder until close. Links are not followed.
func watch(_ *agent, r *request) func() {
	var params wire.Watch
	if !r.decode(&params) {
		return nil
	}
	path := wire.Bytes(params.Path)
	if err := checkPath(path); err != nil {
		r.fail(err)
		return nil
	}
	w := &watching{conn: r.conn, stream: params.Stream, folders: map[int32]string{}, changed: map[string]bool{}}
	if err := r.conn.open(params.Stream, w); err != nil {
		r.fail(err)
		return nil
	}
	return func() {
		if err := w.begin(filepath.Clean(path)); err != nil {
			r.conn.drop(params.Stream, w)
			w.end()
			r.fail(asFailure(err, path))
			return
		}
		r.ok(wire.Empty{}) // from here on nothing is missed
		w.report()
	}
}

// watching is one watch: a goroutine reads events (collect), another sends them in batches (report).
type watching struct {
	conn   *conn
	stream uint32

	mu       sync.Mutex
	file     *os.File // of inotify
	ended    bool
	changed  map[string]bool
	overflow bool
	news     chan struct{} // holds one token when there is something to report; closed at the end

	folders map[int32]string // by watch descriptor; collect's own after begin
}

func (w *watching) begin(path string) error {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.file = os.NewFile(uintptr(fd), "inotify")
	w.news = make(chan struct{}, 1)
	ended := w.ended
	w.mu.Unlock()
	if ended {
		w.end()
		return errGone
	}
	number, err := syscall.InotifyAddWatch(fd, path, watchFlags)
	if err != nil {
		close(w.news)
		return err
	}
	w.folders[int32(number)] = path
	w.add(path, false)
	go w.collect()
	return nil
}

// add watches every folder below one that is watched. With tell, what is found in them is reported: it came before
// the watch did. A limit of the kernel is an overflow: the host then looks for itself.
func (w *watching) add(folder string, tell bool) {
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return nil
		}
		if tell {
			w.note(path)
		}
		if !entry.IsDir() {
			return nil
		}
		if err := w.watch(path); err != nil {
			if err != syscall.ENOENT && err != syscall.ENOTDIR && err != syscall.EACCES {
				w.lose()
			}
			return fs.SkipDir
		}
		return nil
	})
}

// watch watches one folder.
func (w *watching) watch(path string) error {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var number int
	var failed error
	if err := raw.Control(func(fd uintptr) { number, failed = syscall.InotifyAddWatch(int(fd), path, watchFlags) }); err != nil {
		return err
	}
	if failed == nil {
		w.folders[int32(number)] = path
	}
	return failed
}

// collect reads events until the watch ends.
func (w *watching) collect() {
	defer close(w.news)
	buffer := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buffer)
		if err != nil || n <= 0 {
			return
		}
		for rest := buffer[:n]; len(rest) >= syscall.SizeofInotifyEvent; {
			number := int32(binary.NativeEndian.Uint32(rest))
			mask := binary.NativeEndian.Uint32(rest[4:])
			length := int(binary.NativeEndian.Uint32(rest[12:]))
			name := strings.TrimRight(string(rest[syscall.SizeofInotifyEvent:syscall.SizeofInotifyEvent+length]), "\x00")
			rest = rest[syscall.SizeofInotifyEvent+length:]
			w.event(number, mask, name)
		}
	}
}

func (w *watching) event(number int32, mask uint32, name string) {
	if mask&syscall.IN_Q_OVERFLOW != 0 {
		w.lose()
		return
	}
	folder, known := w.folders[number]
	if !known {
		return
	}
	if mask&syscall.IN_IGNORED != 0 {
		delete(w.folders, number)
		return
	}
	if name == "" { // the folder itself; its parent's event names it too, unless it is the top
		w.note(folder)
		return
	}
	path := strings.TrimSuffix(folder, "/") + "/" + name
	w.note(path)
	if mask&syscall.IN_ISDIR == 0 {
		return
	}
	if mask&syscall.IN_MOVED_FROM != 0 { // its descriptors would go on under the old name
		w.leave(path)
	}
	if mask&(syscall.IN_CREATE|syscall.IN_MOVED_TO) != 0 && w.watch(path) == nil {
		w.add(path, true)
	} else if mask&(syscall.IN_CREATE|syscall.IN_MOVED_TO) != 0 {
		w.lose()
	}
}

// leave ends the watches below a folder that was moved away.
func (w *watching) leave(path string) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	for number, folder := range w.folders {
		if folder == path || strings.HasPrefix(folder, path+"/") {
			delete(w.folders, number)
			_ = raw.Control(func(fd uintptr) { _, _ = syscall.InotifyRmWatch(int(fd), uint32(number)) })
		}
	}
}

// note remembers that a path changed.
func (w *watching) note(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changed) < mostPaths {
		w.changed[path] = true
	} else if !w.changed[path] {
		w.overflow = true
	}
	w.tell()
}

// lose remembers that changes went unseen.
func (w *watching) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.overflow = true
	w.tell()
}

func (w *watching) tell() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// report sends batches until the watch ends.
func (w *watching) report() {
	for range w.news {
		time.Sleep(batchTime)
		w.mu.Lock()
		note := wire.Changed{Stream: w.stream, Overflow: w.overflow}
		for path := range w.changed {
			note.Paths = append(note.Paths, wire.Text(path))
		}
		clear(w.changed)
		w.overflow = false
		ended := w.ended
		w.mu.Unlock()
		if !ended && (len(note.Paths) > 0 || note.Overflow) {
			w.conn.notify(wire.EventChanged, w.stream, note, true)
		}
	}
}

// end implements closer.
func (w *watching) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.file != nil {
		_ = w.file.Close()
	}
}

func (w *watching) data(byte, []byte) error { return wire.FrameError("a watch takes no data") }
func (w *watching) credit(int64)            {}
func (w *watching) lost()                   { w.end() }
