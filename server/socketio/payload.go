package socketio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"poosh/server/websocket"
)

// A payload is the body of a polling request or answer: several engine.io
// packets. Its form depends on the protocol and on who asked, engine.io-parser
// 1.2.1 (protocols 2 and 3) and 5.2.3 (protocol 4).

// form is how a client wants its payloads.
type form uint8

const (
	formBinary    form = iota // protocols 2 and 3: 0, digits, 255, packet
	formText                  // protocols 2 and 3, b64 or JSONP: length ":" packet
	formSeparated             // protocol 4: packets joined by 0x1e
)

// separator stands between the packets of a protocol 4 payload.
const separator = 0x1e

// maxPackets bounds the packets of one payload: an empty one costs its sender a
// byte or two.
const maxPackets = 10_000

var (
	errPayload        = errors.New("malformed payload")
	errTooManyPackets = errors.New("too many packets in a payload")
)

// appendPayload appends ready frames as a payload. All of them are ASCII text, or attachments
// behind that, so lengths in bytes and in UTF-16 units agree.
func appendPayload(dst []byte, f form, pieces [][]byte) []byte {
	begun := len(dst)
	for _, frames := range pieces {
		for len(frames) > 0 {
			var packet []byte
			var isBinary bool
			packet, isBinary, frames = websocket.Cut(frames)
			if f == formSeparated && len(dst) > begun {
				dst = append(dst, separator)
			}
			if isBinary {
				dst = appendBinaryPacket(dst, f, packet)
			} else {
				dst = appendTextPacket(dst, f, packet)
			}
		}
	}
	return dst
}

func appendTextPacket(dst []byte, f form, packet []byte) []byte {
	switch f {
	case formBinary:
		dst = appendLength(dst, 0, len(packet))
	case formText:
		dst = append(strconv.AppendInt(dst, int64(len(packet)), 10), ':')
	}
	return append(dst, packet...)
}

// appendBinaryPacket appends an attachment. That of protocols 2 and 3 begins with its type.
func appendBinaryPacket(dst []byte, f form, packet []byte) []byte {
	switch f {
	case formBinary:
		return append(appendLength(dst, 1, len(packet)), packet...)
	case formText:
		packet = packet[len(messageLead):]
		dst = strconv.AppendInt(dst, int64(2+base64.StdEncoding.EncodedLen(len(packet))), 10)
		dst = append(dst, ":b4"...)
	default:
		dst = append(dst, 'b')
	}
	return base64.StdEncoding.AppendEncode(dst, packet)
}

// appendLength appends what a packet of the binary form begins with. kind is 0 for text and 1 for
// what is binary.
func appendLength(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	mark := len(dst)
	dst = strconv.AppendInt(dst, int64(n), 10)
	for j := mark; j < len(dst); j++ {
		dst[j] -= '0'
	}
	return append(dst, 255)
}

// appendJSONP appends the call that a script of the JSONP transport makes.
// index is the request's j.
func appendJSONP(dst []byte, index string, payload []byte) []byte {
	dst = append(dst, "___eio["...)
	for i := range len(index) {
		if c := index[i]; '0' <= c && c <= '9' {
			dst = append(dst, c)
		}
	}
	dst = append(dst, "]("...)
	dst = appendString(dst, string(payload))
	return append(dst, ");"...)
}

// A packet is one engine.io packet off a payload or a WebSocket.
type packet struct {
	data   []byte // text: type digit and body; binary: body of a message
	binary bool
}

// splitSeparated reads a protocol 4 payload.
func splitSeparated(body []byte, fn func(packet) error) error {
	for n := 0; ; n++ {
		if n == maxPackets {
			return errTooManyPackets
		}
		part, rest, more := bytes.Cut(body, []byte{separator})
		if len(part) > 0 && part[0] == 'b' {
			data, err := base64.StdEncoding.DecodeString(string(part[1:]))
			if err != nil {
				return errPayload
			}
			if err := fn(packet{data, true}); err != nil {
				return err
			}
		} else if len(part) == 0 {
			return errPayload
		} else if err := fn(packet{part, false}); err != nil {
			return err
		}
		if !more {
			return nil
		}
		body = rest
	}
}

