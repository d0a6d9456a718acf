package pushsocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poosh/server/dialect"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/pushsocket/store"
	"poosh/server/route"
	"poosh/server/setting"
	"poosh/server/socketio"
)

// settings are what an operator may choose of the dialect.
type settings struct {
	Port   int // turns the dialect on
	Config Config

	network *network.Config  // what all ports share
	sockets *socketio.Config // what all dialects over Socket.IO share
}

// Declare returns the Push Socket Protocol: Socket.IO and the key server's API on one
// port, and the store behind them. What the two configurations hold when it is
// started is what counts.
func Declare(n *network.Config, sockets *socketio.Config) *dialect.Dialect {
	s := &settings{network: n, sockets: sockets}
	return &dialect.Dialect{
		Name:     "push socket",
		Settings: s.group(),
		Options:  s,
		On:       func() bool { return s.Port != 0 },
		Ports: []dialect.Port{{Setting: portSetting, Number: &s.Port, Visitors: dialect.Clients | dialect.Senders,
			Where: socketio.Where, ClientPath: socketio.Path}},
		Reach: s.reach,
		Alone: s.alone,
		Start: s.start,
	}
}

// within is what cannot be had in full.
var within = []setting.Bound{
	{Name: "PUSH_SOCKET_MAX_BODY_BYTES", Of: "INPUT_BYTES", Why: setting.OfInput},
	{Name: "PUSH_SOCKET_BYTES_PER_DEVICE", Of: "PUSH_SOCKET_DB_MAX_BYTES", Why: "that is PUSH_SOCKET_DB_MAX_BYTES, for all devices: raise that"},
	{Name: "PUSH_SOCKET_MAX_KEY_BYTES", Of: "PUSH_SOCKET_KEY_BYTES_PER_DEVICE", Why: "that is PUSH_SOCKET_KEY_BYTES_PER_DEVICE: raise that"},
	{Name: "PUSH_SOCKET_MAX_KEY_BYTES", Of: "PUSH_SOCKET_MAX_BODY_BYTES", Why: "that is PUSH_SOCKET_MAX_BODY_BYTES, in which a key comes: raise that"},
}

