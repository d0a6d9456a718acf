package commandline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	"github.com/urfave/cli/v3"

	"poosh/server"
	"poosh/server/websocketclient"
)

func (l *line) listenCommand() *cli.Command {
	return &cli.Command{
		Name: "listen", Usage: "join as a client does, and print events",
		Description: `Connects to CLIENT_PORT of this machine as a client of socket.io 4 does, over WebSocket,
joins the rooms, and prints each event: those for everybody come without a room. With
--pusher it connects to PUSHER_PORT instead and subscribes to channels; private and
presence channels are signed for with the app's secret, if that is in the settings. With
--laravel-echo it connects to ECHO_PORT and subscribes as Laravel Echo does; the application
says who may join private and presence channels, and gets what --header says: cookies as those
of the page, the rest as auth.headers. What the server itself tells of subscriptions and members
is printed and does not count.

It connects again when the connection breaks, and says so on standard error.

Exit codes: 0 ended by Ctrl-C, --count or --for, 1 failed, 2 misused, 3 refused, 4 there
was no connection in the time of --for, 5 that time was over before --count had come.`,
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "room", Usage: "a room to join, any number of them"},
			&cli.StringSliceFlag{Name: "pusher", Usage: "a Pusher `CHANNEL` to subscribe to, any number of them"},
			&cli.StringFlag{Name: "app", Usage: "with --pusher, the id of the app, where there are several"},
			&cli.StringSliceFlag{Name: "laravel-echo", Usage: "a `CHANNEL` of Laravel Echo to subscribe to, any number of them"},
			&cli.StringSliceFlag{Name: "header", Usage: "with --laravel-echo, a `HEADER` for the application such as 'Authorization: Bearer TOKEN' or 'Cookie: a=b', any number of them"},
			urlFlag("CLIENT_PORT, PUSHER_PORT or ECHO_PORT", "https://push.example.com"), jsonFlag(),
		}, boundFlags("events")...),
		Action: untilSignal(l.listen),
	}
}

// An event is one as it is printed with --json.
type event struct {
	At      time.Time       `json:"at"`
	Channel string          `json:"channel,omitempty"` // of Pusher and Laravel Echo
	Event   string          `json:"event"`
	User    string          `json:"user_id,omitempty"` // of Pusher, who sent a client event
	Data    json.RawMessage `json:"data,omitempty"`    // the payload; of socket.io the list of arguments where they are not one
}

// internal begins the names of Pusher's own events: who subscribes is told of that, and
// nobody has sent it.
const internal = "pusher_internal:"

// A protocol is how a client gets events over a WebSocket.
type protocol interface {
	// address is where the WebSocket is, on a server at.
	address(at url.URL) *url.URL
	// message is told of each message, and returns the event in it, if there is one.
	message(w *wire, text []byte) (*event, error)
}

// A wire is a connection of a client. Its methods are for one goroutine.
type wire struct {
	conn    *websocket.Conn
	silence time.Duration // how long nothing may come
	up      func()        // says that the client is where it wants to be
	note    func(format string, args ...any)
}

func (w *wire) send(text string) error {
	_ = w.conn.SetWriteDeadline(time.Now().Add(patience)) // it never fails
	return w.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

func (l *line) listen(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 0); err != nil {
		return err
	}
	b, err := l.bounds(c)
	if err != nil {
		return err
	}
	cfg, err := l.settings()
	if err != nil {
		return err
	}
	hears, err := l.listener(c, cfg)
	if err != nil {
		return err
	}
	at, err := l.where(c, cfg, hears.port)
	if err != nil {
		return err
	}
	show := l.eventLine(styleOf(l.Stdout))
	if c.Bool("json") {
		show = func(e *event) error { return l.json(e) }
	}
	return l.follow(ctx, b, at.Host, func(ctx context.Context, up func(), printed func() error) error {
		return l.hear(ctx, c, *at, hears, up, func(e *event) error {
			if err := show(e); err != nil || hears.internal != "" && strings.HasPrefix(e.Event, hears.internal) {
				return err // it has said why
			}
			return printed()
		})
	})
}

// A listener is what a client of the listen command is.
type listener struct {
	port     string // the setting of the port that it connects to
	speak    protocol
	header   http.Header // of its handshake, beside its own
	internal string      // begins the names of events that the server itself tells of; empty for none
}

