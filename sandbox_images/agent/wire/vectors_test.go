package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"reflect"
	"testing"
	"testing/iotest"
)

// The golden vectors, which tests/contract/test_vectors.py reads too.
func vectors(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../../tests/contract/vectors/" + name)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

type frameVectors struct {
	Frames []struct {
		Name, Payload, Frame string
		Kind                 byte
		Stream               uint32
	}
	Invalid []struct{ Name, Bytes string }
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestFrames(t *testing.T) {
	var all frameVectors
	vectors(t, "frames.json", &all)
	var together []byte
	for _, each := range all.Frames {
		payload, frame := unhex(t, each.Payload), unhex(t, each.Frame)
		if got := Encode(each.Kind, each.Stream, payload); !bytes.Equal(got, frame) {
			t.Errorf("%s: encoded as %x", each.Name, got)
		}
		together = append(together, frame...)
	}
	reader := NewReader(iotest.OneByteReader(bytes.NewReader(together)))
	for _, each := range all.Frames {
		got, err := reader.Next()
		if err != nil || got.Kind != each.Kind || got.Stream != each.Stream || !bytes.Equal(got.Payload, unhex(t, each.Payload)) {
			t.Errorf("%s: read as %+v, %v", each.Name, got, err)
		}
	}
	if _, err := reader.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := NewReader(bytes.NewReader(together[:len(together)-1])).read(len(all.Frames)); err != io.ErrUnexpectedEOF {
		t.Errorf("cut: %v", err)
	}
	for _, each := range all.Invalid {
		_, err := NewReader(bytes.NewReader(unhex(t, each.Bytes))).Next()
		if _, ours := err.(FrameError); !ours {
			t.Errorf("%s: %v", each.Name, err)
		}
	}
}

// read reads n frames.
func (r *Reader) read(n int) (last Frame, err error) {
	for ; n > 0 && err == nil; n-- {
		last, err = r.Next()
	}
	return last, err
}

func TestLargestFrame(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789abcdef"), MaxPayload/16)
	stream := append(Encode(KindStdin, 1, []byte("before")), Encode(KindPush, 2, payload)...)
	reader := NewReader(bytes.NewReader(append(stream, Encode(KindStdin, 3, nil)...)))
	if got, err := reader.read(2); err != nil || !bytes.Equal(got.Payload, payload) {
		t.Fatalf("%d bytes, %v", len(got.Payload), err)
	}
	if got, err := reader.Next(); err != nil || got.Stream != 3 {
		t.Fatalf("%+v %v", got, err)
	}
}

var models = map[string]func() any{
	"Hello": func() any { return &Hello{} }, "HelloResult": func() any { return &HelloResult{} },
	"Exec": func() any { return &Exec{} }, "ExecResult": func() any { return &ExecResult{} },
	"Attach": func() any { return &Attach{} }, "StreamRef": func() any { return &StreamRef{} },
	"Signal": func() any { return &Signal{} }, "SignalResult": func() any { return &SignalResult{} },
	"Resize": func() any { return &Resize{} }, "Path": func() any { return &Path{} },
	"FileStat": func() any { return &FileStat{} }, "FileList": func() any { return &FileList{} },
	"Read": func() any { return &Read{} }, "ReadResult": func() any { return &ReadResult{} },
	"Push": func() any { return &Push{} }, "PushResult": func() any { return &PushResult{} },
	"PushEntry": func() any { return &PushEntry{} }, "Watch": func() any { return &Watch{} },
	"PortList": func() any { return &PortList{} }, "Connect": func() any { return &Connect{} },
	"Empty": func() any { return &Empty{} }, "Exited": func() any { return &Exited{} },
	"Changed": func() any { return &Changed{} }, "Closed": func() any { return &Closed{} },
}

func TestMessages(t *testing.T) {
	var all struct {
		Messages []struct {
			Name, Model string
			Message     json.RawMessage
		}
		Texts []struct{ JSON, Bytes string }
	}
	vectors(t, "messages.json", &all)
	for _, each := range all.Messages {
		model := models[each.Model]
		if model == nil {
			t.Errorf("%s: there is no %s", each.Name, each.Model)
			continue
		}
		read, again := model(), model()
		if err := Unmarshal(each.Message, read); err != nil {
			t.Errorf("%s: %v", each.Name, err)
		}
		written, err := Marshal(read)
		if err == nil {
			err = Unmarshal(written, again)
		}
		if err != nil || !reflect.DeepEqual(read, again) {
			t.Errorf("%s: %+v, written %s, read %+v, %v", each.Name, read, written, again, err)
		}
		var want, got map[string]any
		_ = json.Unmarshal(each.Message, &want)
		_ = json.Unmarshal(written, &got)
		for key, value := range want {
			if have, there := got[key]; there && !covers(have, value) || !there && !zero(value) {
				t.Errorf("%s: %s is %v, not %v", each.Name, key, have, value)
			}
		}
	}
	for _, each := range all.Texts {
		var text string
		if err := Unmarshal([]byte(each.JSON), &text); err != nil || Bytes(text) != string(unhex(t, each.Bytes)) {
			t.Errorf("%s is read as %q, %v", each.JSON, Bytes(text), err)
		}
		written, err := Marshal(Text(Bytes(text)))
		var again string
		if err == nil {
			err = Unmarshal(written, &again)
		}
		if err != nil || Bytes(again) != Bytes(text) {
			t.Errorf("%s is written as %s", each.JSON, written)
		}
	}
}

// zero reports whether a value may be left out.
func zero(value any) bool {
	switch value := value.(type) {
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return value == nil || reflect.ValueOf(value).IsZero()
}

// covers reports whether have says all that want says, zeros left out.
func covers(have, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := have.(map[string]any)
		for key, value := range want {
			if each, there := fields[key]; there && !covers(each, value) || !there && !zero(value) {
				return false
			}
		}
		return ok
	case []any:
		items, ok := have.([]any)
		if !ok || len(items) != len(want) {
			return false
		}
		for at := range want {
			if !covers(items[at], want[at]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}

func FuzzReader(f *testing.F) {
	var all frameVectors
	vectors(f, "frames.json", &all)
	for _, each := range all.Frames {
		f.Add(unhex(f, each.Frame))
	}
	for _, each := range all.Invalid {
		f.Add(unhex(f, each.Bytes))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		reader := NewReader(bytes.NewReader(data))
		var again []byte
		for {
			frame, err := reader.Next()
			if err != nil {
				break
			}
			again = append(again, Encode(frame.Kind, frame.Stream, frame.Payload)...)
		}
		if !bytes.HasPrefix(data, again) {
			t.Errorf("%x was read as %x", data, again)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{`"a"`, `"\udce9"`, `"\ud83d\udca9"`, `"\\udc80"`, "\"\xff\"", `"\ud800"`, `"\u0000\u0080"`, `{"a":"\udcff"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var text string
		if Unmarshal(data, &text) != nil {
			return
		}
		raw := Bytes(text)
		written, err := Marshal(Text(raw))
		var again string
		if err == nil {
			err = Unmarshal(written, &again)
		}
		// A NUL before a letter such as é cannot be told from a byte; neither may be in a name.
		if err != nil || Bytes(again) != raw && !bytes.Contains([]byte(raw), []byte{0}) {
			t.Errorf("%q, written %s, read %q, %v", raw, written, Bytes(again), err)
		}
	})
}
