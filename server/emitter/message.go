package emitter

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"poosh/server/hub"
	"poosh/server/poosh"
)

// Why a message comes to nothing.
const (
	reasonMalformed = "malformed" // no msgpack
	reasonForm      = "form"      // not an array of two or three with a packet and options, or these are none
	reasonType      = "type"      // a packet other than an event: it would reach clients as it is
	reasonNamespace = "namespace" // of another namespace than /
	reasonNoEvent   = "no_event"  // its data does not begin with a name
	reasonReserved  = "reserved_event"
	reasonCopy      = "copy" // the same as on the channel of the first of its rooms
	reasonRooms     = "too_many_rooms"
	reasonBuffers   = "buffers" // clients would take it for an attack
	reasonLarge     = "too_large"
	reasonRequest   = "request" // no event: what it asks for, if it may, is done by each node
)

var reasons = []string{reasonMalformed, reasonForm, reasonType, reasonNamespace, reasonNoEvent, reasonReserved,
	reasonCopy, reasonRooms, reasonBuffers, reasonLarge, reasonRequest}

// A refusal is why a message is dropped, by its reason.
type refusal string

func (r refusal) Error() string { return string(r) }

// Types of packets that are events (socket.io-protocol): with buffers among the arguments it is said,
// or not.
const (
	typeEvent       = 2
	typeBinaryEvent = 5
)

// A channel is what the name of the channel says that a message came by.
type channel struct {
	// old is one of emitters of 0.x, PHP and Ruby, or that of one process: it names no namespace.
	old    bool
	root   bool   // it is of the namespace /
	room   string // that it names
	inRoom bool
}

// parseChannel reads the name of a channel, which begins with key and #. A room may have any
// characters in it, # too.
func parseChannel(name, key string) (c channel) {
	rest := name[min(len(name), len(key)+1):]
	switch {
	case rest == "/#":
		return channel{root: true}
	case len(rest) > len("/##") && rest[:2] == "/#" && rest[len(rest)-1] == '#':
		return channel{root: true, inRoom: true, room: rest[2 : len(rest)-1]}
	}
	return channel{old: len(rest) == 0 || rest[len(rest)-1] != '#'}
}

// Bounds on a message beside its size.
type bounds struct{ rooms int }

// read makes a publication of a message, or says why not. It keeps nothing of payload.
//
// There are two dialects of msgpack, and nothing says which one it is. Messages that make no sense in
// the one of today are tried in that of msgpack-js.
func (o bounds) read(c channel, payload []byte) (*hub.Publication, string) {
	p, err := o.readAs(c, &reader{b: payload})
	if why := reasonOf(err); why == reasonMalformed || why == reasonForm {
		if old, err := o.readAs(c, &reader{b: payload, old: true}); err == nil {
			return old, ""
		}
	}
	if err != nil {
		return nil, reasonOf(err)
	}
	return p, ""
}

func reasonOf(err error) string {
	var r refusal
	switch {
	case err == nil:
		return ""
	case errors.As(err, &r):
		return string(r)
	case errors.Is(err, errBuffers):
		return reasonBuffers
	}
	return reasonMalformed
}

// readAs reads [uid, packet, options] or, of old ones, [packet, options].
func (o bounds) readAs(c channel, r *reader) (*hub.Publication, error) {
	if err := whole(*r); err != nil {
		return nil, err
	}
	h, _ := r.next()
	if h.kind != kindArray || h.n != 2 && h.n != 3 {
		return nil, refusal(reasonForm)
	}
	if h.n == 3 {
		_ = r.skip() // who sent it
	}
	k, err := readPacket(r)
	if err != nil {
		return nil, err
	}
	to, err := readOptions(r)
	if err != nil {
		return nil, err
	}
	switch {
	case k.kind != typeEvent && k.kind != typeBinaryEvent:
		return nil, refusal(reasonType)
	case k.namespace != "/", !c.root && !c.old:
		return nil, refusal(reasonNamespace)
	case len(to.rooms)+len(to.except) > o.rooms:
		return nil, refusal(reasonRooms)
	case isCopy(c, to.rooms):
		return nil, refusal(reasonCopy)
	}
	return k.publication(r, to)
}

// whole reports whether a message is one value, and nothing else. From there on, reading what is in it
// does not fail.
func whole(r reader) error {
	if err := r.skip(); err != nil {
		return err
	}
	if r.at != len(r.b) {
		return errMsgpack
	}
	return nil
}

// isCopy reports whether a message is on the channel of one of its rooms, and not of the first:
// emitters of 1.x, 2.x, Python and Go send the same on that of each.
func isCopy(c channel, rooms []string) bool {
	return c.inRoom && len(rooms) > 1 && rooms[0] != c.room && slices.Contains(rooms, c.room)
}

// A packet is one of Socket.IO.
type packet struct {
	kind      int64
	namespace string
	data      int // where its data begins; 0 for none
}

