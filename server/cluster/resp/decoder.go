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
	maxName  = 256       // bytes of a channel's name that a decoder keeps
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
	// and has no room to spare. A value that is told passes through it.
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
// in order. It keeps nothing of data. An error is final: what came was no RESP3, or over a bound. Then each has been
// called for what stood before, and every later Feed returns the same error. each must not call Feed.
func (d *Decoder) Feed(data []byte, each func(Value)) error {
	err := d.err
	for err == nil && len(data) > 0 {
		var whole bool
		if d.text.open {
			whole, data, err = d.goOn(data)
		} else {
			whole, data, err = d.next(data)
		}
		if whole {
			d.settle(each)
		}
	}
	if err != nil {
		*d = Decoder{err: err} // nothing else is wanted any more
	}
	return err
}

// next reads a line, and the text behind it if that is whole there. It says whether a value is whole with it, which is
// the last of d.values then, and what is behind it.
func (d *Decoder) next(data []byte) (whole bool, rest []byte, err error) {
	line, rest, err := d.cut(data)
	if line == nil || err != nil {
		return false, rest, err
	}
	if len(line) == 0 {
		return false, rest, errors.New("resp: an empty line")
	}
	kind, line := Kind(line[0]), line[1:]
	switch kind {
	case Bulk, BulkError, Verbatim:
		return d.startText(kind, line, rest)
	case Array, Map, Set, Push, attribute:
		whole, err = d.startAggregate(kind, line)
		return whole, rest, err
	}
	v, err := scalar(kind, line)
	if err != nil {
		return false, rest, err
	}
	d.values = append(d.values, v)
	return true, rest, nil
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
func (d *Decoder) startText(kind Kind, line, rest []byte) (whole bool, _ []byte, err error) {
	if kind == Bulk && string(line) == "-1" {
		d.values = append(d.values, Value{Kind: Null})
		return true, rest, nil
	}
	size, err := number(line, maxBulk)
	if err != nil {
		return false, rest, err
	}
	end := int(size)
	if len(rest) < end+len("\r\n") {
		d.text.open, d.text.kind, d.text.size = true, kind, end
		return false, rest, nil
	}
	if rest[end] != '\r' || rest[end+1] != '\n' {
		return false, rest, errLonger
	}
	err = d.addText(kind, d.intern(rest[:end]))
	return err == nil, rest[end+len("\r\n"):], err
}

// goOn adds data to the text whose end is still to come.
func (d *Decoder) goOn(data []byte) (whole bool, rest []byte, err error) {
	whole, rest, err = d.text.add(data)
	if !whole || err != nil {
		return false, rest, err
	}
	kind, text := d.text.kind, d.text.text.String()
	d.text = partial{}
	err = d.addText(kind, text)
	return err == nil, rest, err
}

// addText adds a value of a text with a length.
func (d *Decoder) addText(kind Kind, text string) error {
	switch kind {
	case BulkError:
		kind = Error
	case Verbatim:
		if len(text) < 4 || text[3] != ':' {
			return errFormat
		}
		text = text[4:]
	}
	d.values = append(d.values, Value{Kind: kind, Text: text})
	return nil
}

// intern is string(b), without making one for what comes all the time.
func (d *Decoder) intern(b []byte) string {
	if n := len(d.stack); n > 0 && d.stack[n-1].kind == Push && len(d.values) == d.stack[n-1].first+1 && len(b) <= maxName {
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

// startAggregate reads the beginning of an aggregate, whose count is line. An empty one is whole.
func (d *Decoder) startAggregate(kind Kind, line []byte) (whole bool, err error) {
	if kind == Array && string(line) == "-1" {
		d.values = append(d.values, Value{Kind: Null})
		return true, nil
	}
	left, err := number(line, maxCount)
	switch {
	case err != nil:
		return false, err
	case len(d.stack) == maxDepth:
		return false, fmt.Errorf("resp: more than %d aggregates within each other", maxDepth)
	case left == 0 && kind == attribute:
		return false, nil
	case left == 0:
		d.values = append(d.values, Value{Kind: kind})
		return true, nil
	case kind == Map || kind == attribute:
		left *= 2
	}
	d.stack = append(d.stack, aggregate{kind, left, len(d.values)})
	return false, nil
}

// settle has the last of d.values, which is whole, be where it belongs: in the innermost aggregate, if that is whole
// with it in the next one, and told if there is none.
func (d *Decoder) settle(each func(Value)) {
	for n := len(d.stack) - 1; n >= 0; n-- {
		top := &d.stack[n]
		elements := d.values[top.first:]
		if top.kind == attribute {
			d.values = d.values[:top.first] // the next value takes its place
		}
		if top.left--; top.left > 0 {
			return
		}
		d.stack = d.stack[:n]
		if top.kind == attribute {
			return // what it is told of is still to come
		}
		list := make([]Value, len(elements))
		copy(list, elements)
		clear(elements) // so that nothing keeps their texts
		elements[0] = Value{Kind: top.kind, List: list}
		d.values = d.values[:top.first+1]
	}
	v := d.values[0]
	d.values[0] = Value{}
	d.values = d.values[:0]
	if cap(d.values) > maxKept {
		d.values = nil
	}
	each(v)
}
