// Package emitter takes the events that emitters of socket.io publish in a Redis, in PHP, Python, Ruby,
// Go, Java and Node, for clients of Poosh: socket.io-emitter and @socket.io/redis-emitter, and those of
// other languages that write what these write. To them Poosh is one more server of socket.io with its
// Redis adapter. The wire format is that of socket.io-emitter 0.2 to 3.2, @socket.io/redis-emitter 4 and
// 5, and of the adapters socket.io-redis and @socket.io/redis-adapter, whose messages are read too.
//
// A message is read in message.go, off msgpack (msgpack.go), and its arguments are made JSON (json.go).
// Everything in a message is a stranger's: lengths are held against what there is, depth, size and
// rooms are bounded, and what real servers would die of, or pass on to clients that would, is dropped
// and counted by its reason.
//
// It has no goroutine but those of package intake, which reads from Redis, waits at the gate, and in a
// cluster has one process publish what all read.
package emitter

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"poosh/server/dialect"
	"poosh/server/hub"
	"poosh/server/intake"
	"poosh/server/metric"
	"poosh/server/network"
	"poosh/server/poosh"
	"poosh/server/setting"
)

// name is what the dialect is called in the log and in metrics.
const name = "emitter"

// settings are what an operator may choose.
type settings struct {
	Redis    intake.Address
	Key      string // what the names of channels begin with
	Requests bool   // what asks for disconnects is done
	Rooms    int    // that one message may name

	door *poosh.Door
}

// Declare returns the dialect, which publishes to the clients behind a door.
func Declare(door *poosh.Door) *dialect.Dialect {
	s := &settings{door: door}
	return &dialect.Dialect{
		Name:     name,
		Settings: s.group(),
		Options:  s,
		On:       s.on,
		Reach: func(ctx context.Context) error {
			return intake.Reach(ctx, "EMITTER_REDIS", s.Redis, s.patterns(), s.channels())
		},
		Start: s.start,
	}
}

func (s *settings) on() bool { return !s.Redis.IsZero() }

func (s *settings) group() *setting.Group {
	return &setting.Group{
		Title: "Emitters of socket.io",
		Check: s.check,
		Settings: []setting.Setting{
			{Name: "EMITTER_REDIS", Help: "Redis in which emitters of socket.io publish events for clients of CLIENT_PORT, such as redis://user:password@host:6379; redis-sentinel://host,host/NAME for Sentinels; unset, none is read. Whoever may publish there may send to all clients",
				Value: setting.Of(&s.Redis, intake.ParseAddress), Secret: true},
			{Name: "EMITTER_KEY", Default: "socket.io", Help: "What the names of the emitters' channels begin with: their option key",
				Value: setting.Of(&s.Key, parseKey)},
			{Name: "EMITTER_REQUESTS", Default: "off", Help: "Whether requests of emitters to disconnect clients are done: on or off, and not even read",
				Value: setting.Switch(&s.Requests)},
			{Name: "EMITTER_ROOMS", Default: "1000", Help: "Rooms that one event of an emitter may name, with those that it excepts; an event with more is dropped",
				Value: setting.Count(&s.Rooms, 1, 100_000)},
		},
	}
}

// parseKey takes what can begin the name of a channel.
func parseKey(text string) (string, error) {
	if text == "" || len(text) > 200 || strings.ContainsAny(text, " \t\r\n") {
		return "", errors.New("want a text of 1 to 200 bytes without blanks, such as socket.io")
	}
	return text, nil
}

func (s *settings) check(m *setting.Mistakes) {
	if s.on() && !s.door.On() && !m.Has("SERVER_SECRET") {
		m.Add("EMITTER_REDIS", "is set without SERVER_SECRET: its events are for clients of CLIENT_PORT, which that turns on")
	}
	if s.Requests && !s.on() && !m.Has("EMITTER_REDIS") {
		m.Add("EMITTER_REQUESTS", "is set without EMITTER_REDIS: want that too")
	}
}

// patterns are of the channels on which there are events, and channels those of requests.
func (s *settings) patterns() []string { return []string{intake.EscapePattern(s.Key) + "#*"} }

func (s *settings) channels() []string {
	if !s.Requests {
		return nil
	}
	return []string{s.Key + "-request#/#"}
}

// A taker is the dialect as it runs.
type taker struct {
	settings *settings
	bounds   bounds
	most     atomic.Int64 // bytes of a message

	// disconnect sends clients away, as [poosh.Door.Disconnect] does; set once.
	disconnect func(rooms, except []string) int

	asked, disconnected atomic.Uint64 // requests that were done, and clients sent away for them
}

// read is [intake.Config].Read. A request is no event: each process does it for its own clients.
func (t *taker) read(m intake.Message) ([]*hub.Publication, string) {
	if int64(len(m.Payload)) > t.most.Load() {
		return nil, reasonLarge
	}
	if m.Pattern == "" {
		t.request(m.Payload)
		return nil, reasonRequest
	}
	p, why := t.bounds.read(parseChannel(m.Channel, t.settings.Key), m.Payload)
	if why != "" {
		return nil, why
	}
	return []*hub.Publication{p}, ""
}

func (s *settings) start(h *dialect.Host) (*dialect.Running, error) {
	t := &taker{settings: s, bounds: bounds{s.Rooms}, disconnect: s.door.Disconnect}
	t.most.Store(s.door.MaxBody())
	reader, err := intake.Start(intake.Config{
		Name: name, Redis: s.Redis, Patterns: s.patterns(), Channels: s.channels(),
		MaxMessage: int(s.door.MaxBody()), Read: t.read, Reasons: reasons,
		Hub: h.Hub, Gate: h.Gate, Handed: s.door.Published, Begin: h.Begun, Once: h.Once, Log: h.Log,
	})
	if err != nil {
		return nil, err
	}
	return &dialect.Running{
		Leave:      func() []dialect.Leaver { return nil },
		EndSenders: reader.Stop,
		Shutdown:   func(context.Context) error { return nil },
		Ready:      reader.Ready,
		Reload: func(options any, _ network.Config) (func(), error) {
			most := options.(*settings).door.MaxBody()
			return func() { t.most.Store(most) }, nil
		},
		Metrics: func() []metric.Reading { return append(reader.Readings(), t.readings()...) },
	}, nil
}

// readings are what it counts of requests.
func (t *taker) readings() []metric.Reading {
	return []metric.Reading{
		metric.Counter("", "emitter_disconnects_asked_total", "Requests of emitters to disconnect clients that were done, with EMITTER_REQUESTS.", t.asked.Load()),
		metric.Counter("", "emitter_disconnected_total", "Clients of this process that were sent away for them.", t.disconnected.Load()),
	}
}
