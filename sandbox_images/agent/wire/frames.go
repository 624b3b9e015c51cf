package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame is one frame. Its payload is valid until the Reader's next call.
type Frame struct {
	Kind    byte
	Stream  uint32
	Payload []byte
}

// FrameError says that what arrived is not the protocol; nothing after it can be trusted.
type FrameError string

func (e FrameError) Error() string { return string(e) }

// PutHeader writes the header of a payload of n bytes to the first HeaderSize bytes of b.
func PutHeader(b []byte, kind byte, stream uint32, n int) {
	_ = b[HeaderSize-1]
	binary.BigEndian.PutUint32(b, uint32(n))
	b[4] = kind
	binary.BigEndian.PutUint32(b[5:], stream)
}

// Encode is one frame as bytes. For large payloads send header and payload side by side instead.
func Encode(kind byte, stream uint32, payload []byte) []byte {
	b := make([]byte, HeaderSize+len(payload))
	PutHeader(b, kind, stream, len(payload))
	copy(b[HeaderSize:], payload)
	return b
}

// Credit is a frame that grants n payload bytes more on a stream.
func Credit(stream uint32, n int) []byte {
	b := make([]byte, HeaderSize+4)
	PutHeader(b, KindCredit, stream, 4)
	binary.BigEndian.PutUint32(b[HeaderSize:], uint32(n))
	return b
}

func known(kind byte) bool {
	switch kind {
	case KindControl, KindStdout, KindStderr, KindStdin, KindPush, KindCredit, KindEvent:
		return true
	}
	return false
}

// Reader cuts frames out of a stream of bytes. It holds at most one frame that is not complete.
type Reader struct {
	source     io.Reader
	buffer     []byte
	begin, end int
}

// readerSize takes several chunks of data per system call; a frame larger than that makes the buffer grow to fit it.
const readerSize = 256 << 10

// NewReader reads frames from source.
func NewReader(source io.Reader) *Reader {
	return &Reader{source: source, buffer: make([]byte, readerSize)}
}

// Next returns the next frame. io.EOF: the stream ended between two frames; io.ErrUnexpectedEOF: within one;
// FrameError: a header that cannot be right, reported before its payload is awaited.
func (r *Reader) Next() (Frame, error) {
	if err := r.need(HeaderSize); err != nil {
		return Frame{}, err
	}
	head := r.buffer[r.begin:]
	length, kind, stream := binary.BigEndian.Uint32(head), head[4], binary.BigEndian.Uint32(head[5:])
	if length > MaxPayload {
		return Frame{}, FrameError(fmt.Sprintf("a frame announces %d bytes; the limit is %d", length, MaxPayload))
	}
	if !known(kind) {
		return Frame{}, FrameError(fmt.Sprintf("a frame has the unknown kind %#04x", kind))
	}
	total := HeaderSize + int(length)
	if err := r.need(total); err != nil {
		return Frame{}, err
	}
	payload := r.buffer[r.begin+HeaderSize : r.begin+total : r.begin+total]
	r.begin += total
	return Frame{kind, stream, payload}, nil
}

// need makes at least n bytes available from r.begin on.
func (r *Reader) need(n int) error {
	if r.begin == r.end {
		r.begin, r.end = 0, 0
	}
	if r.begin+n > len(r.buffer) {
		target := r.buffer
		if n > len(target) {
			target = make([]byte, n)
		}
		r.end = copy(target, r.buffer[r.begin:r.end])
		r.buffer, r.begin = target, 0
	}
	for r.end-r.begin < n {
		got, err := r.source.Read(r.buffer[r.end:])
		r.end += got
		if r.end-r.begin >= n {
			return nil
		}
		if err == io.EOF && r.end > r.begin {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}
