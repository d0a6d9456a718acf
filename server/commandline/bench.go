package commandline

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"poosh/server"
	"poosh/server/intake"
	"poosh/server/loadtest"
)

func (l *line) benchCommand() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "connect clients, publish to them, and say how fast and how good that is", ArgsUsage: "[URL]",
		Description: `Connects clients to URL, this server or any other one that speaks socket.io, Pusher or what
pages with Laravel Echo speak over socket.io, publishes events to their rooms for a while, and prints connections, deliveries, latency and
everything that went wrong. Without URL it is CLIENT_PORT of this machine, PUSHER_PORT or ECHO_PORT.
Rooms have names of their own, that nobody else is in.

Events are published by POST /send, signed with SERVER_SECRET, to SERVER_PORT of this
machine or to --sender, those of Pusher to URL, signed with the app's secret, and those of
Laravel Echo are published in ECHO_REDIS, as Laravel does. A
socket.io server without that takes what clients say: with --emit, clients that are in no
room emit (ROOM, PAYLOAD) and everybody in the room must get the payload; with --echo each
client emits (PAYLOAD) and must get it back. With --listen-only somebody else publishes, and
what comes is counted.

Latency counts from the moment that an event was due, so that what waits for a server that
stalls is late; with --flat-out, from when it was sent. A load goes to this machine alone,
unless --yes-to names the host.

Exit codes: 0 all that was published came, once and in order, 1 something did not, or
another fault is in the list, 2 misused, 3 refused: clients, or what is published, 4 no
answer, 5 nothing came. Ctrl-C ends it with the numbers so far.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "protocol", Usage: "what clients speak: eio4 (socket.io 3 and 4), eio3 (1 and 2), pusher or laravel-echo", Value: "eio4"},
			&cli.StringFlag{Name: "transport", Usage: "of socket.io: websocket or polling", Value: "websocket"},
			&cli.IntFlag{Name: "clients", Usage: "how many connect", Value: 100},
			&cli.IntFlag{Name: "rooms", Usage: "how many rooms they are in, each client in one", Value: 1},
			&cli.FloatFlag{Name: "rate", Usage: "events a second in all", Value: 20},
			&cli.BoolFlag{Name: "flat-out", Usage: "each publisher sends its next event as soon as the last is answered"},
			&cli.IntFlag{Name: "publishers", Usage: "how many publish, each over a connection of its own", Value: 4},
			&cli.IntFlag{Name: "size", Usage: "bytes of an event's payload", Value: 150},
			&cli.DurationFlag{Name: "duration", Usage: "how long events are published", Value: 10 * time.Second},
			&cli.FloatFlag{Name: "connect-rate", Usage: "connections a second; as many as it gets without"},
			&cli.DurationFlag{Name: "timeout", Usage: "how long a connection or an answer may take", Value: 10 * time.Second},
			&cli.StringFlag{Name: "sender", Usage: "the `URL` that events are sent to, where it is another than URL or SERVER_PORT"},
			&cli.StringFlag{Name: "join", Usage: "the `EVENT` with which clients of socket.io say the room that they join; empty for none", Value: "room"},
			&cli.StringFlag{Name: "emit", Usage: "clients publish: the `EVENT` that they emit with a room and a payload"},
			&cli.StringFlag{Name: "echo", Usage: "each client gets its own back: the `EVENT` that it emits with a payload"},
			&cli.BoolFlag{Name: "listen-only", Usage: "publish nothing, and count what comes"},
			&cli.StringFlag{Name: "room", Usage: "with --listen-only, the room or channel that others publish to"},
			&cli.StringFlag{Name: "app", Usage: "of pusher, the id of the app, where there are several"},
			&cli.StringFlag{Name: "origin", Usage: "the header Origin that clients send"},
			&cli.BoolFlag{Name: "insecure", Usage: "do not check certificates"},
			&cli.StringSliceFlag{Name: "yes-to", Usage: "the `HOST` that may be put under load though it is not this machine"},
			jsonFlag(),
		},
		Action: untilSignal(l.bench),
	}
}

func (l *line) bench(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 1); err != nil {
		return err
	}
	cfg, err := l.load(ctx, c)
	if err != nil {
		return err
	}
	if err := cfg.Check(); err != nil {
		return l.misused(c, "%v", err)
	}
	if err := cfg.Fits(); err != nil {
		return l.fail(Failed, "%v", err)
	}
	test := loadtest.New(*cfg)
	stop := progressOn(l.Stderr).tick(context.WithoutCancel(ctx), func(time.Duration) string { return bar(test.Progress()) })
	report, failed := test.Run(ctx)
	stop()
	show := l.benchReport
	if c.Bool("json") {
		show = func(r *loadtest.Report) error { return l.json(r) }
	}
	if err := show(report); err != nil {
		return err
	}
	return l.judge(cfg, report, failed)
}

// judge says what there is to say of a test beside its numbers, and how it ends.
func (l *line) judge(cfg *loadtest.Config, r *loadtest.Report, failed error) error {
	switch {
	case failed == nil:
	case errors.Is(failed, loadtest.ErrLost):
		return l.fail(nobody, "%s: is the room's event %q, or what is emitted, what the server knows?", loadtest.Why(failed), cfg.Join)
	case loadtest.Refused(failed):
		return l.fail(refused, "%s", loadtest.Why(failed))
	default:
		return l.fail(unreachable, "%s", loadtest.Why(failed))
	}
	switch {
	case !r.Good():
		return ending(Failed) // the report says why
	case cfg.Publish == loadtest.ByOthers && r.Deliveries.Delivered == 0:
		return l.fail(nobody, "nothing came")
	}
	return nil
}

// load makes a test of the flags and the settings.
func (l *line) load(ctx context.Context, c *cli.Command) (*loadtest.Config, error) {
	b := &loadtest.Config{
		Protocol: loadtest.Protocol(c.String("protocol")), Polling: c.String("transport") == "polling",
		Clients: c.Int("clients"), Rooms: c.Int("rooms"), Prefix: "bench-", Room: c.String("room"), Join: c.String("join"), Origin: c.String("origin"),
		Publishers: c.Int("publishers"), Size: c.Int("size"), Rate: c.Float("rate"),
		Duration: c.Duration("duration"), ConnectRate: c.Float("connect-rate"), AtOnce: 64, Timeout: c.Duration("timeout"),
	}
	if t := c.String("transport"); t != "polling" && t != "websocket" {
		return nil, l.misused(c, "--transport is %q: want websocket or polling", t)
	}
	if c.Bool("flat-out") {
		if c.IsSet("rate") {
			return nil, l.misused(c, "want --rate or --flat-out, not both")
		}
		b.Rate = 0
	} else if b.Rate <= 0 {
		return nil, l.misused(c, "want a --rate of more than nothing, or --flat-out")
	}
	ways := map[string]loadtest.Publish{"emit": loadtest.ByEmit, "echo": loadtest.ByEcho, "listen-only": loadtest.ByOthers}
	for flag, way := range ways {
		if !c.IsSet(flag) {
			continue
		}
		if b.Publish != "" {
			return nil, l.misused(c, "want one of --emit, --echo and --listen-only")
		}
		b.Publish, b.Emit = way, c.String("emit")+c.String("echo")
	}
	if b.Room != "" && b.Publish != loadtest.ByOthers {
		return nil, l.misused(c, "--room goes with --listen-only: what is published here goes to rooms that nobody else is in")
	}
	if b.Publish == "" {
		b.Publish = loadtest.BySend
		switch b.Protocol {
		case loadtest.Pusher:
			b.Publish = loadtest.ByPusher
		case loadtest.Echo:
			b.Publish = loadtest.ByRedis
		}
	}
	return b, l.aim(ctx, c, b)
}

// aim finds the addresses and secrets of a test.
func (l *line) aim(ctx context.Context, c *cli.Command, b *loadtest.Config) error {
	var cfg *server.Config
	var err error
	posts := b.Publish == loadtest.BySend || b.Publish == loadtest.ByPusher
	if c.Args().Len() == 0 || posts || b.Publish == loadtest.ByRedis || b.Protocol == loadtest.Pusher {
		if cfg, err = l.settings(); err != nil {
			return err
		}
	}
	if b.Protocol == loadtest.Pusher {
		a, err := l.pusherApp(c, cfg)
		if err != nil {
			return err
		}
		b.App = loadtest.App{ID: a.ID, Key: a.Key, Secret: a.Secret}
	} else if c.IsSet("app") {
		return l.misused(c, "--app goes with --protocol pusher")
	}
	if b.Server, err = l.target(ctx, c, cfg, "URL", c.Args().First(), clientPort(b)); err != nil {
		return err
	}
	if !posts {
		if c.IsSet("sender") {
			return l.misused(c, "--sender is of no use with --emit, --echo, --listen-only and Laravel Echo")
		}
		if b.Publish == loadtest.ByRedis {
			return l.aimRedis(ctx, c, cfg, b)
		}
		return nil
	}
	at, port := c.String("sender"), "SERVER_PORT"
	if b.Publish == loadtest.ByPusher {
		port = clientPort(b)
		if at == "" {
			at = c.Args().First()
		}
	} else if at == "" && c.Args().Present() && !b.Server.Loopback() {
		return l.misused(c, "want --sender, the address where %s takes POST /send, or --emit, --echo or --listen-only", b.Server.Host())
	}
	if b.API, err = l.target(ctx, c, cfg, "--sender", at, port); err != nil {
		return err
	}
	if b.Publish == loadtest.BySend {
		_, b.Secret, err = l.secret()
	}
	return err
}

// aimRedis has a test publish in ECHO_REDIS. Load goes to that too.
func (l *line) aimRedis(ctx context.Context, c *cli.Command, cfg *server.Config, b *loadtest.Config) error {
	at, _ := cfg.Value("ECHO_REDIS").(intake.Address)
	if at.IsZero() {
		return l.fail(Failed, "ECHO_REDIS is not set, where what is for clients of Laravel Echo is published")
	}
	for _, host := range at.Hosts() {
		if _, err := l.target(ctx, c, cfg, "ECHO_REDIS", "http://"+host, ""); err != nil {
			return err
		}
	}
	prefix := echoPrefix(cfg)
	b.Redis = func() (func(context.Context, string, []byte) error, func()) {
		s := intake.NewSpeaker("bench", at)
		return func(ctx context.Context, channel string, event []byte) error {
			return s.Say(ctx, prefix+channel, event)
		}, s.Close
	}
	return nil
}

// echoPrefix is what stands before the names of channels in ECHO_REDIS.
func echoPrefix(cfg *server.Config) string {
	if list, _ := cfg.Value("ECHO_PREFIX").([]string); len(list) > 0 && list[0] != "*" {
		return list[0]
	}
	return ""
}

func clientPort(b *loadtest.Config) string {
	switch b.Protocol {
	case loadtest.Pusher:
		return "PUSHER_PORT"
	case loadtest.Echo:
		return "ECHO_PORT"
	}
	return "CLIENT_PORT"
}

// target is a server that load goes to: an address, or a port of this machine. It is not
// another machine unless that was said to be meant.
func (l *line) target(ctx context.Context, c *cli.Command, cfg *server.Config, what, text, port string) (*loadtest.Target, error) {
	insecure := c.Bool("insecure")
	var at *url.URL
	var err error
	if text == "" {
		host, err := cfg.Near(port)
		if err != nil {
			return nil, l.fail(Failed, "%v", err)
		}
		at, insecure = &url.URL{Scheme: cfg.Scheme(port), Host: host}, true // its certificate is for names that clients know
	} else if at, err = l.address(c, what, text); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := loadtest.Resolve(ctx, at, insecure)
	if err != nil {
		return nil, l.fail(unreachable, "%s is not found: %v", at.Host, err)
	}
	said := func(host string) bool {
		return strings.EqualFold(host, t.Hostname()) || strings.EqualFold(host, t.Host())
	}
	if !t.Loopback() && !slices.ContainsFunc(c.StringSlice("yes-to"), said) {
		return nil, l.misused(c, "%s is not this machine: if it is yours to be put under load, say --yes-to %s", t.Host(), t.Hostname())
	}
	return t, nil
}
