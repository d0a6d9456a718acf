package conformance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A row is what a client sends in one segment and what becomes of it.
type row struct {
	name string
	// send makes the bytes, of a message m that the dialect answers.
	send func(m string) []byte
	pad  string // of that message
	size int    // of that message in bytes, in place of pad
	// hear is what comes then, see peer.hear; "answer" stands for the message's.
	hear []string
	// codes are the codes that may stand in the server's close frame, any of them. None
	// means that the connection stays open.
	codes []int
}

var (
	protocolError = []int{1002}
	invalidData   = []int{1007}
	tooBig        = []int{1009}
)

func testFrames(t *testing.T, all []*dialect) {
	rows := slices.Concat(goodRows(), fragmentRows(), brokenRows(), utf8Rows(), sizeRows())
	for _, d := range all {
		for _, r := range rows {
			t.Run(d.name+"/"+r.name, func(t *testing.T) {
				p := d.open(t)
				t.Parallel()
				r.run(p)
			})
		}
	}
}

func (r row) run(p *peer) {
	p.t.Helper()
	i := number()
	message, answer := p.d.ask(i, r.pad)
	if r.size > 0 {
		message, answer = p.d.sized(i, r.size)
	}
	p.send(r.send(message))
	for _, want := range r.hear {
		if want != "answer" {
			p.hear(want)
		} else if answer != "" {
			p.hear("holds " + answer)
		}
	}
	if r.codes == nil {
		p.alive()
		return
	}
	if got := p.hearClose(); !slices.Contains(r.codes, got) {
		p.t.Errorf("closed with %d, want %d", got, r.codes)
	}
	p.send(frame(fin|opClose, code(r.codes[0], "")))
	p.hearEnd(ended)
}

// raw is a row's bytes that have nothing to do with its message.
func raw(frames ...[]byte) func(string) []byte {
	return func(string) []byte { return join(frames...) }
}

func goodRows() []row {
	return []row{
		{name: "a text", send: func(m string) []byte { return text(m) }, hear: []string{"answer"}},
		{name: "a mask of zeros", send: func(m string) []byte {
			return append([]byte{fin | opText, mask | byte(len(m)), 0, 0, 0, 0}, m...)
		}, hear: []string{"answer"}},
		{name: "an empty ping", send: raw(ping("")), hear: []string{"pong "}},
		{name: "a ping", send: raw(ping("\x00\xff\xfe binary")), hear: []string{"pong \x00\xff\xfe binary"}},
		{name: "a ping of 125 bytes", send: raw(ping(strings.Repeat("p", 125))), hear: []string{"pong " + strings.Repeat("p", 125)}},
		{name: "pongs nobody asked for", send: raw(frame(fin|opPong, ""), frame(fin|opPong, strings.Repeat("p", 125)))},
		{name: "a ping, a text and a ping", send: func(m string) []byte { return join(ping("1"), text(m), ping("2")) },
			hear: []string{"pong 1", "answer", "pong 2"}},
	}
}

// fragmentRows are about RFC 6455, section 5.4.
func fragmentRows() []row {
	first := func(s string) []byte { return frame(opText, s) }
	more := func(s string) []byte { return frame(opContinuation, s) }
	last := func(s string) []byte { return frame(fin|opContinuation, s) }
	return []row{
		{name: "two fragments", send: func(m string) []byte { return join(first(m[:1]), last(m[1:])) }, hear: []string{"answer"}},
		{name: "a fragment for each byte", pad: "fragments", send: func(m string) []byte {
			b := first("")
			for i := range len(m) {
				b = append(b, more(m[i:i+1])...)
			}
			return append(b, last("")...)
		}, hear: []string{"answer"}},
		{name: "a ping between fragments", send: func(m string) []byte { return join(first(m[:2]), ping("between"), last(m[2:])) },
			hear: []string{"pong between", "answer"}},
		{name: "pings and pongs between fragments", send: func(m string) []byte {
			return join(first(m[:1]), frame(fin|opPong, "x"), more(m[1:2]), frame(fin|opPong, ""), ping("last"), last(m[2:]))
		}, hear: []string{"pong last", "answer"}},
		{name: "a close frame between fragments", send: func(m string) []byte { return join(first(m[:2]), frame(fin|opClose, code(1001, ""))) },
			codes: []int{1001, 1000}},

		{name: "a continuation of nothing", send: raw(last("x")), codes: protocolError},
		{name: "a continuation of nothing without an end", send: raw(more("x")), codes: protocolError},
		{name: "a continuation after the end", send: func(m string) []byte { return join(text(m), last("x")) }, hear: []string{"answer"}, codes: protocolError},
		{name: "a text between fragments", send: func(m string) []byte { return join(first(m[:2]), text(m)) }, codes: protocolError},
		{name: "a second beginning", send: func(m string) []byte { return join(first(m[:2]), first(m)) }, codes: protocolError},
		{name: "a fragmented ping", send: raw(frame(opPing, "x"), last("y")), codes: protocolError},
		{name: "a fragmented pong", send: raw(frame(opPong, "x")), codes: protocolError},
		{name: "a fragmented close frame", send: raw(frame(opClose, code(1000, ""))), codes: protocolError},
	}
}