// group describes the settings. The defaults of what is kept are the store's.
func (s *settings) group() *setting.Group {
	kept := store.Limits{}.WithDefaults()
	return &setting.Group{Title: "Push Socket", Warn: func() []string {
		return setting.WeakSecret("PUSH_SOCKET_OPERATOR_TOKEN", s.Config.OperatorToken)
	}, Within: within, Origins: []string{"PUSH_SOCKET_ORIGINS"}, Files: []setting.File{{Name: "PUSH_SOCKET_DB", Kept: true, IsNone: store.IsPostgres}}, Settings: []setting.Setting{
		{Name: portSetting, Help: "Port of the Push Socket Protocol and its key server; setting it turns them on",
			Value: setting.Port(&s.Port)},
		{Name: "PUSH_SOCKET_DB", Default: "push-socket.db", Help: "Path of the database file; two more stand beside it while the server runs. Or postgres://USER:PASSWORD@HOST/DATABASE for PostgreSQL",
			Value: setting.Of(&s.Config.DB, parseDB), Show: store.Shown},
		{Name: "PUSH_SOCKET_DB_MAX_BYTES", Default: setting.SizeText(kept.BytesOnDisk), Help: "Bytes of that database; a message that does not fit is answered 503",
			Value: setting.Size(&s.Config.Limits.BytesOnDisk, "1MiB", "1024GiB")},
		{Name: "PUSH_SOCKET_KEYS_PERCENT", Default: strconv.Itoa(kept.KeysPercent), Help: "Percent of that database that may be in use when identities, keys and contacts still come in; the rest is for messages alone",
			Value: setting.Count(&s.Config.Limits.KeysPercent, 1, 100)},
		{Name: "PUSH_SOCKET_STORE_TIMEOUT", Default: "10s", Help: "Time that a request waits for the database before it is answered 503",
			Value: setting.Span(&s.Config.StoreTimeout, 100*time.Millisecond, 10*time.Minute)},
		{Name: "PUSH_SOCKET_MESSAGES_PER_DEVICE", Default: strconv.Itoa(kept.MessagesPerDevice), Help: "Messages that may wait for one device",
			Value: messagesPerDevice(&s.Config.Limits)},
		{Name: "PUSH_SOCKET_BYTES_PER_DEVICE", Default: setting.SizeText(kept.BytesPerDevice), Help: "Bytes of messages that may wait for one device",
			Value: setting.Size(&s.Config.Limits.BytesPerDevice, "1KiB", "1024GiB")},
		{Name: "PUSH_SOCKET_SENDER_PERCENT", Default: strconv.Itoa(kept.SenderPercent), Help: "Percent of both that one sender may take; a device's mail to itself may take all",
			Value: setting.Count(&s.Config.Limits.SenderPercent, 1, 100)},
		{Name: "PUSH_SOCKET_STRANGERS_PERCENT", Default: strconv.Itoa(kept.StrangersPercent), Help: "Percent of both that all senders together may take that are new to the device; 100 for no such bound",
			Value: setting.Count(&s.Config.Limits.StrangersPercent, 1, 100)},
		{Name: "PUSH_SOCKET_CONTACTS_PER_DEVICE", Default: strconv.Itoa(kept.ContactsPerDevice), Help: "Others that a device is remembered to have written to or heard from, so that they are not new to it",
			Value: setting.Count(&s.Config.Limits.ContactsPerDevice, 1, 1_000_000)},
		{Name: "PUSH_SOCKET_WHEN_FULL", Default: "refuse", Help: "What happens to one more: refuse it, or drop the oldest; its sender is told",
			Value: whenFull(&s.Config.Limits)},
		{Name: "PUSH_SOCKET_MAX_AGE", Default: setting.SpanText(kept.MaxAge), Help: "Time that a message is kept for its device",
			Value: maxAge(&s.Config.Limits)},
		{Name: "PUSH_SOCKET_MAX_PREKEYS", Default: strconv.Itoa(kept.PrekeysPerDevice), Help: "Prekeys that one device may have; more are answered 413",
			Value: setting.Count(&s.Config.Limits.PrekeysPerDevice, 1, 1_000_000)},
		{Name: "PUSH_SOCKET_MAX_KEY_BYTES", Default: "4KiB", Help: "Bytes of one key; more are answered 413",
			Value: setting.Size(&s.Config.MaxKey, "128", "1MiB")},
		{Name: "PUSH_SOCKET_KEY_BYTES_PER_DEVICE", Default: setting.SizeText(kept.KeyBytesPerDevice), Help: "Bytes of all keys of one device; more are answered 413",
			Value: setting.Size(&s.Config.Limits.KeyBytesPerDevice, "1KiB", "1GiB")},
		{Name: "PUSH_SOCKET_MAX_IDENTITIES", Default: strconv.Itoa(kept.Identities), Help: "Identities that may be known at once, revoked ones too",
			Value: setting.Count(&s.Config.Limits.Identities, 1, 2_000_000_000)},
		{Name: "PUSH_SOCKET_UNUSED_AGE", Default: setting.SpanText(kept.UnusedAge), Help: "Time after which an identity goes, with its keys, that only registered and never used the service",
			Value: setting.Span(&s.Config.Limits.UnusedAge, time.Hour, 100*365*24*time.Hour)},
		{Name: "PUSH_SOCKET_IDLE_AGE", Default: setting.SpanText(kept.IdleAge), Help: "Time without use after which an identity goes with all it has, and is forgotten after it was revoked; a contact of a device too",
			Value: setting.Span(&s.Config.Limits.IdleAge, 48*time.Hour, 100*365*24*time.Hour)},
		{Name: "PUSH_SOCKET_REGISTRATIONS", Default: "60/1h", Help: "Identities that one address may register in a time, or off; more are answered 429",
			Value: setting.Rate(&s.Config.Registrations, "60/1h")},
		{Name: "PUSH_SOCKET_KEY_FETCHES", Default: "100/1h", Help: "Keys of one identity that one address may take in a time, or off; more are answered 429",
			Value: setting.Rate(&s.Config.KeyFetches, "60/1h")},
		{Name: "PUSH_SOCKET_REQUESTS", Default: "6000/1m", Help: "Requests and authentications of one address in a time, or off; more are answered 429",
			Value: setting.Rate(&s.Config.Requests, "60/1h")},
		{Name: "PUSH_SOCKET_ORIGINS", Default: "*", Changes: setting.OnReload, Help: "Pages whose browsers may use the port, such as https://www.example.com, with commas between; * for all",
			Value: setting.Origins(&s.Config.SocketIO.Origins)},
		{Name: "PUSH_SOCKET_NO_PREKEYS_STATUS", Default: "205", Help: "Status that tells a device it has no prekeys left: 205, or 200 for clients whose HTTP library drops the body of a 205",
			Value: setting.Choice(&s.Config.NoPrekeysStatus, []string{"205", "200"}, []int{http.StatusResetContent, http.StatusOK})},
		{Name: "PUSH_SOCKET_OPERATOR_TOKEN", Changes: setting.OnReload, Help: "Bearer token for /operator/store, at least 16 characters; unset, there is no such path",
			Value: setting.Of(&s.Config.OperatorToken, parseToken), Secret: true},
		{Name: "PUSH_SOCKET_MAX_BODY_BYTES", Default: "102400", Help: "Bytes of the body of one request; more is answered 413",
			Value: setting.Size(&s.Config.MaxBody, "1KiB", "16MiB")},
		{Name: "PUSH_SOCKET_MAX_RECIPIENTS", Default: "500", Help: "Headers, each a copy for a device, in one request; more are answered 413",
			Value: setting.Count(&s.Config.MaxRecipients, 1, 100_000)},
		{Name: "PUSH_SOCKET_MAX_TRIES", Default: "10", Help: "Refused authentications before a connection is closed",
			Value: setting.Count(&s.Config.MaxTries, 1, 1_000_000)},
		{Name: "PUSH_SOCKET_AUTH_TIMEOUT", Default: "2m", Help: "Time that a connection may be without authorization",
			Value: setting.Span(&s.Config.AuthTimeout, time.Second, 24*time.Hour)},
		{Name: "PUSH_SOCKET_MAX_EVENTS", Default: "4096", Help: "Events of one connection that may wait to be worked on; at least twice PUSH_SOCKET_MESSAGES_PER_DEVICE are",
			Value: setting.Count(&s.Config.MaxEvents, 16, 10_000_000)},
	}}
}

