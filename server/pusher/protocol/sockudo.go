package protocol

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"

	"poosh/server/hub"
	"poosh/server/websocket"
)

// Sockudo's version of the protocol, for clients that resume: as 7, but that its events
// have other names, and channel events have ids and places.
const SockudoVersion = 2

// What the names of the protocol's own events begin with, in Pusher's versions and in
// Sockudo's.
const (
	ours, oursInside       = "pusher:", "pusher_internal:"
	theirs, theirsInside   = "sockudo:", "sockudo_internal:"
	serialDigits, idLength = 16, 36
)

// ToSockudo is the name that an event of the protocol has in Sockudo's version; other names
// stay as they are.
func ToSockudo(event string) string {
	if rest, ok := strings.CutPrefix(event, ours); ok {
		return theirs + rest
	}
	if rest, ok := strings.CutPrefix(event, oursInside); ok {
		return theirsInside + rest
	}
	return event
}

// FromSockudo is the other way round, for what clients send.
func FromSockudo(event string) string {
	if rest, ok := strings.CutPrefix(event, theirs); ok {
		return ours + rest
	}
	return event
}

// StreamID names the log that positions of an epoch are places in. It has the form of a
// UUID, of version 8, as Sockudo's have that of one.
func StreamID(epoch uint64) string { return MessageID(hub.Position{Epoch: epoch}) }

// MessageID names the publication of a position: always the same, and like no other.
func MessageID(at hub.Position) string {
	var b [idLength]byte
	putID(b[:], at)
	return string(b[:])
}

// putID writes an id over b: an epoch and a number of 50 bits, around the fixed bits of a
// UUID (RFC 9562, section 5.8).
func putID(b []byte, at hub.Position) {
	var raw [16]byte
	first := at.Epoch<<16 | 8<<12 | at.Number>>38 // 48 bits of the epoch, 12 of the number
	second := uint64(2)<<62 | at.Number&(1<<38-1)<<24 | at.Epoch>>48&3
	for i := range 8 {
		raw[i], raw[8+i] = byte(first>>(56-8*i)), byte(second>>(56-8*i))
	}
	putUUID(b, raw)
}

func putUUID(b []byte, raw [16]byte) {
	at := 0
	for i, part := range [][]byte{raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:]} {
		if i > 0 {
			b[at] = '-'
			at++
		}
		hex.Encode(b[at:], part)
		at += 2 * len(part)
	}
}

// newMessageID names what is kept nowhere.
func newMessageID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	var b [idLength]byte
	putUUID(b[:], raw)
	return string(b[:])
}

// ParseStreamID returns the epoch that [StreamID] named, and false for another text.
func ParseStreamID(text string) (epoch uint64, ok bool) {
	if len(text) != idLength {
		return 0, false
	}
	raw, err := hex.DecodeString(text[:8] + text[9:13])
	last, err2 := strconv.ParseUint(text[idLength-1:], 16, 64)
	if err != nil || err2 != nil {
		return 0, false
	}
	for _, b := range raw {
		epoch = epoch<<8 | uint64(b)
	}
	epoch |= last & 3 << 48
	return epoch, epoch != 0 && StreamID(epoch) == text
}

// Encoders of Sockudo's version: for an app of which nothing is kept, and for one that is.
var (
	SockudoEncoder     hub.Encoder = sockudo{}
	SockudoEncoderKept hub.Encoder = keptSockudo{}
)

type sockudo struct{}

// Encode makes the frame of a publication. One with a name of Sockudo's protocol, which is
// nobody's to send, clients of that are not given.
func (sockudo) Encode(p *hub.Publication) []byte {
	b := begin(p)
	if b != nil && !Reserved(p.Event) {
		b = append(append(append(b, `,"message_id":"`...), newMessageID()...), '"')
	}
	return end(b)
}

type keptSockudo struct{}

var _ hub.Numbered = keptSockudo{}

// place is what stands at the end of a frame until its publication has a place. Blanks are
// where the serial is not as long as it may be.
var place = `,"message_id":"` + noID + `","stream_id":"` + noID + `","serial":` + strings.Repeat(" ", serialDigits-1) + `0`

var noID = strings.Repeat("0", idLength)

// Encode is as that of an app of which nothing is kept, with room for the place.
func (keptSockudo) Encode(p *hub.Publication) []byte {
	if p.Passing {
		return sockudo{}.Encode(p)
	}
	b := begin(p)
	if b != nil {
		b = append(b, place...)
	}
	return end(b)
}

// Place implements [hub.Numbered].
func (keptSockudo) Place(frame []byte, at hub.Position) {
	from := len(frame) - len(`}`) - len(place)
	if from < 0 || string(frame[from:from+len(`,"message_id":"`)]) != place[:len(`,"message_id":"`)] {
		return // one that passes
	}
	putID(frame[from+len(`,"message_id":"`):], at)
	putPlace(frame[:len(frame)-1], at)
}

// putPlace writes a place over the end of b.
func putPlace(b []byte, at hub.Position) {
	serial := b[len(b)-serialDigits:]
	for i := range serial {
		serial[i] = ' '
	}
	text := strconv.AppendUint(make([]byte, 0, serialDigits), at.Number, 10)
	copy(serial[serialDigits-len(text):], text)
	putID(b[len(b)-serialDigits-len(`","serial":`)-idLength:], hub.Position{Epoch: at.Epoch})
}

// begin is a publication's frame up to what tells of its place; nil for none.
func begin(p *hub.Publication) []byte {
	if strings.HasPrefix(p.Event, theirs) || strings.HasPrefix(p.Event, theirsInside) {
		return nil
	}
	b := newFrame(len(p.Event) + len(p.Room) + len(p.Data) + len(p.Meta) + len(place) + 64)
	b = AppendString(append(b, `{"event":`...), ToSockudo(p.Event))
	b = AppendString(append(b, `,"channel":`...), p.Room)
	b = append(append(b, `,"data":`...), p.Data...)
	if p.Meta != "" {
		b = AppendString(append(b, `,"user_id":`...), p.Meta)
	}
	return b
}

func end(b []byte) []byte {
	if b == nil {
		return nil
	}
	return websocket.FrameInPlace(append(b, '}'))
}

// AckFrame confirms a subscription of Sockudo's version to a channel of an app that is kept,
// with room for the place from which the client gets everything; see [PlaceAck].
func AckFrame(channel string, data []byte) []byte {
	b := newFrame(len(channel) + len(data) + len(data)/4 + len(place) + 80)
	b = AppendString(append(b, `{"event":"sockudo_internal:subscription_succeeded","channel":`...), channel)
	b = AppendString(append(b, `,"data":`...), data)
	return end(append(b, place[strings.Index(place, `,"stream_id"`):]...))
}

// PlaceAck writes the place into the frame, before anybody has it.
func PlaceAck(frame []byte, at hub.Position) { putPlace(frame[:len(frame)-1], at) }

// OwnFrame is a frame of the protocol's own as a client of a version reads it: Sockudo's has
// another name for its event.
func OwnFrame(version int, frame []byte) []byte {
	if version != SockudoVersion {
		return frame
	}
	const first = `{"event":"pusher`
	rest, ok := bytes.CutPrefix(websocket.Payload(frame), []byte(first))
	if !ok {
		return frame
	}
	return websocket.FrameInPlace(append(append(newFrame(len(first)+1+len(rest)), `{"event":"sockudo`...), rest...))
}
