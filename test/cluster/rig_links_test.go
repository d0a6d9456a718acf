//go:build unix

package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// rigPatience is how long a node may take for an answer: longer than it is ever made to stand still.
const rigPatience = 30 * time.Second

// A link is a connection of the rig's own to a node: a WebSocket, or a stream of events.
type link struct {
	ws  *websocket.Conn // nil for a stream
	end func()          // of a stream

	mu sync.Mutex // one writes at a time
}

var errHandshake = errors.New("no handshake")

// dialLink opens a WebSocket.
func dialLink(url string) (*link, error) {
	d := websocket.Dialer{HandshakeTimeout: rigPatience}
	ws, res, err := d.Dial(url, nil)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	return &link{ws: ws}, nil
}

// say sends a message; what cannot be sent, the reader hears of.
func (l *link) say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.ws.SetWriteDeadline(time.Now().Add(rigPatience))
	_ = l.ws.WriteMessage(websocket.TextMessage, []byte(text))
}

// hear takes the next message.
func (l *link) hear() (string, error) {
	_, text, err := l.ws.ReadMessage()
	return string(text), err
}

// close ends it.
func (l *link) close() {
	if l.ws != nil {
		_ = l.ws.Close()
		return
	}
	l.end()
}

// dialEngine opens a session of socket.io 4 and returns its id.
func dialEngine(addr string) (l *link, sid string, err error) {
	l, err = dialLink("ws://" + addr + "/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	_ = l.ws.SetReadDeadline(time.Now().Add(rigPatience))
	for {
		text, err := l.hear()
		switch {
		case err != nil:
			return nil, "", err
		case strings.HasPrefix(text, "0"):
			l.say("40")
		case text == "2":
			l.say("3")
		case strings.HasPrefix(text, "40"):
			var at struct{ Sid string }
			if json.Unmarshal([]byte(text[2:]), &at) != nil || at.Sid == "" {
				return nil, "", errHandshake
			}
			return l, at.Sid, l.ws.SetReadDeadline(time.Time{})
		default:
			return nil, "", errHandshake
		}
	}
}

// engine hands out the events of a session of socket.io until it ends, and says why.
func (l *link) engine(each func(name string, args []json.RawMessage)) error {
	for {
		text, err := l.hear()
		if err != nil {
			return err
		}
		switch {
		case text == "2":
			l.say("3")
		case strings.HasPrefix(text, "42"):
			var list []json.RawMessage
			var name string
			if json.Unmarshal([]byte(text[2:]), &list) != nil || len(list) == 0 || json.Unmarshal(list[0], &name) != nil {
				return errors.New("a packet " + text)
			}
			each(name, list[1:])
		case text == "1" || text == "41":
			return errors.New("told to go by " + text)
		}
	}
}

// emit sends an event over a session of socket.io.
func (l *link) emit(name string, args ...any) {
	text, err := json.Marshal(append([]any{name}, args...))
	if err == nil {
		l.say("42" + string(text))
	}
}

// streams opens connections of which each has one request.
var streams = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// openStream opens a stream of events; what comes is handed to each, with its position, until it ends.
func openStream(url string) (l *link, run func(each func(name, data, id string)) error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	late := time.AfterFunc(rigPatience, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	res, err := streams.Do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		err = errors.New(res.Status)
	}
	if !late.Stop() && err == nil {
		_ = res.Body.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return &link{end: cancel}, func(each func(name, data, id string)) error {
		defer res.Body.Close()
		defer cancel()
		name, data, id, some := "", "", "", false
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
			case "event":
				name = value
			case "data":
				data, some = value, true
			case "id":
				id = value
			case "":
				if some {
					each(name, data, id)
				}
				name, data, some = "", "", false // id is kept, as an EventSource does
			}
		}
		if lines.Err() != nil {
			return lines.Err()
		}
		return errors.New("the stream ended")
	}, nil
}
