package hub

// A Publication is one event on its way to the subscribers of a room. The hub
// and all receivers share it: nothing in it may change once it is published.
//
// It is plain text and bytes, so that another process can be handed it as it is.
type Publication struct {
	App      string // partition of the hub; rooms of two apps never meet
	Room     string // the room's name; unused when Everyone is set
	Everyone bool   // reach each subscriber of App, in a room or not
	// Passing says that it is of its moment alone: no [Log] keeps it. It stands here, where it
	// takes no memory: many publications are on the heap.
	Passing bool
	// Narrowed says that Everyone is narrowed down to a [Union], by [Publication.Narrow]. It takes no
	// memory either.
	Narrowed bool
	// Cached, if not 0, says that a [Broker] is to keep it as the last of its room, for so many
	// seconds, beside a log; see package presence. In one process alone nobody looks at it.
	Cached uint32

	Event string // event name as the sender wrote it
	Data  []byte // the payload, in the form that the encoders of App read
	Meta  string // what these encoders want to know beside it; empty for nothing

	// Except is the id of a subscriber that gets no copy; empty for none. Of a publication that is
	// Narrowed it is the union.
	Except string
}

// An Encoder turns a publication into the bytes that one kind of connection
// writes. The hub compares encoders with ==, so all subscribers of a kind must
// share one value. Encode runs on the publisher's goroutine, several at once;
// the frame it returns is shared by all receivers and must never change. nil says
// that this kind of connection must not get the publication.
type Encoder interface {
	Encode(*Publication) []byte
}

// A Receiver is the connection behind a subscriber. Deliver queues a frame and
// reports whether it was taken. It is called with a room locked, so it must
// neither wait nor call the hub: a connection that is full marks itself and
// closes later, on a goroutine of its own.
type Receiver interface {
	Deliver(frame []byte) bool
}

// A Replayer is a [Receiver] that is told which frames its client asks for, since it missed
// them: they are given by Replay, of which the same holds.
type Replayer interface{ Replay(frame []byte) bool }
