package resp

import (
	"bytes"
	"errors"
	"fmt"
)

// The bounds of what is decoded.
const (
	maxBulk  = 512 << 20 // bytes of a text: proto-max-bulk-len of a server that nobody has set otherwise
	maxLine  = 64 << 10  // bytes of a line with its end
	maxDepth = 16        // aggregates within each other
	maxCount = 1 << 31   // elements that an aggregate declares
	maxKept  = 1024      // values that a decoder keeps room for between two aggregates
)

// attribute is the kind of what is told beside a value: read, and dropped.
const attribute Kind = '|'

// A Decoder makes values of the bytes of one connection, in whatever pieces they come. The zero Decoder is ready.
// One goroutine at a time may use it.
//
// Each byte is looked at once: an aggregate whose end is still to come stands on a stack, and a text in what
// has come of it. What a length or count declares takes no memory before it has come. What lies whole in a piece is
// made into values without a copy in between. A value as such has no bound but those of its texts and depth: who feeds the
// decoder trusts the server so far.
type Decoder struct {
	err   error       // what ended it
	line  []byte      // the beginning of a line whose end is still to come
	text  partial     // a text whose end is still to come
	stack []aggregate // aggregates whose ends are still to come, the outermost first
	// values holds the elements of all of stack, those of the innermost last: a list is made once its length is there,
	// and has no room to spare.
	values  []Value
	channel string // the second text of the last push: one channel mostly has many messages
}

// An aggregate is one whose elements are still to come.
type aggregate struct {
	kind  Kind
	left  int64 // elements that are still to come
	first int   // where in Decoder.values its elements begin
}

// Feed decodes data, the next bytes of the connection, and calls each for every value that is whole with it,
// in order. It keeps nothing of data. An error is final: what came was no RESP3, or over a bound. Then each has been called for
// what stood before, and every later Feed returns the same error. each must not call Feed.
func (d *Decoder) Feed(data []byte, each func(Value)) error {
	for d.err == nil && len(data) > 0 {
		var v Value
		var whole bool
		if d.text.open {
			v, whole, data, d.err = d.text.add(data)
		} else {
			v, whole, data, d.err = d.next(data)
		}
		if whole && d.err == nil {
			d.put(v, each)
		}
	}
	if d.err != nil {
		*d = Decoder{err: d.err} // nothing else is wanted any more
	}
	return d.err
}

// next reads a line, and the text behind it if that is whole. An aggregate is whole here if it is empty.
func (d *Decoder) next(data []byte) (v Value, whole bool, rest []byte, err error) {
	line, rest, err := d.cut(data)
	if line == nil || err != nil {
		return v, false, rest, err
	}
	if len(line) == 0 {
		return v, false, rest, errors.New("resp: an empty line")
	}
	kind, line := Kind(line[0]), line[1:]
	switch kind {
	case Bulk, BulkError, Verbatim:
		return d.startText(kind, line, rest)
	case Array, Map, Set, Push, attribute:
		v, whole, err = d.startAggregate(kind, line)
		return v, whole, rest, err
	}
	v, err = scalar(kind, line)
	return v, err == nil, rest, err
}

// cut takes a line off data, and returns it without its end; nil if that is still to come. The line is good until
// the next one is cut.
func (d *Decoder) cut(data []byte) (line, rest []byte, err error) {
	begun := d.line
	if n := len(begun); n > 0 && begun[n-1] == '\r' {
		if data[0] != '\n' {
			return nil, nil, errReturn
		}
		d.line = begun[:0]
		return begun[:n-1], data[1:], nil
	}
	end := bytes.IndexByte(data[:min(len(data), maxLine-len("\n")-len(begun))], '\r')
	switch {
	case end >= 0 && end+1 < len(data):
		if data[end+1] != '\n' {
			return nil, nil, errReturn
		}
		if line = data[:end]; len(begun) > 0 {
			line = append(begun, line...)
			d.line = line[:0]
		}
		return line, data[end+2:], nil
	case end < 0 && len(begun)+len(data) >= maxLine-len("\n"):
		return nil, nil, fmt.Errorf("resp: a line of more than %d bytes", maxLine)
	}
	d.line = append(begun, data...)
	return nil, nil, nil
}

// startText reads a text whose length is line, from rest if it is whole there.
func (d *Decoder) startText(kind Kind, line, rest []byte) (v Value, whole bool, _ []byte, err error) {
	if kind == Bulk && string(line) == "-1" {
		return Value{Kind: Null}, true, rest, nil
	}
	size, err := number(line, maxBulk)
	if err != nil {
		return v, false, rest, err
	}
	end := int(size)
	if len(rest) < end+len("\r\n") {
		d.text.open, d.text.kind, d.text.size = true, kind, end
		return v, false, rest, nil
	}
	if rest[end] != '\r' || rest[end+1] != '\n' {
		return v, false, rest, errLonger
	}
	v, err = textOf(kind, d.intern(rest[:end]))
	return v, err == nil, rest[end+len("\r\n"):], err
}

// intern is string(b), without making one for what comes all the time.
func (d *Decoder) intern(b []byte) string {
	if n := len(d.stack); n > 0 && d.stack[n-1].kind == Push && len(d.values) == d.stack[n-1].first+1 {
		if string(b) != d.channel {
			d.channel = string(b)
		}
		return d.channel
	}
	return word(b)
}

// word is string(b), without making one for a few that come often.
func word(b []byte) string {
	switch string(b) {
	case "OK":
		return "OK"
	case "smessage":
		return "smessage"
	case "ssubscribe":
		return "ssubscribe"
	case "sunsubscribe":
		return "sunsubscribe"
	}
	return string(b)
}

// startAggregate reads the beginning of an aggregate, whose count is line.
func (d *Decoder) startAggregate(kind Kind, line []byte) (v Value, whole bool, err error) {
	if kind == Array && string(line) == "-1" {
		return Value{Kind: Null}, true, nil
	}
	left, err := number(line, maxCount)
	switch {
	case err != nil:
		return v, false, err
	case len(d.stack) == maxDepth:
		return v, false, fmt.Errorf("resp: more than %d aggregates within each other", maxDepth)
	case left == 0:
		return Value{Kind: kind}, kind != attribute, nil
	case kind == Map || kind == attribute:
		left *= 2
	}
	d.stack = append(d.stack, aggregate{kind, left, len(d.values)})
	return v, false, nil
}

// put has a whole value where it belongs: in the innermost aggregate, and if that is whole with it in the next one, or
// told.
func (d *Decoder) put(v Value, each func(Value)) {
	for n := len(d.stack) - 1; n >= 0; n-- {
		top := &d.stack[n]
		if top.kind != attribute {
			d.values = append(d.values, v)
		}
		if top.left--; top.left > 0 {
			return
		}
		d.stack = d.stack[:n]
		if top.kind == attribute {
			return // what it is told of is still to come
		}
		elements := d.values[top.first:]
		v = Value{Kind: top.kind, List: append(make([]Value, 0, len(elements)), elements...)}
		clear(elements) // so that nothing keeps their texts
		d.values = d.values[:top.first]
	}
	if cap(d.values) > maxKept {
		d.values = nil
	}
	each(v)
}