// parseDB reads PUSH_SOCKET_DB.
func parseDB(text string) (string, error) { return text, store.Check(text) }

// alone says why the dialect cannot be on several nodes: each would have mail of its own.
func (s *settings) alone() error {
	if store.IsPostgres(s.Config.DB) {
		return nil
	}
	return errors.New("PUSH_SOCKET_DB: is a file, with CLUSTER_REDIS: what one node stores the others would never see; want postgres://USER:PASSWORD@HOST/DATABASE, or CLUSTER_REDIS unset")
}

// reach looks whether the database answers, where it is one of another server.
func (s *settings) reach(ctx context.Context) error {
	if err := store.Reach(ctx, s.Config.DB); err != nil {
		return fmt.Errorf("PUSH_SOCKET_DB is %s: %w", setting.Shown(store.Shown(s.Config.DB)), err)
	}
	return nil
}

// What operators may change while the server runs, see [bounds], is read as the settings
// are.

func messagesPerDevice(l *store.Limits) setting.Value {
	return setting.Count(&l.MessagesPerDevice, 1, 1_000_000)
}

func whenFull(l *store.Limits) setting.Value {
	return setting.Choice(&l.DropOldest, []string{whenFullRefuse, whenFullDrop}, []bool{false, true})
}

func maxAge(l *store.Limits) setting.Value {
	return setting.Span(&l.MaxAge, time.Minute, 10*365*24*time.Hour)
}

// leastToken is the least length of the operators' token, in bytes.
const leastToken = 16

// parseToken reads PUSH_SOCKET_OPERATOR_TOKEN.
func parseToken(text string) (string, error) {
	if len(text) < leastToken || strings.TrimSpace(text) != text {
		return "", errors.New("is not good: want at least 16 characters, without blanks around them")
	}
	return text, nil
}

// start opens the store and wires both doors.
func (s *settings) start(h *dialect.Host) (*dialect.Running, error) {
	cfg := s.Config
	cfg.SocketIO = s.sockets.Within(h.Network)
	cfg.SocketIO.Origins = s.Config.SocketIO.Origins
	cfg.Gate, cfg.Sends, cfg.Holder = h.Gate, h.Sends, h.Holder
	cfg.SocketIO.Node = h.Node.Name
	if h.Node.Passer != nil {
		cfg.SocketIO.Passer = h.Node.Passer(portSetting)
	}
	cfg.SocketIO.Closed, cfg.SocketIO.Traffic = h.Closed.Source("push socket", hubApp), new(metric.Traffic)
	d, err := New(cfg, h.Hub, h.WebSockets, h.Log)
	if errors.Is(err, store.ErrOpen) {
		return nil, fmt.Errorf("PUSH_SOCKET_DB: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return &dialect.Running{
		Reload: func(options any, n network.Config) (func(), error) {
			next := options.(*settings)
			bounds := next.sockets.Within(n)
			bounds.Origins, bounds.Outbox = next.Config.SocketIO.Origins, d.cfg.SocketIO.Outbox // which mailboxes count on
			return func() {
				d.rules.Store(&rules{next.Config.SocketIO.Origins, next.Config.OperatorToken})
				d.sockets.Change(bounds)
			}, nil
		},
		Routes:   map[string]*route.Router{portSetting: d.routes},
		Leave:    func() []dialect.Leaver { return dialect.Leavers(d.sockets.Leave()) },
		Shutdown: d.Shutdown,
		Kick:     d.kick,
		Ready:    d.store.Ready,
		Polling: func() dialect.Polling {
			st := d.sockets.Stats()
			return dialect.Polling{Queued: st.Queued, Slow: st.Slow}
		},
		Metrics: d.metrics,
		Apps:    d.numbers,
	}, nil
}
