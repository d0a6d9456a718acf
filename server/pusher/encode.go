package pusher

import (
	"strconv"
	"unicode/utf8"

	"poosh/server/hub"
	"poosh/server/websocket"
)

// Encoder writes publications as all connections of this dialect read them. The
// data of a channel event is always a string (Pusher Channels protocol, "Double
// encoding"), and so is a publication's: see [jsonString].
var Encoder hub.Encoder = encoder{}

type encoder struct{}

// Encode makes the frame of a publication. A key that has no value is left out:
// the Java library throws at null.
func (encoder) Encode(p *hub.Publication) []byte {
	b := newFrame(len(p.Event) + len(p.Room) + len(p.Data) + len(p.Meta) + 64)
	b = append(b, `{"event":`...)
	b = appendString(b, p.Event)
	b = append(b, `,"channel":`...)
	b = appendString(b, p.Room)
	b = append(b, `,"data":`...)
	b = append(b, p.Data...)
	if p.Meta != "" {
		b = append(b, `,"user_id":`...)
		b = appendString(b, p.Meta)
	}
	return websocket.FrameInPlace(append(b, '}'))
}

// jsonString is the data of an event as its publication has it: a JSON string.
func jsonString(data []byte) []byte {
	return appendString(make([]byte, 0, len(data)+len(data)/8+8), data)
}

// newFrame returns a buffer with room for the header of a frame in front.
func newFrame(size int) []byte {
	return make([]byte, websocket.HeaderSpace, websocket.HeaderSpace+size)
}

// mustEscape are the ASCII bytes that a JSON string may not hold as they are.
var mustEscape = func() (t [utf8.RuneSelf]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Nothing is escaped that need not be;
// what is no UTF-8 becomes U+FFFD, since a browser closes a connection for it.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if !mustEscape[c] {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && size == 1 {
			b = append(append(b, s[from:i]...), "\ufffd"...)
			i++
			from = i
			continue
		}
		i += size
	}
	return append(append(b, s[from:]...), '"')
}

// The frames that never differ.
var (
	pingFrame   = websocket.TextFrame([]byte(`{"event":"pusher:ping","data":"{}"}`))
	pongFrame   = websocket.TextFrame([]byte(`{"event":"pusher:pong","data":"{}"}`))
	wirePing    = websocket.PingFrame()
	emptyObject = []byte("{}")
)

// plainFrame is an event of the protocol with a string as its data, and a channel
// unless that is empty.
func plainFrame[T string | []byte](event, channel string, data T) []byte {
	b := newFrame(len(event) + len(channel) + len(data) + len(data)/4 + 48)
	b = append(b, `{"event":"`...)
	b = append(b, event...)
	if channel != "" {
		b = append(b, `","channel":`...)
		b = appendString(b, channel)
		b = append(b, `,"data":`...)
	} else {
		b = append(b, `","data":`...)
	}
	b = appendString(b, data)
	return websocket.FrameInPlace(append(b, '}'))
}

// establishedFrame is the first frame of every connection that is taken.
func establishedFrame(socketID string, timeout int) []byte {
	return plainFrame("pusher:connection_established", "",
		`{"socket_id":"`+socketID+`","activity_timeout":`+strconv.Itoa(timeout)+`}`)
}

// errorFrame tells of an error. Its data is an object: the Swift library reads
// nothing else. Code 0 is written as null, which pusher-js takes for "go on". A
// channel that it is about is named as soketi does; empty for none.
func errorFrame(code int, channel, text string) []byte {
	b := newFrame(len(channel) + len(text) + len(text)/4 + 80)
	b = append(b, `{"event":"pusher:error",`...)
	if channel != "" {
		b = append(appendString(append(b, `"channel":`...), channel), ',')
	}
	b = append(b, `"data":{"code":`...)
	if code == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(code), 10)
	}
	b = append(b, `,"message":`...)
	b = appendString(b, text)
	return websocket.FrameInPlace(append(b, "}}"...))
}

// refusalFrame tells a channel's own listeners that they are not subscribed, as
// soketi does.
func refusalFrame(channel, kind, text string) []byte {
	b := newFrame(len(channel) + len(text) + len(text)/4 + 128)
	b = append(b, `{"event":"pusher:subscription_error","channel":`...)
	b = appendString(b, channel)
	b = append(b, `,"data":{"type":"`...)
	b = append(b, kind...)
	b = append(b, `","error":`...)
	b = appendString(b, text)
	return websocket.FrameInPlace(append(b, `,"status":401}}`...))
}

// signedInFrame confirms a sign-in. Its data is an object whose one value is the
// string that the client sent.
func signedInFrame(userData string) []byte {
	b := newFrame(len(userData) + len(userData)/4 + 64)
	b = append(b, `{"event":"pusher:signin_success","data":{"user_data":`...)
	b = appendString(b, userData)
	return websocket.FrameInPlace(append(b, "}}"...))
}

// watchlistFrame tells who of a watchlist is online or offline.
func watchlistFrame(online, offline []string) []byte {
	b := []byte(`{"events":[`)
	for _, part := range []struct {
		name string
		ids  []string
	}{{"online", online}, {"offline", offline}} {
		if len(part.ids) == 0 {
			continue
		}
		if b[len(b)-1] == '}' {
			b = append(b, ',')
		}
		b = append(b, `{"name":"`+part.name+`","user_ids":[`...)
		for i, id := range part.ids {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, id)
		}
		b = append(b, "]}"...)
	}
	return plainFrame("pusher_internal:watchlist_events", "", append(b, "]}"...))
}

// presenceData is the data of a confirmed subscription to a presence channel: all
// users in it, and the newcomer, who is about to join.
func presenceData(r *hub.Roster, newcomer hub.Member) []byte {
	ids, hash := []byte(nil), []byte(nil)
	add := func(m hub.Member) bool {
		if len(ids) > 0 {
			ids, hash = append(ids, ','), append(hash, ',')
		}
		ids = appendString(ids, m.ID)
		hash = append(appendString(hash, m.ID), ':')
		hash = append(hash, m.Info...)
		return true
	}
	count := r.Len()
	r.Members(add)
	if !r.Has(newcomer.ID) {
		add(newcomer)
		count++
	}
	b := make([]byte, 0, len(ids)+len(hash)+64)
	b = append(b, `{"presence":{"ids":[`...)
	b = append(b, ids...)
	b = append(b, `],"hash":{`...)
	b = append(b, hash...)
	b = append(b, `},"count":`...)
	b = strconv.AppendInt(b, int64(count), 10)
	return append(b, "}}"...)
}

// memberData is the data of member_added, and of member_removed with no info.
func memberData(id string, info []byte) []byte {
	b := appendString([]byte(`{"user_id":`), id)
	if info != nil {
		b = append(append(b, `,"user_info":`...), info...)
	}
	return append(b, '}')
}
