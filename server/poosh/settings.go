package poosh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf16"

	"poosh/auth"
	"poosh/server/dialect"
	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/route"
	"poosh/server/setting"
	"poosh/server/socketio"
	"poosh/server/standing"
)

// settings are what an operator may choose of Poosh alone.
type settings struct {
	ClientPort int // where socket.io clients connect
	ServerPort int // where POST /send is taken
	Origins    []string
	API        Config
	Clients    ClientConfig

	network *network.Config  // what all ports share
	sockets *socketio.Config // what all dialects over Socket.IO share
	history *history.Config  // what is kept, if anything

	inside inside // set by start
}

// appID is what metrics call the one application.
const appID = "poosh"

// Declare returns the Node server's dialect: POST /send on one port, Socket.IO on the
// other. What the two configurations hold when it is checked and started is what
// counts.
func Declare(n *network.Config, sockets *socketio.Config, kept *history.Config) *dialect.Dialect {
	s := &settings{network: n, sockets: sockets, history: kept}
	return &dialect.Dialect{
		Name:     dialectName,
		Settings: s.group(),
		Options:  s,
		On:       s.on,
		Missing:  func(m *setting.Mistakes) { m.Add("SERVER_SECRET", "%s", missingSecret) },
		Outbox:   func() int { return 8 * int(s.API.MaxBody) },
		Bridge: func() *dialect.Bridge {
			if !s.on() {
				return nil
			}
			return &dialect.Bridge{App: App, Export: exportable, Import: Bridgeable}
		},
		Ports: []dialect.Port{
			{Setting: "CLIENT_PORT", Number: &s.ClientPort, Visitors: dialect.Clients, Where: clientWhere, ClientPath: socketio.Path, Ready: true},
			{Setting: "SERVER_PORT", Number: &s.ServerPort, Visitors: dialect.Senders, Where: where},
		},
		Start: s.start,
	}
}

// on reports whether there is a secret.
func (s *settings) on() bool { return s.API.Secret != "" }

func (s *settings) group() *setting.Group {
	return &setting.Group{
		Title: "Poosh",
		Check: s.check,
		Warn: func() []string {
			return append(setting.WeakSecret("SERVER_SECRET", s.API.Secret), setting.WeakSecret("SERVER_SECRET_PREVIOUS", s.API.Previous)...)
		},
		Within: []setting.Bound{
			{Name: "MAX_BODY_BYTES", Of: "INPUT_BYTES", Sent: true, Why: "one sender may have so much of INPUT_BYTES at once, and a larger body is not taken: raise INPUT_BYTES"},
			{Name: "MAX_ROOMS", Of: "ROOM_BYTES", Each: func() int64 { return int64(s.Clients.MaxRoomNameBytes) + 300 },
				Why: "one address may have so many with names of MAX_ROOM_NAME_BYTES in its share of ROOM_BYTES: raise ROOM_BYTES"},
		},
		Origins: []string{"CLIENT_ORIGINS"},
		Settings: []setting.Setting{
			{Name: "CLIENT_PORT", Default: "8000", Help: "Port that socket.io clients connect to",
				Value: setting.Port(&s.ClientPort), EmptyWrong: true},
			{Name: "SERVER_PORT", Default: "1337", Help: "Port that takes POST /send",
				Value: setting.Port(&s.ServerPort), EmptyWrong: true},
			{Name: "SERVER_SECRET", Changes: setting.OnReload, Help: "Shared secret that senders sign with: at least 10 characters, required",
				Value: setting.Of(&s.API.Secret, parseSecret), Secret: true},
			{Name: "SERVER_SECRET_PREVIOUS", Changes: setting.OnReload, Help: "The secret before SERVER_SECRET, that senders may still sign with until they all have the new one; unset, none",
				Value: setting.Of(&s.API.Previous, parseSecret), Secret: true},
			{Name: "CLIENT_ORIGINS", Default: "*", Changes: setting.OnReload, Help: "Origins of pages that may connect to CLIENT_PORT, such as https://example.com, with commas between; * for all. Programs that are no browsers name none and are let in",
				Value: setting.Origins(&s.Origins)},
			// body-parser's "100kb", the Node server's limit.
			{Name: "MAX_BODY_BYTES", Default: "102400", Changes: setting.OnReload, Help: "Bytes of one body of POST /send after decompression; more is answered 413",
				Value: setting.Size(&s.API.MaxBody, "1KiB", "64MiB")},
			{Name: "MAX_ROOMS", Default: "200", Changes: setting.OnReload, Help: "Rooms that one connection may join; more closes it",
				Value: setting.Count(&s.Clients.MaxRooms, 1, 1_000_000)},
			{Name: "MAX_ROOM_NAME_BYTES", Default: "512", Changes: setting.OnReload, Help: "Bytes of the name of a room that is joined",
				Value: setting.Size(&s.Clients.MaxRoomNameBytes, "16", "64KiB")},
		},
	}
}

