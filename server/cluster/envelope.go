package cluster

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"poosh/server/hub"
)

// An envelope is a publication on its way between nodes, made once by the node that
// accepted it. All integers are uvarints:
//
//	version, 1 byte
//	flags, 1 byte
//	length of what follows up to the payload, so that a later version may add to it
//	app, room, event, [meta], [except], [id]: each its length and its bytes
//	name of the node, 6 bytes
//	nanoseconds of the node's clock as it was made
//	payload: the rest, as it came
//
// A node drops a version that it does not know: a rolling upgrade mixes them. What is
// narrowed down to a union, which stands in except, is of a later one than the rest: a node that knew
// no unions would hand it to everyone.
type envelope struct {
	hub.Publication
	id   string // of a question between nodes, and of its answers; of a publication that is to be explained; or empty
	node string // that accepted it
	made uint64 // nanoseconds of that node's clock: for how late it is, never to decide by
}

const (
	envelopeVersion = 1
	unionVersion    = 2

	flagEveryone = 1 << 0
	flagPassing  = 1 << 1
	flagMeta     = 1 << 2
	flagExcept   = 1 << 3
	flagID       = 1 << 4
	flagUnion    = 1 << 5 // in unionVersion alone
)

var (
	errVersion   = errors.New("an envelope of a version that is not known here")
	errMalformed = errors.New("not an envelope")
)

// appendTo writes e behind b.
func (e *envelope) appendTo(b []byte) []byte {
	var flags byte
	size := nameSize + varintSize(e.made)
	flag := func(set bool, bit byte) {
		if set {
			flags |= bit
		}
	}
	flag(e.Everyone, flagEveryone)
	flag(e.Passing, flagPassing)
	flag(e.Meta != "", flagMeta)
	flag(e.Except != "", flagExcept)
	flag(e.id != "", flagID)
	fields := [...]string{e.App, e.Room, e.Event, e.Meta, e.Except, e.id}
	for i, f := range fields {
		if i < 3 || f != "" {
			size += varintSize(uint64(len(f))) + len(f)
		}
	}
	version := byte(envelopeVersion)
	if e.Narrowed {
		version, flags = unionVersion, flags|flagUnion
	}
	b = append(b, version, flags)
	b = binary.AppendUvarint(b, uint64(size))
	for i, f := range fields {
		if i < 3 || f != "" {
			b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
		}
	}
	b = append(b, e.node...)
	b = binary.AppendUvarint(b, e.made)
	return append(b, e.Data...)
}

// bound is no less than the bytes of e.
func (e *envelope) bound() int {
	return 64 + len(e.App) + len(e.Room) + len(e.Event) + len(e.Meta) + len(e.Except) + len(e.id) + len(e.Data)
}

func varintSize(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// openEnvelope reads what appendTo wrote. All texts and the payload share text, which must
// not change.
func openEnvelope(text string) (e envelope, err error) {
	if text == "" {
		return e, errMalformed
	}
	if text[0] != envelopeVersion && text[0] != unionVersion {
		return e, errVersion
	}
	if len(text) < 3 {
		return e, errMalformed
	}
	flags := text[1]
	r := fieldReader{rest: text[2:]}
	head := r.bytes()
	payload := r.rest
	r.rest = head
	e.App, e.Room, e.Event = r.bytes(), r.bytes(), r.bytes()
	e.Everyone, e.Passing = flags&flagEveryone != 0, flags&flagPassing != 0
	if flags&flagMeta != 0 {
		e.Meta = r.bytes()
	}
	if flags&flagExcept != 0 {
		e.Except = r.bytes()
	}
	if flags&flagID != 0 {
		e.id = r.bytes()
	}
	e.Narrowed = text[0] == unionVersion && flags&flagUnion != 0
	e.node = r.take(nameSize)
	e.made = r.number()
	if _, ok := e.Union(); r.bad || e.Narrowed && !ok {
		return envelope{}, errMalformed
	}
	if payload != "" {
		e.Data = unsafe.Slice(unsafe.StringData(payload), len(payload))
	}
	return e, nil
}

// A fieldReader takes fields from the front of a text.
type fieldReader struct {
	rest string
	bad  bool // there was less than there should be
}

func (r *fieldReader) number() uint64 {
	var n uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break // more than 64 bits
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.bad, r.rest = true, ""
	return 0
}

func (r *fieldReader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, ""
		return ""
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

func (r *fieldReader) bytes() string { return r.take(r.number()) }
