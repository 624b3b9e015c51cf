package main

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"

	"continueexec/agent/wire"
)

const (
	// longestHeader bounds a record's header, in bytes: a path of PATH_MAX bytes twice, each escaped to six.
	longestHeader = 64 << 10
	// smallFile is what is kept whole for a writer, in bytes; larger files are written as they arrive.
	smallFile = 128 << 10
	// mostFailures are listed, as long as their texts fit into failureBytes; of the others only the number is told.
	mostFailures = 500
	failureBytes = 256 << 10
)

// pusher is one push at work. One goroutine reads records and does what is not a small file.
type pusher struct {
	in      *incoming
	folders *folders
	writers *writers

	mu       sync.Mutex
	written  int
	failed   []wire.PushFailure
	texts    int // bytes in failed
	unlisted int
}

func newPusher(root string, in *incoming) (*pusher, error) {
	tops, err := openFolders(root)
	if err != nil {
		return nil, err
	}
	p := &pusher{in: in, folders: tops}
	p.writers = startWriters(p)
	return p, nil
}

func (p *pusher) close() {
	p.writers.stop()
	p.folders.close()
}

func (p *pusher) result() wire.PushResult {
	return wire.PushResult{Written: p.written, Failed: p.failed, Unlisted: p.unlisted}
}

// all works through every record. An error is one of the push as a whole.
func (p *pusher) all() error {
	defer p.writers.wait()
	header := make([]byte, 4, 4096)
	for {
		switch _, err := io.ReadFull(p.in, header[:4]); {
		case err == io.EOF:
			return nil
		case err != nil:
			return broken(err)
		}
		length := int(binary.BigEndian.Uint32(header[:4]))
		if length > longestHeader {
			return fail(wire.CodeProtocolError, "", "A record's header announces %d bytes; the limit is %d.", length, longestHeader)
		}
		if cap(header) < length {
			header = make([]byte, length)
		}
		if _, err := io.ReadFull(p.in, header[:length]); err != nil {
			return broken(err)
		}
		p.in.taken(4 + length)
		var entry wire.PushEntry
		if err := wire.Unmarshal(header[:length], &entry); err != nil {
			return fail(wire.CodeProtocolError, "", "A record's header is not JSON of an entry: %v.", err)
		}
		if entry.Kind != "file" {
			entry.Size = 0
		}
		if entry.Size < 0 {
			return fail(wire.CodeProtocolError, "", "A record announces %d bytes.", entry.Size)
		}
		if err := p.record(&entry); err != nil {
			return broken(err)
		}
	}
}

// broken explains why the records cannot be read on.
func broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(wire.CodeProtocolError, "", "The push ended within a record.")
	}
	return asFailure(err, "push")
}

// record does one entry. An error means that the stream cannot be read on; what fails in the sandbox is listed.
func (p *pusher) record(entry *wire.PushEntry) error {
	path := wire.Bytes(entry.Path)
	// What must be there already has a folder; making one would undo what the sandbox did.
	create := entry.Kind != "delete" && (entry.Was == wasAnything || entry.Was == wasNothing)
	folder, name, err := p.locate(path, create)
	if err == errNothingThere && entry.Kind != "delete" {
		err = fail(wire.CodeConflict, "", "%s was deleted inside the sandbox", path)
	}
	if err == errNothingThere {
		p.done(entry.Path, nil)
		return nil
	}
	if err == nil && entry.Kind == "file" {
		return p.file(folder, name, path, entry)
	}
	if err == nil {
		err = p.other(folder, name, path, entry)
	}
	p.done(entry.Path, err)
	return p.skip(entry.Size)
}

var errNothingThere = errors.New("nothing is there")

// locate checks an entry's path and opens the folder that it lies in.
func (p *pusher) locate(path string, create bool) (folder *folder, name string, err error) {
	parent, name := "", path
	if cut := strings.LastIndexByte(path, '/'); cut >= 0 {
		parent, name = path[:cut], path[cut+1:]
	}
	if path == "" || path[0] == '/' || holdsNUL(path) {
		return nil, "", fail(wire.CodeOutsideWorkspace, "", "The path is not relative to the root.")
	}
	if folder = p.folders.known(parent); folder == nil {
		for _, part := range strings.Split(parent, "/") {
			if parent != "" && (part == "" || part == "." || part == "..") {
				return nil, "", fail(wire.CodeOutsideWorkspace, "", "The path has the component %q.", part)
			}
		}
	}
	if name == "" || name == "." || name == ".." {
		return nil, "", fail(wire.CodeOutsideWorkspace, "", "The path has the component %q.", name)
	}
	if p.folders.crowded() {
		p.writers.wait()
		p.folders.forget("")
	}
	folder, err = p.folders.open(parent, create)
	if err != nil && !create && !isRefusal(err) {
		return nil, "", errNothingThere // not even its folder, or what is there is a link that is not ours to follow
	}
	return folder, name, err
}

// other does an entry that is not a file, after whatever is under way for the same path.
func (p *pusher) other(folder *folder, name, path string, entry *wire.PushEntry) error {
	p.writers.settle(path)
	switch entry.Kind {
	case "dir":
		if err := mayMakeFolder(folder.fd, name, entry.Was); err != nil {
			return err
		}
		return p.makeFolder(folder, name, path, uint32(entry.Mode), entry.Was)
	case "symlink":
		if err := checkWas(folder.fd, name, entry.Was); err != nil {
			return err
		}
		return p.makeLink(folder, name, path, wire.Bytes(entry.Target), entry.Was)
	case "delete":
		if entry.Was == wasAnything {
			return p.remove(folder, name, path)
		}
		if entry.Was == wasFolder {
			p.writers.wait()
			p.folders.forget(path)
		}
		return removeIfWas(folder.fd, name, entry.Was)
	}
	return invalid("The kind %q is none of file, dir, symlink, delete.", entry.Kind)
}

// file hands a small file to a writer, and writes a large one as it arrives.
func (p *pusher) file(folder *folder, name, path string, entry *wire.PushEntry) error {
	if p.folders.known(path) != nil && (entry.Was == wasAnything || entry.Was == wasFolder) { // a folder so far
		p.writers.wait()
		p.folders.forget(path)
	}
	job := newJob(folder, name, path, entry)
	if entry.Size > smallFile {
		p.writers.settle(path)
		err := p.stream(job)
		if errors.Is(err, errStream) {
			return errors.Unwrap(err)
		}
		p.done(entry.Path, err)
		return nil
	}
	job.size(int(entry.Size))
	if _, err := io.ReadFull(p.in, job.bytes); err != nil {
		return err
	}
	p.writers.give(job)
	return nil
}

// skip reads past bytes that nobody wants.
func (p *pusher) skip(size int64) error {
	for size > 0 {
		piece, err := p.in.next(int(min(size, chunkSize)))
		if err != nil {
			return err
		}
		size -= int64(len(piece))
		p.in.taken(len(piece))
	}
	return nil
}

// done counts an entry, or lists its failure. path is as it came.
func (p *pusher) done(path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.written++
		return
	}
	why := asFailure(err, wire.Bytes(path))
	p.texts += len(path) + len(why.Message)
	if len(p.failed) == mostFailures || p.texts > failureBytes {
		p.unlisted++
		return
	}
	p.failed = append(p.failed, wire.PushFailure{Path: path, Code: why.Code, Message: why.Message})
}
