package commandline

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// laravelEcho speaks as pages with Laravel Echo and broadcaster socket.io do: over the socket.io of
// socketIO it subscribes to channels, which is answered where it is refused, and in presence channels.
type laravelEcho struct {
	socketIO
	channels []string
	headers  map[string]string // for the application, as auth.headers
	here     int               // presence channels that it is a member of
	refused  *refusedChannel   // why it is not in one of its channels; nil while nobody says so
}

// A refusedChannel is what subscription_error says.
type refusedChannel struct {
	channel string
	status  int // of the application, or of the server; 0 where the application does not answer
}

// presenceChannel begins the names of channels that have members.
const presenceChannel = "presence-"

// presenceEvent begins the names of what the server itself tells of presence channels.
const presenceEvent = "presence:"

func (p *laravelEcho) message(w *wire, text []byte) (*event, error) {
	if strings.HasPrefix(string(text), "40") { // connected
		return nil, p.subscribe(w)
	}
	e, err := p.socketIO.message(w, text)
	if e == nil || err != nil {
		return nil, err
	}
	var args []json.RawMessage
	if json.Unmarshal(e.Data, &args) != nil || len(args) == 0 || json.Unmarshal(args[0], &e.Channel) != nil {
		return nil, errors.New("the server sends an event that is of no channel")
	}
	e.Data = nil
	if len(args) > 1 { // a third one, where events are kept, is none of the application's
		e.Data = args[1]
	}
	switch e.Event {
	case "subscription_error":
		r := &refusedChannel{channel: e.Channel}
		_ = json.Unmarshal(e.Data, &r.status) // 0 for what is no number
		p.refused = r
		return nil, &errFinal{refused, r.String()}
	case "presence:subscribed":
		if p.here++; p.here == p.members() {
			w.up()
		}
	}
	return e, nil
}

// String says why for a person.
func (r *refusedChannel) String() string {
	if r.status == 0 {
		return fmt.Sprintf("the subscription to %s is refused: the application does not answer", r.channel)
	}
	return fmt.Sprintf("the subscription to %s is refused with %d %s", r.channel, r.status, http.StatusText(r.status))
}

// members is how many channels say when the client is in them.
func (p *laravelEcho) members() (n int) {
	for _, c := range p.channels {
		if strings.HasPrefix(c, presenceChannel) {
			n++
		}
	}
	return n
}

func (p *laravelEcho) subscribe(w *wire) error {
	p.here = 0
	for _, channel := range p.channels {
		ask, err := json.Marshal(map[string]any{"channel": channel, "auth": map[string]any{"headers": p.headers}})
		if err != nil {
			return err
		}
		if err := w.send(`42["subscribe",` + string(ask) + "]"); err != nil {
			return err
		}
	}
	if p.members() == 0 { // of other channels nobody says so
		w.up()
	}
	return nil
}

// newLaravelEcho reads --laravel-echo and --header. Cookies go with the handshake, as those of a page.
func (l *line) newLaravelEcho(c *cli.Command) (speak *laravelEcho, handshake http.Header, err error) {
	speak = &laravelEcho{channels: c.StringSlice("laravel-echo"), headers: make(map[string]string)}
	slices.Sort(speak.channels)
	speak.channels = slices.Compact(speak.channels)
	handshake = make(http.Header)
	for _, text := range c.StringSlice("header") {
		name, value, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, nil, l.misused(c, "want a --header such as 'Authorization: Bearer TOKEN'")
		}
		if strings.EqualFold(name, "Cookie") {
			handshake.Add("Cookie", strings.TrimSpace(value))
			continue
		}
		speak.headers[name] = strings.TrimSpace(value)
	}
	return speak, handshake, nil
}
