package commandline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// socketIO speaks Socket.IO 5 over Engine.IO 4, as clients of 3.x and 4.x do
// (socket.io-protocol, engine.io-protocol): it opens a WebSocket at once, joins the
// default namespace, and then rooms as clients of Poosh do.
type socketIO struct{ rooms []string }

func (*socketIO) address(at url.URL) *url.URL {
	at.Path += "/socket.io/"
	at.RawQuery = "EIO=4&transport=websocket"
	return &at
}

func (s *socketIO) message(w *wire, text []byte) (*event, error) {
	if len(text) == 0 {
		return nil, errors.New("the server sends an empty packet")
	}
	switch kind, rest := text[0], text[1:]; kind {
	case '0': // open
		var open struct{ PingInterval, PingTimeout int64 }
		if err := json.Unmarshal(rest, &open); err != nil {
			return nil, fmt.Errorf("the server's greeting is not understood: %w", err)
		}
		if n := time.Duration(open.PingInterval+open.PingTimeout) * time.Millisecond; n > 0 && n < time.Hour {
			w.silence = n
		}
		return nil, w.send("40")
	case '1': // close
		return nil, errors.New("closed by the server")
	case '2': // ping
		return nil, w.send("3" + string(rest))
	case '4':
		return s.packet(w, rest)
	}
	return nil, nil
}

// packet is a packet of Socket.IO, without that it is a message.
func (s *socketIO) packet(w *wire, text []byte) (*event, error) {
	if len(text) == 0 {
		return nil, errors.New("the server sends an empty packet")
	}
	switch kind, rest := text[0], text[1:]; kind {
	case '0': // connected to the namespace
		for _, room := range s.rooms {
			if err := w.send(`42["room",` + jsonText(room) + "]"); err != nil {
				return nil, err
			}
		}
		w.up()
		return nil, nil
	case '1': // disconnected
		return nil, errors.New("disconnected by the server")
	case '2':
		return socketEvent(rest)
	case '4': // refused
		return nil, &errFinal{refused, "the server refuses the connection: " + string(rest)}
	}
	return nil, nil
}

// socketEvent reads an event's packet: maybe an id, which is of no use here, and a list
// of the event's name and its arguments.
func socketEvent(text []byte) (*event, error) {
	text = bytes.TrimLeft(text, "0123456789")
	var list []json.RawMessage
	if err := json.Unmarshal(text, &list); err != nil || len(list) == 0 {
		return nil, errors.New("the server sends an event that is not understood")
	}
	e := &event{At: time.Now()}
	if err := json.Unmarshal(list[0], &e.Event); err != nil {
		e.Event = string(list[0])
	}
	switch len(list) {
	case 1:
	case 2:
		e.Data = list[1]
	default:
		e.Data, _ = json.Marshal(list[1:]) // which was JSON
	}
	return e, nil
}