// readPacket reads a packet. Its keys may have any order.
func readPacket(r *reader) (k packet, err error) {
	h, _ := r.next()
	if h.kind != kindMap {
		return k, refusal(reasonForm)
	}
	k = packet{kind: -1, namespace: "/"}
	for range h.n {
		name, _ := r.next()
		if name.kind == kindArray || name.kind == kindMap {
			return k, refusal(reasonForm)
		}
		at := *r
		_ = r.skip()
		if name.kind != kindText {
			continue
		}
		value, _ := (&reader{b: at.b, at: at.at, old: at.old}).next()
		switch string(name.text) {
		case "type":
			if k.kind = -1; value.kind == kindInt {
				k.kind = value.int
			}
		case "nsp":
			switch value.kind {
			case kindText:
				k.namespace = string(value.text)
			case kindNil, kindUndefined:
			default:
				k.namespace = ""
			}
		case "data":
			k.data = at.at
		}
	}
	return k, nil
}

// An address is whom an event is for.
type address struct {
	rooms, except []string
	volatile      bool
}

// readOptions reads rooms, except and flags, each of which may be missing or empty in any of the ways
// in which that is written. What is neither a list of names nor empty is refused: nothing for a few may
// reach all by a mistake.
func readOptions(r *reader) (to address, err error) {
	h, _ := r.next()
	if h.kind != kindMap {
		if empty(&h) && h.kind != kindNil && h.kind != kindUndefined {
			return to, nil
		}
		return to, refusal(reasonForm)
	}
	for range h.n {
		name, _ := r.next()
		if name.kind == kindArray || name.kind == kindMap {
			return to, refusal(reasonForm)
		}
		switch string(name.text) {
		case "rooms":
			to.rooms, err = readNames(r)
		case "except":
			to.except, err = readNames(r)
		case "flags":
			to.volatile = readVolatile(r)
		default:
			_ = r.skip()
		}
		if err != nil {
			return to, err
		}
	}
	return to, nil
}

// empty reports whether a value stands for nothing.
func empty(h *head) bool {
	switch h.kind {
	case kindNil, kindUndefined:
		return true
	case kindText, kindBytes:
		return len(h.text) == 0
	case kindArray, kindMap:
		return h.n == 0
	}
	return false
}

// readNames reads names of rooms, each once.
func readNames(r *reader) (names []string, err error) {
	h, _ := r.next()
	if empty(&h) {
		return nil, nil
	}
	if h.kind != kindArray && h.kind != kindMap {
		return nil, refusal(reasonForm)
	}
	seen := make(map[string]bool)
	for range h.n {
		if h.kind == kindMap {
			_ = r.skip() // the key of a list of PHP with gaps
		}
		one, _ := r.next()
		var name string
		switch one.kind {
		case kindText:
			name = string(bytes.ToValidUTF8(one.text, []byte("\uFFFD")))
		case kindInt:
			name = strconv.FormatInt(one.int, 10)
		default:
			return nil, refusal(reasonForm)
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

// readVolatile reads the one flag that counts.
func readVolatile(r *reader) (volatile bool) {
	at := *r
	_ = r.skip()
	h, _ := at.next()
	if h.kind != kindMap {
		return false
	}
	for range h.n {
		name, _ := at.next()
		if name.kind == kindArray || name.kind == kindMap {
			return false
		}
		value := at
		_ = at.skip()
		if v, _ := value.next(); string(name.text) == "volatile" {
			volatile = v.kind == kindBool && v.bool || v.kind == kindInt && v.int != 0 // Perl has no other yes
		}
	}
	return volatile
}

// publication makes one of an event.
func (k *packet) publication(r *reader, to address) (*hub.Publication, error) {
	if k.data == 0 {
		return nil, refusal(reasonNoEvent)
	}
	at := reader{b: r.b, at: k.data, old: r.old}
	h, _ := at.next()
	if h.kind != kindArray || h.n == 0 {
		return nil, refusal(reasonNoEvent)
	}
	name, _ := at.next()
	if name.kind != kindText {
		return nil, refusal(reasonNoEvent)
	}
	p := &hub.Publication{App: poosh.App, Event: string(bytes.ToValidUTF8(name.text, []byte("\uFFFD"))), Passing: to.volatile}
	if !poosh.Deliverable(p.Event) {
		return nil, refusal(reasonReserved)
	}
	w := writer{r: &at, b: make([]byte, 0, len(at.b)-at.at+16)}
	n := h.n - 1
	var err error
	if n == 1 {
		err = w.value(maxDepth)
	} else {
		err = w.arguments(n, maxDepth)
	}
	switch {
	case err != nil:
		return nil, err
	case w.posing && len(w.buffers) > 0:
		return nil, errBuffers
	}
	p.Data, p.Meta = w.b, poosh.Shape{Several: n != 1, Buffers: w.buffers}.Meta()
	to.address(p)
	return p, nil
}

// address says in a publication whom it is for.
func (to *address) address(p *hub.Publication) {
	switch {
	case len(to.except) == 0 && len(to.rooms) == 0:
		p.Everyone = true
	case len(to.except) == 0 && len(to.rooms) == 1:
		p.Room = to.rooms[0]
	default:
		p.Narrow(hub.Union{Rooms: to.rooms, Except: to.except})
	}
}
