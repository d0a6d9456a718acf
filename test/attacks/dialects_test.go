package attacks_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poosh/auth"
)

// pooshDialect is POST /send and a client of socket.io 4.
type pooshDialect struct{ s *server }

func (pooshDialect) name() string { return "poosh" }

func (d pooshDialect) listen(room string, got func(int), gone func(error)) (io.Closer, error) {
	return d.s.room(d.s.clientPort, `["room","`+room+`"]`, `42["n",`, got, gone)
}

func (d pooshDialect) send(c *http.Client, room string, n int) error {
	return d.sendPayload(c, room, strconv.Itoa(n))
}

// sendPayload sends an event of the name n with a payload of JSON that JavaScript
// would print as it stands.
func (d pooshDialect) sendPayload(c *http.Client, room, payload string) error {
	_, err := post(c, d.s.url(d.s.serverPort)+"/send", `{"room":"`+room+`","event":"n","payload":`+payload+`}`, func(r *http.Request) {
		r.Header.Set("Authorization", auth.PooshSign(pooshSecret, []byte(payload)))
	})
	return err
}

// room joins a room of socket.io by an event, and returns when that is done.
func (s *server) room(port int, event, begins string, got func(int), gone func(error)) (io.Closer, error) {
	ws, err := s.dialWebSocket(port, socketIO4)
	if err != nil {
		return nil, err
	}
	if err = say(ws, "40"); err == nil {
		_, err = expect(ws, "40")
	}
	if err == nil {
		err = say(ws, "42"+event)
	}
	if err == nil { // connecting to a namespace that there is not is answered behind what came before it
		if err = say(ws, "40/none,"); err == nil {
			_, err = expect(ws, "44/none,")
		}
	}
	if err != nil {
		_ = ws.Close()
		return nil, err
	}
	go follow(ws, func(text string) error { // ends with ws
		if text == "2" {
			return say(ws, "3")
		}
		return number(text, begins, `]`, got)
	}, gone)
	return ws, nil
}

// number finds the number in a text, if it has such a beginning and end. Behind it may be the id that events that are
// kept have.
func number(text, prefix, suffix string, got func(int)) error {
	text, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil
	}
	text, _, _ = strings.Cut(strings.TrimSuffix(text, suffix), ",")
	n, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	got(n)
	return nil
}

// pusherDialect is Pusher Channels with a public channel.
type pusherDialect struct{ s *server }

func (pusherDialect) name() string { return "pusher" }

func (d pusherDialect) listen(channel string, got func(int), gone func(error)) (io.Closer, error) {
	ws, err := d.s.dialWebSocket(d.s.pusherPort, "/app/"+pusherKey+"?protocol=7")
	if err != nil {
		return nil, err
	}
	if err = say(ws, `{"event":"pusher:subscribe","data":{"channel":"`+channel+`"}}`); err == nil {
		_, err = expect(ws, `{"event":"pusher_internal:subscription_succeeded"`)
	}
	if err != nil {
		_ = ws.Close()
		return nil, err
	}
	go follow(ws, func(text string) error { // ends with ws
		var m struct{ Event, Data string }
		switch err := json.Unmarshal([]byte(text), &m); {
		case err != nil:
			return err
		case m.Event == "pusher:ping":
			return say(ws, `{"event":"pusher:pong","data":{}}`)
		}
		return number(m.Event+m.Data, "n", "", got)
	}, gone)
	return ws, nil
}

func (d pusherDialect) send(c *http.Client, channel string, n int) error {
	_, err := d.call(c, "/events", fmt.Sprintf(`{"name":"n","channel":%q,"data":"%d"}`, channel, n))
	return err
}

// call signs a POST to the API of the app and returns the answer.
func (d pusherDialect) call(c *http.Client, path, body string) (string, error) {
	path = "/apps/" + pusherID + path
	query := auth.SignPusherQuery(pusherKey, pusherSecret, http.MethodPost, path, []byte(body), time.Now())
	return post(c, d.s.url(d.s.pusherPort)+path+"?"+query, body, nil)
}

// socktopusDialect is Socktopus; a room is the id of a connection.
type socktopusDialect struct{ s *server }

func (socktopusDialect) name() string { return "socktopus" }

func (d socktopusDialect) target(id string) string {
	return "/recieve?token=" + auth.NewSocktopus(socktopusName, socktopusSecret, id, time.Now())
}

func (d socktopusDialect) listen(id string, got func(int), gone func(error)) (io.Closer, error) {
	ws, err := d.s.dialWebSocket(d.s.socktopusPort, d.target(id))
	if err != nil {
		return nil, err
	}
	if err = say(ws, "PING"); err == nil {
		_, err = expect(ws, "PONG")
	}
	if err != nil {
		_ = ws.Close()
		return nil, err
	}
	ended := make(chan struct{})
	go func() { // ends with ws
		for {
			select {
			case <-time.After(5 * time.Second):
				_ = say(ws, "PING")
			case <-ended:
				return
			}
		}
	}()
	go func() { // ends with ws
		follow(ws, func(text string) error { return number(text, "DATA:", "", got) }, gone)
		close(ended)
	}()
	return ws, nil
}

func (d socktopusDialect) send(c *http.Client, id string, n int) error {
	text, err := post(c, d.s.url(d.s.socktopusPort)+"/send",
		fmt.Sprintf(`{"secretName":%q,"secret":%q,"messages":[{"recipient":%q,"content":"%d"}]}`, socktopusName, socktopusSecret, id, n), nil)
	if err != nil {
		return err
	}
	if !strings.Contains(text, `"failed":[]`) {
		return fmt.Errorf("answered 200 %s", text)
	}
	return nil
}