func (s *settings) check(m *setting.Mistakes) {
	if s.API.Previous != "" && !s.on() && !m.Has("SERVER_SECRET") {
		m.Add("SERVER_SECRET_PREVIOUS", "is set without SERVER_SECRET: want that too")
	}
	if s.API.Previous != "" && s.API.Previous == s.API.Secret {
		m.Add("SERVER_SECRET_PREVIOUS", "is the same as SERVER_SECRET: want the secret that was there before it, or none")
	}
	largest := dialect.Growth*int(s.API.MaxBody) + dialect.FrameBytes
	if out := s.network.OutboxBytes; out < largest && !m.Has("OUTBOX_BYTES", "MAX_BODY_BYTES") {
		m.Add("OUTBOX_BYTES", "is %d: want at least %d, so that one event of MAX_BODY_BYTES fits", out, largest)
	}
	name := s.Clients.MaxRoomNameBytes + dialect.FrameBytes
	if in := s.sockets.MaxPayload; in < name && !m.Has("MAX_PACKET_BYTES", "MAX_ROOM_NAME_BYTES") {
		m.Add("MAX_PACKET_BYTES", "is %d: want at least %d, so that a room's name of MAX_ROOM_NAME_BYTES fits", in, name)
	}
}

// minSecret is the least length of a secret in UTF-16 units, as the Node server
// counted them.
const minSecret = 10

const missingSecret = "is not set: you must set it in the .env file or in the environment, at least 10 characters"

// parseSecret reads SERVER_SECRET. Blanks alone are no secret, as in the Node server;
// others belong to it.
func parseSecret(text string) (string, error) {
	if strings.TrimFunc(text, auth.IsJSSpace) == "" {
		return "", errors.New(missingSecret)
	}
	text = string(auth.ValidUTF8([]byte(text)))
	if len(utf16.Encode([]rune(text))) < minSecret {
		return "", fmt.Errorf("is too short: want at least %d characters", minSecret)
	}
	return text, nil
}

