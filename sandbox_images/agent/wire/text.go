package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Names and arguments on Linux are bytes; JSON carries text. Python writes a byte that is not UTF-8 as a lone
// surrogate (\udc80 to \udcff), which encoding/json would replace with U+FFFD. So Unmarshal turns such an escape
// into NUL and the character of that number before it parses, and Bytes turns those back into the byte; Text and
// Marshal go the other way. NUL is free for this: no path, argument or variable may hold it.

// Unmarshal is json.Unmarshal for messages from a host. Pass texts that name files or programs through Bytes.
func Unmarshal(data []byte, into any) error {
	return json.Unmarshal(shield(data), into)
}

// Marshal is json.Marshal for messages to a host. Texts that may not be UTF-8 went through Text.
func Marshal(from any) ([]byte, error) {
	data, err := json.Marshal(from)
	if err != nil || !bytes.Contains(data, []byte(`\u0000`)) {
		return data, err
	}
	out := make([]byte, 0, len(data)+16)
	for at := 0; at < len(data); {
		if data[at] != '\\' {
			out = append(out, data[at])
			at++
			continue
		}
		if bytes.HasPrefix(data[at:], []byte(`\u0000`)) {
			char, size := utf8.DecodeRune(data[at+6:])
			if char >= 0x80 && char <= 0xff {
				out = fmt.Appendf(out, `\udc%02x`, char)
				at += 6 + size
				continue
			}
		}
		out = append(out, data[at], data[at+1])
		at += 2
	}
	return out, nil
}

// Bytes turns a text that Unmarshal produced into the bytes that the host meant.
func Bytes(text string) string {
	if strings.IndexByte(text, 0) < 0 {
		return text
	}
	var out strings.Builder
	for at := 0; at < len(text); {
		if text[at] == 0 {
			if char, size := utf8.DecodeRuneInString(text[at+1:]); char >= 0x80 && char <= 0xff {
				out.WriteByte(byte(char))
				at += 1 + size
				continue
			}
		}
		out.WriteByte(text[at])
		at++
	}
	return out.String()
}

// Text prepares bytes (a path from the kernel) for Marshal.
func Text(raw string) string {
	if utf8.ValidString(raw) {
		return raw
	}
	var out strings.Builder
	for at := 0; at < len(raw); {
		char, size := utf8.DecodeRuneInString(raw[at:])
		if char == utf8.RuneError && size == 1 {
			out.WriteByte(0)
			out.WriteRune(rune(raw[at]))
		} else {
			out.WriteString(raw[at : at+size])
		}
		at += size
	}
	return out.String()
}

// shield replaces lone surrogates \udc80..\udcff, and raw bytes that are not UTF-8, inside JSON.
func shield(data []byte) []byte {
	if !bytes.Contains(data, []byte(`\ud`)) && !bytes.Contains(data, []byte(`\uD`)) && utf8.Valid(data) {
		return data
	}
	out := make([]byte, 0, len(data)+16)
	for at := 0; at < len(data); {
		if data[at] == '\\' {
			unit, ok := escape(data[at:])
			if !ok { // any other escape: two bytes, so that `\\u` is not taken for one of ours
				end := min(at+2, len(data))
				out = append(out, data[at:end]...)
				at = end
				continue
			}
			if unit >= 0xd800 && unit < 0xdc00 {
				if low, paired := escape(data[at+6:]); paired && low >= 0xdc00 && low < 0xe000 {
					out = append(out, data[at:at+12]...)
					at += 12
					continue
				}
			}
			if unit >= 0xdc80 && unit <= 0xdcff {
				out = fmt.Appendf(out, `\u0000\u00%02x`, unit-0xdc00)
			} else {
				out = append(out, data[at:at+6]...)
			}
			at += 6
			continue
		}
		char, size := utf8.DecodeRune(data[at:])
		if char == utf8.RuneError && size == 1 {
			out = fmt.Appendf(out, `\u0000\u00%02x`, data[at])
		} else {
			out = append(out, data[at:at+size]...)
		}
		at += size
	}
	return out
}

// escape reads `\uXXXX` at the start of data.
func escape(data []byte) (unit int, ok bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	for _, digit := range data[2:6] {
		unit <<= 4
		switch {
		case digit >= '0' && digit <= '9':
			unit |= int(digit - '0')
		case digit >= 'a' && digit <= 'f':
			unit |= int(digit-'a') + 10
		case digit >= 'A' && digit <= 'F':
			unit |= int(digit-'A') + 10
		default:
			return 0, false
		}
	}
	return unit, true
}
