package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"poosh/auth"
)

// A dialect says how its clients join a room and how its senders publish to it. An
// event is a text without anything that JSON would escape.
type dialect struct {
	name string
	port func(*fourfold) int
	// own is a request that clients make before their WebSocket.
	own string
	// target is where a WebSocket is opened; Socktopus has one for each client.
	target func(id string) string
	// join says what is to be said to be in a room, once the WebSocket is open.
	join func(ws *rawSocket, room string) error
	// publish sends an event to a room, or to clients by their ids, and returns how it
	// was answered.
	publish func(f *fourfold, room string, ids []string, text string) (answer, error)
	// begins is what stands in front of an event's text on the wire, and closes is the
	// code that clients are sent away with when the server ends, noCloseFrame for none.
	begins string
	closes int
}

// dialects are those that have WebSockets and publish to many.
func dialects() []*dialect {
	return []*dialect{pooshDialect(3), pooshDialect(4), pusherDialect(), socktopusDialect()}
}

func pooshDialect(eio int) *dialect {
	return &dialect{
		name:   fmt.Sprintf("Poosh, EIO %d", eio),
		port:   func(f *fourfold) int { return f.clientPort },
		own:    fmt.Sprintf("/socket.io/?EIO=%d&transport=polling&t=e2e", eio),
		target: func(string) string { return fmt.Sprintf("/socket.io/?EIO=%d&transport=websocket", eio) },
		join: func(ws *rawSocket, room string) error {
			packets := []string{`42["room",` + quote(room) + `]`}
			if eio == 4 {
				packets = append([]string{"40"}, packets...)
			}
			if err := ws.say(packets...); err != nil {
				return err
			}
			_, err := ws.hearPrefix("40")
			return err
		},
		publish: func(f *fourfold, room string, _ []string, text string) (answer, error) {
			payload := `"` + text + `"`
			return f.tryPost(body(room, "n", payload), token(payload))
		},
		begins: `42["n","`, closes: map[int]int{3: noCloseFrame, 4: 1001}[eio],
	}
}

func pusherDialect() *dialect {
	return &dialect{
		name:   "Pusher",
		port:   func(f *fourfold) int { return f.pusherPort },
		own:    "/apps/" + pusherID + "/channels", // not signed, so refused
		target: func(string) string { return "/app/" + pusherKey + "?protocol=7&client=js&version=8.4.0" },
		join: func(ws *rawSocket, room string) error {
			if _, err := ws.hearPrefix(`{"event":"pusher:connection_established"`); err != nil {
				return err
			}
			if err := ws.say(`{"event":"pusher:subscribe","data":{"channel":` + quote(room) + `}}`); err != nil {
				return err
			}
			_, err := ws.hearPrefix(`{"event":"pusher_internal:subscription_succeeded"`)
			return err
		},
		publish: func(f *fourfold, room string, _ []string, text string) (answer, error) {
			return f.pusherPost("events", `{"name":"n","channel":`+quote(room)+`,"data":"`+text+`"}`)
		},
		begins: `{"event":"n","channel":"`, closes: 4200,
	}
}

// pusherPost posts to the HTTP API of the app, signed.
func (f *fourfold) pusherPost(path, body string) (answer, error) {
	path = "/apps/" + pusherID + "/" + path
	query := auth.SignPusherQuery(pusherKey, pusherSecret, http.MethodPost, path, []byte(body), time.Now())
	return postJSON(f.url(f.pusherPort)+path+"?"+query, body)
}

func postJSON(url, body string) (answer, error) {
	resp, err := sender.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

func socktopusDialect() *dialect {
	return &dialect{
		name:   "Socktopus",
		port:   func(f *fourfold) int { return f.socktopusPort },
		own:    "/",
		target: func(id string) string { return "/receive?token=" + socktopusToken(id) },
		join: func(ws *rawSocket, _ string) error {
			if err := ws.say("PING"); err != nil {
				return err
			}
			_, err := ws.hearPrefix("PONG")
			return err
		},
		publish: socktopusSend,
		begins:  "DATA:", closes: 1001,
	}
}

// socktopusToken makes a token that is good now.
func socktopusToken(id string) string {
	return auth.NewSocktopus(socktopusName, socktopusSecret, id, time.Now())
}

// socktopusSend sends one text to many. An answer that names a recipient as failed
// counts as 502: these tests send to none that is not there.
func socktopusSend(f *fourfold, _ string, ids []string, text string) (answer, error) {
	var body strings.Builder
	body.WriteString(`{"secretName":"` + socktopusName + `","secret":"` + socktopusSecret + `","messages":[`)
	for i, id := range ids {
		if i > 0 {
			body.WriteByte(',')
		}
		body.WriteString(`{"recipient":"` + id + `","content":"` + text + `"}`)
	}
	body.WriteString("]}")
	a, err := postJSON(f.url(f.socktopusPort)+"/send", body.String())
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	// Megabytes of it are what was sent.
	if _, failed, _ := strings.Cut(a.body, `],"failed":[`); failed != "]}\n" && failed != "]}" {
		a.status = http.StatusBadGateway
		failed = strings.ReplaceAll(failed, text, "...")
		a.body = "failed: " + failed[:min(len(failed), 500)]
	}
	return a, nil
}

// A member is a client that has joined.
type member struct {
	*rawSocket
	kind kind
	id   string // among all
}

var members atomic.Int64 // makes ids

// enter connects a client of a kind and lets it join a room.
func (d *dialect) enter(f *fourfold, k kind, room string) (*member, error) {
	m := &member{kind: k, id: strconv.FormatInt(members.Add(1), 10)}
	var err error
	if m.rawSocket, err = k.open(f, d.port(f), d.target(m.id), d.own); err != nil {
		return nil, err
	}
	if err := d.join(m.rawSocket, room); err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: joining: %w", k.name, err)
	}
	m.SetDeadline(time.Time{})
	return m, nil
}

// text returns the text of an event, if the message is one.
func (d *dialect) text(message string) (text string, ok bool) {
	rest, ok := strings.CutPrefix(message, d.begins)
	if !ok {
		return "", false
	}
	if d.name == "Pusher" {
		_, rest, ok = strings.Cut(rest, `"data":"`)
	}
	text, _, _ = strings.Cut(rest, `"`)
	return text, ok
}
