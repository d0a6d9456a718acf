package protocol

import (
	"strconv"

	"poosh/server/websocket"
)

// The frames that never differ.
var (
	PingFrame = websocket.TextFrame([]byte(`{"event":"pusher:ping","data":"{}"}`))
	PongFrame = websocket.TextFrame([]byte(`{"event":"pusher:pong","data":"{}"}`))
	WirePing  = websocket.PingFrame()
)

// EventFrame is an event of the protocol with a string as its data, and a channel
// unless that is empty.
func EventFrame[T string | []byte](event, channel string, data T) []byte {
	b := newFrame(len(event) + len(channel) + len(data) + len(data)/4 + 48)
	b = append(b, `{"event":"`...)
	b = append(b, event...)
	if channel != "" {
		b = append(b, `","channel":`...)
		b = AppendString(b, channel)
		b = append(b, `,"data":`...)
	} else {
		b = append(b, `","data":`...)
	}
	b = AppendString(b, data)
	return websocket.FrameInPlace(append(b, '}'))
}

// ObjectFrame is an event of the protocol to a channel with JSON as its data.
func ObjectFrame(event, channel string, data []byte) []byte {
	b := newFrame(len(event) + len(channel) + len(data) + 48)
	b = AppendString(append(append(append(b, `{"event":"`...), event...), `","channel":`...), channel)
	return websocket.FrameInPlace(append(append(append(b, `,"data":`...), data...), '}'))
}

// EstablishedFrame is the first frame of every connection that is taken.
func EstablishedFrame(socketID string, timeout int) []byte {
	return EventFrame("pusher:connection_established", "",
		`{"socket_id":"`+socketID+`","activity_timeout":`+strconv.Itoa(timeout)+`}`)
}

// ErrorFrame tells of an error. Its data is an object: the Swift library reads
// nothing else. Code 0 is written as null, which pusher-js takes for "go on". A
// channel that it is about is named as soketi does; empty for none.
func ErrorFrame(code int, channel, text string) []byte {
	b := newFrame(len(channel) + len(text) + len(text)/4 + 80)
	b = append(b, `{"event":"pusher:error",`...)
	if channel != "" {
		b = append(AppendString(append(b, `"channel":`...), channel), ',')
	}
	b = append(b, `"data":{"code":`...)
	if code == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(code), 10)
	}
	b = append(b, `,"message":`...)
	b = AppendString(b, text)
	return websocket.FrameInPlace(append(b, "}}"...))
}

// RefusalFrame tells a channel's own listeners that they are not subscribed, as
// soketi does. status is what it would be over HTTP.
func RefusalFrame(channel, kind, text string, status int) []byte {
	b := newFrame(len(channel) + len(text) + len(text)/4 + 128)
	b = append(b, `{"event":"pusher:subscription_error","channel":`...)
	b = AppendString(b, channel)
	b = append(b, `,"data":{"type":"`...)
	b = append(b, kind...)
	b = append(b, `","error":`...)
	b = AppendString(b, text)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(status), 10)
	return websocket.FrameInPlace(append(b, "}}"...))
}

// SignedInFrame confirms a sign-in. Its data is an object whose one value is the
// string that the client sent.
func SignedInFrame(userData string) []byte {
	b := newFrame(len(userData) + len(userData)/4 + 64)
	b = append(b, `{"event":"pusher:signin_success","data":{"user_data":`...)
	b = AppendString(b, userData)
	return websocket.FrameInPlace(append(b, "}}"...))
}

// WatchlistFrame tells who of a watchlist is online or offline.
func WatchlistFrame(online, offline []string) []byte {
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
			b = AppendString(b, id)
		}
		b = append(b, "]}"...)
	}
	return EventFrame("pusher_internal:watchlist_events", "", append(b, "]}"...))
}