// start wires both doors.
func (s *settings) start(h *dialect.Host) (*dialect.Running, error) {
	cfg, clients := s.API, s.Clients
	cfg.Gate, cfg.Sends, cfg.Keys, clients.Rooms = h.Gate, h.Sends, h.Keys, h.Rooms
	clients.Away, clients.AwayBytes = s.history.Age, s.history.Sessions
	traffic := new(metric.Traffic)
	sockets := s.sockets.Within(h.Network)
	sockets.Origins = s.Origins
	sockets.Closed, sockets.Traffic = h.Closed.Source(dialectName, appID), traffic
	cfg.Traffic = traffic
	if h.Delivered != nil {
		h.Delivered(App, func(p *hub.Publication, took int) { traffic.Delivered(len(p.Data), took) })
	}
	sockets.Node = h.Node.Name
	if h.Node.Passer != nil {
		sockets.Passer = h.Node.Passer("CLIENT_PORT")
	}
	api := NewAPI(cfg, h.Hub, h.Log)
	if h.Subscribe != nil && !h.Hub.Keeps(App) { // what is kept reaches every process, whoever is there
		clients.Registry = subscriptions(h.Subscribe)
	}
	listeners := NewClients(clients, h.Hub, h.Log)
	server := socketio.New(h.WebSockets, sockets, listeners, h.Log)
	events := newStreams(listeners, h.WebSockets, server, server.Heartbeat(), sockets.Closed, h.Log)
	events.node = h.Node.Name
	s.inside = inside{api, server, events, new(unpublished)}
	return &dialect.Running{
		Reload: func(options any, n network.Config) (func(), error) {
			next := options.(*settings)
			bounds := next.sockets.Within(n)
			bounds.Origins = next.Origins
			return func() {
				server.Change(bounds) // before the API lets in what is larger
				listeners.Change(next.Clients)
				api.Change(next.API)
			}, nil
		},
		Routes: map[string]*route.Router{"CLIENT_PORT": clientRoutes(server, events, h.Health), "SERVER_PORT": api.Router()},
		Leave: func() []dialect.Leaver {
			return append(dialect.Leavers(server.Leave()), dialect.Leavers(events.Leave())...)
		},
		Shutdown: func(ctx context.Context) error {
			for _, s := range events.Leave() { // which takes as long as that of the others
				s.Leave()
			}
			return errors.Join(server.Shutdown(ctx), events.Shutdown(ctx))
		},
		Save:    listeners.states.Save,
		Restore: listeners.states.Restore,
		Kick:    func(whom dialect.Whom) int { return kick(h.Hub, server, events, whom) },
		Polling: func() dialect.Polling {
			st := server.Stats()
			return dialect.Polling{Queued: st.Queued, Slow: st.Slow}
		},
		Metrics: func() []metric.Reading {
			list := []metric.Reading{
				metric.Counters("sends_refused", "sends_refused_total", "Requests to POST /send that were not published, by reason.", "reason", api.refusedBy()),
				metric.Gauge("sessions", "sessions", "Sessions of Socket.IO on CLIENT_PORT, with those that have ended and whose last words were not fetched yet.", server.Stats().Sessions),
			}
			if h.Hub.Keeps(App) {
				list = append(list, listeners.recovered.readings()...)
			}
			return list
		},
		Sign: fill,
		Apps: func() []dialect.App {
			rooms, joined, left := listeners.rooms()
			return []dialect.App{{
				ID: appID, Hub: App, Single: true, Clients: "CLIENT_PORT", Senders: "SERVER_PORT",
				Connected: server.Stats().Sessions + events.Len(), Kinds: append(server.Kinds(), events.Kinds()...),
				Ends: sockets.Closed, Traffic: traffic.Totals(), Refused: append(server.Refused(), events.Refused()...),
				Channels:   func() []metric.Sample { return []metric.Sample{metric.Of(rooms, "public")} },
				Client:     func(id string) (standing.Stander, *hub.Subscriber) { return find(h.Hub, server, id) },
				Subscribed: []metric.Sample{metric.Of(joined, "public")},
				Left:       []metric.Sample{metric.Of(left, "public")},
				Previous:   api.previous.Samples(),
			}}
		},
	}, nil
}

// find finds a client by the id of its socket, or by that of its session, which the log
// names.
func find(h *hub.Hub, server *socketio.Server, id string) (who standing.Stander, seat *hub.Subscriber) {
	if seat = h.Find(App, id); seat != nil {
		who, _ = seat.Receiver().(standing.Stander)
		return who, seat
	}
	if s := server.Find(id); s != nil {
		return s, h.Find(App, s.ID())
	}
	return nil, nil
}

// quickBody is the largest body that is served by the goroutine that reads for many
// connections.
const quickBody = 16 << 10

// where serves what senders send. Bodies that take a while to read as JSON have a
// goroutine, and so have explanations.
func where(r *http.Request) http1.Where {
	switch {
	case r.Method != http.MethodPost:
		return http1.Elsewhere
	case r.ContentLength > quickBody, r.URL.RawQuery != "":
		return http1.Separately
	}
	return http1.Here
}