// splitBinary reads a payload of protocols 2 and 3 in its binary form. Text in
// it is UTF-8 once, in every version.
func splitBinary(body []byte, fn func(packet) error) error {
	if len(body) == 0 {
		return errPayload
	}
	for count := 0; len(body) > 0; count++ {
		if count == maxPackets {
			return errTooManyPackets
		}
		kind, n, i := body[0], 0, 1
		for ; i < len(body) && body[i] != 255; i++ {
			if body[i] > 9 || n > len(body) {
				return errPayload
			}
			n = n*10 + int(body[i])
		}
		if kind > 1 || i == 1 || i == len(body) || n == 0 || n > len(body)-i-1 {
			return errPayload
		}
		data := body[i+1 : i+1+n]
		body = body[i+1+n:]
		if kind == 1 {
			if err := binaryPacket(data, fn); err != nil {
				return err
			}
		} else if err := fn(packet{data, false}); err != nil {
			return err
		}
	}
	return nil
}

// binaryPacket unwraps a binary packet of protocols 2 and 3, whose first byte
// is its type as a number. Only messages are binary.
func binaryPacket(data []byte, fn func(packet) error) error {
	if len(data) == 0 || data[0] != 4 {
		return errPayload
	}
	return fn(packet{data[1:], true})
}

// splitText reads a payload of protocols 2 and 3 in its text form. Lengths count
// UTF-16 units of the body decoded once. layer undoes what the client encoded
// once more.
func splitText(body []byte, layer *utf8Layer, fn func(packet) error) error {
	if len(body) == 0 {
		return errPayload
	}
	for count := 0; len(body) > 0; count++ {
		if count == maxPackets {
			return errTooManyPackets
		}
		digits, _, ok := bytes.Cut(body[:min(len(body), 12)], []byte{':'})
		n, err := strconv.Atoi(string(digits))
		if !ok || err != nil || n <= 0 || digits[0] == '+' {
			return errPayload
		}
		rest := body[len(digits)+1:]
		size, ok := unitsToBytes(rest, n)
		if !ok {
			return errPayload
		}
		data := rest[:size]
		body = rest[size:]
		if data[0] == 'b' {
			raw, err := base64.StdEncoding.DecodeString(string(data[min(2, len(data)):]))
			if err != nil || len(data) < 2 || data[1] != '4' {
				return errPayload
			}
			if err := fn(packet{raw, true}); err != nil {
				return err
			}
		} else if err := fn(packet{layer.undo(data), false}); err != nil {
			return err
		}
	}
	return nil
}

// unitsToBytes returns how many bytes the first n UTF-16 units of b take.
func unitsToBytes(b []byte, n int) (int, bool) {
	i := 0
	for n > 0 {
		if i == len(b) {
			return 0, false
		}
		if b[i] < utf8.RuneSelf {
			i, n = i+1, n-1
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		i += size
		n--
		if r >= 0x10000 {
			n--
		}
	}
	return i, n == 0
}

// A utf8Layer undoes the second UTF-8 encoding of 1.x clients' text payloads.
// 2.x clients encode once and cannot be told apart by their requests, so their
// first text that is no double encoding marks them.
type utf8Layer struct {
	always bool // a client before 1.4, by its handshake: it always encodes twice
	never  bool // a client that was seen to encode once
}

// undo returns a packet as its sender meant it.
func (l *utf8Layer) undo(text []byte) []byte {
	ascii := true
	for _, c := range text {
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii || l.never {
		return text
	}
	if once, ok := undoUTF8(text); ok {
		return once
	}
	if !l.always {
		l.never = true
	}
	return text
}

// undoUTF8 takes the characters of text for bytes and returns them if they are
// UTF-8, encoded surrogates included: old JavaScript engines write them.
func undoUTF8(text []byte) ([]byte, bool) {
	once := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r > 0xFF || r == utf8.RuneError {
			return nil, false
		}
		once = append(once, byte(r))
		i += n
	}
	for i := 0; i < len(once); {
		r, n := decodeRune(once[i:])
		if r == utf8.RuneError && n <= 1 {
			return nil, false
		}
		i += n
	}
	return once, true
}

// jsonpBody returns the payload in the form of a JSONP POST. The client wrote
// newlines as \n and what already looked so as \\n, engine.io-client 1.3.1,
// polling-jsonp.js.
func jsonpBody(body []byte) ([]byte, error) {
	for field := range strings.SplitSeq(string(body), "&") {
		value, ok := strings.CutPrefix(field, "d=")
		if !ok {
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return nil, errPayload
		}
		// A form's own newline is CR LF where the client wrote LF.
		return unescapeNewlines(strings.ReplaceAll(value, "\r\n", "\n")), nil
	}
	return nil, errPayload
}

func unescapeNewlines(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], `\\n`):
			out = append(out, `\n`...)
			i += 2
		case strings.HasPrefix(s[i:], `\n`):
			out = append(out, '\n')
			i++
		default:
			out = append(out, s[i])
		}
	}
	return out
}