// listener reads which client is meant.
func (l *line) listener(c *cli.Command, cfg *server.Config) (listener, error) {
	channels, rooms, echo := c.StringSlice("pusher"), c.StringSlice("room"), c.IsSet("laravel-echo")
	switch {
	case len(channels) > 0 && len(rooms) > 0, echo && len(channels)+len(rooms) > 0:
		return listener{}, l.misused(c, "want --room or --pusher or --laravel-echo, one alone")
	case len(channels) == 0 && c.IsSet("app"):
		return listener{}, l.misused(c, "--app goes with --pusher")
	case !echo && c.IsSet("header"):
		return listener{}, l.misused(c, "--header goes with --laravel-echo")
	case echo:
		speak, header, err := l.newLaravelEcho(c)
		return listener{port: "ECHO_PORT", speak: speak, header: header, internal: presenceEvent}, err
	case len(channels) > 0:
		slices.Sort(channels)
		channels = slices.Compact(channels) // who subscribes twice is answered once
		a, err := l.pusherApp(c, cfg)
		return listener{port: "PUSHER_PORT", speak: &pusher{key: a.Key, secret: a.Secret, channels: channels}, internal: internal}, err
	}
	return listener{port: "CLIENT_PORT", speak: &socketIO{rooms: rooms}}, nil
}

// eventLine prints an event for a person.
func (l *line) eventLine(s style) func(e *event) error {
	return func(e *event) error {
		text := s.dim(e.At.Local().Format("15:04:05.000")) + " "
		if e.Channel != "" {
			text += printable(e.Channel) + " "
		}
		text += s.bold(printable(e.Event))
		if e.User != "" {
			text += " of " + printable(e.User)
		}
		if len(e.Data) > 0 {
			text += " " + printableJSON(e.Data)
		}
		return l.print(text)
	}
}

// maxMessage bounds a message from a server, in bytes.
const maxMessage = 128 << 20

// hear connects and hands on events until the connection breaks or ctx ends.
func (l *line) hear(ctx context.Context, c *cli.Command, at url.URL, hears listener, up func(), got func(*event) error) error {
	dialer := &websocket.Dialer{HandshakeTimeout: patience}
	if c.String("url") != "" {
		dialer.Proxy = http.ProxyFromEnvironment
	} else {
		dialer.TLSClientConfig = thisMachine()
	}
	speak := hears.speak
	target := speak.address(at)
	target.Scheme = strings.Replace(target.Scheme, "http", "ws", 1)
	header := http.Header{"User-Agent": {agent}}
	maps.Copy(header, hears.header)
	conn, res, err := websocketclient.Dial(ctx, dialer, target.String(), header)
	if err != nil {
		if res != nil {
			return notWebSocket(at.Host, res)
		}
		return noAnswer(target, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	conn.SetReadLimit(maxMessage)
	w := &wire{conn: conn, silence: 2 * patience, up: up, note: l.complain}
	for {
		_ = conn.SetReadDeadline(time.Now().Add(w.silence))
		if ctx.Err() != nil { // it may have ended before that
			w.goodbye()
			return ctx.Err()
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			if ctx.Err() != nil {
				w.goodbye()
			}
			return brokenWhy(err)
		}
		e, err := speak.message(w, text)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if err := got(e); err != nil {
			w.goodbye()
			return err
		}
	}
}

// goodbye closes the connection in order, as far as the server is there.
func (w *wire) goodbye() {
	_ = w.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
}

// notWebSocket says what a server answered in place of a WebSocket.
func notWebSocket(host string, res *http.Response) error {
	defer res.Body.Close()
	text := make([]byte, 4096)
	n, _ := res.Body.Read(text) // there may be nothing
	said := saidBy(res.StatusCode, text[:n])
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return fmt.Errorf("it answers %s", said)
	}
	return &errFinal{refused, fmt.Sprintf("%s opens no WebSocket: it answers %s", host, said)}
}

// brokenWhy says why a connection is over.
func brokenWhy(err error) error {
	if end, ok := err.(*websocket.CloseError); ok {
		if end.Text == "" {
			return fmt.Errorf("closed by the server with code %d", end.Code)
		}
		return fmt.Errorf("closed by the server with code %d, %s", end.Code, end.Text)
	}
	return fmt.Errorf("the connection broke: %w", err)
}