// brokenRows are breaches of RFC 6455, section 5.2 to 5.5, each also behind a good
// message, which is answered.
func brokenRows() []row {
	rows := []row{
		{name: "an unmasked text", send: raw([]byte{fin | opText, 1, 'x'})},
		{name: "an unmasked ping", send: raw([]byte{fin | opPing, 0})},
		{name: "an unmasked close frame", send: raw([]byte{fin | opClose, 2, 3, 232})},
		{name: "a ping of 126 bytes", send: raw(ping(strings.Repeat("p", 126)))},
		{name: "a pong of 65536 bytes", send: raw(frame(fin|opPong, strings.Repeat("p", 65536)))},
		{name: "a close frame of 126 bytes", send: raw(frame(fin|opClose, code(1000, strings.Repeat("r", 124))))},
		{name: "125 bytes with a length of two bytes", send: raw(masked([]byte{fin | opText, mask | 126, 0, 125}, strings.Repeat("x", 125)))},
		{name: "126 bytes with a length of eight bytes", send: raw(masked([]byte{fin | opText, mask | 127, 0, 0, 0, 0, 0, 0, 0, 126}, strings.Repeat("x", 126)))},
		{name: "65535 bytes with a length of eight bytes", send: raw(masked([]byte{fin | opText, mask | 127, 0, 0, 0, 0, 0, 0, 255, 255}, strings.Repeat("x", 65535)))},
		{name: "a ping with a length of two bytes", send: raw(masked([]byte{fin | opPing, mask | 126, 0, 5}, "hello"))},
	}
	for _, bit := range []byte{0x40, 0x20, 0x10, 0x70} {
		for op, kind := range map[byte]string{opText: "text", opPing: "ping", opClose: "close frame"} {
			rows = append(rows, row{name: fmt.Sprintf("reserved bits %02x in a %s", bit, kind), send: raw(frame(fin|bit|op, code(1000, "")))})
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		rows = append(rows, row{name: fmt.Sprintf("opcode %d", op), send: raw([]byte{fin | op, mask, 0, 0, 0, 0})},
			row{name: fmt.Sprintf("opcode %d with a payload", op), send: raw(frame(fin|op, "payload"))})
	}
	for _, r := range slices.Clone(rows) {
		breach := r.send
		r.name += " after a text"
		r.send = func(m string) []byte { return join(text(m), breach(m)) }
		r.hear = []string{"answer"}
		rows = append(rows, r)
	}
	for i := range rows {
		rows[i].codes = protocolError
	}
	return rows
}

// utf8Rows are about RFC 6455, section 8.1. Broken text may be noticed at its first
// bad byte or at the end of the message.
func utf8Rows() []row {
	var rows []row
	for name, bad := range map[string]string{
		"a continuation byte alone":  "a\x80b",
		"a byte that never occurs":   "a\xffb",
		"a character cut short":      "ab\xe2\x82",
		"a character broken off":     "a\xe2\x82b",
		"an overlong slash":          "\xc0\xaf",
		"an overlong NUL":            "\xe0\x80\x80",
		"a surrogate":                "\xed\xa0\x80",
		"one beyond the last":        "\xf4\x90\x80\x80",
		"five bytes":                 "\xf8\x88\x80\x80\x80",
		"a good part and a bad part": "\u03ba\u1f79\u03c3\u03bc\u03b5\xed\xa0\x80edited",
	} {
		rows = append(rows,
			row{name: "text with " + name, send: raw(text(bad)), codes: invalidData},
			row{name: "fragments with " + name, send: raw(frame(opText, bad[:1]), frame(opContinuation, bad[1:2]), frame(fin|opContinuation, bad[2:])), codes: invalidData})
	}
	const all = "\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\ufffe\uffff\U00010000\U0010ffff\u00e9\u20ac\U0001f600"
	for i := range len(all) {
		rows = append(rows, row{name: fmt.Sprintf("characters split after byte %d", i), pad: all, send: func(m string) []byte {
			at := strings.Index(m, all) + i
			return join(frame(opText, m[:at]), frame(fin|opContinuation, m[at:]))
		}, hear: []string{"answer"}})
	}
	return rows
}

// sizeRows are about lengths at the edges of their forms, and messages that are too
// big.
func sizeRows() []row {
	whole := func(m string) []byte { return text(m) }
	halves := func(m string) []byte {
		return join(frame(opText, m[:len(m)/2]), frame(fin|opContinuation, m[len(m)/2:]))
	}
	var rows []row
	for _, n := range []int{125, 126, 127, 65535, 65536, 65537, maxMessage} {
		rows = append(rows, row{name: fmt.Sprintf("%d bytes", n), size: n, send: whole, hear: []string{"answer"}},
			row{name: fmt.Sprintf("%d bytes in two fragments", n), size: n, send: halves, hear: []string{"answer"}})
	}
	return append(rows,
		row{name: "too big by a byte", send: raw(framed(fin|opText, maxMessage+1, "")), codes: tooBig},
		row{name: "too big by a byte in fragments", send: raw(frame(opText, strings.Repeat("x", maxMessage)), frame(fin|opContinuation, "x")), codes: tooBig},
		row{name: "4 GiB", send: raw(framed(fin|opText, 1<<32, "")), codes: tooBig},
		row{name: "2^63-1 bytes", send: raw(framed(fin|opText, 1<<63-1, "")), codes: tooBig},
		row{name: "a length with its highest bit set", send: raw(masked([]byte{fin | opText, mask | 127, 0x80, 0, 0, 0, 0, 0, 0, 1}, "")),
			codes: []int{1002, 1009}},
	)
}
