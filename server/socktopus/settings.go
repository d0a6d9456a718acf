package socktopus

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"poosh/server/dialect"
	"poosh/server/network"
	"poosh/server/route"
	"poosh/server/setting"
)

// settings are what an operator may choose of the dialect.
type settings struct {
	Port   int
	Config Config

	platformPort string // PORT when it is no port and SOCKTOPUS_PORT is not set
}

// Declare returns Socktopus, its clients and its API on one port.
func Declare() *dialect.Dialect {
	s := new(settings)
	return &dialect.Dialect{
		Name:     "socktopus",
		Settings: s.group(),
		Options:  s,
		On:       s.on,
		Ports:    []dialect.Port{{Setting: portSetting, Number: &s.Port, Visitors: dialect.Clients | dialect.Senders, Where: Where}},
		Start:    s.start,

		Applications: s.applications,
		Commands: []dialect.Command{{
			Words: []string{"socktopus", "token"}, Arguments: "[--json] NAME SECRET CONNECTION",
			Help: "print a token that a Socktopus client may join with", Codes: "0 printed, 1 failed, 2 misused", Run: TokenCommand,
		}},
	}
}

// on reports whether there is a secret.
func (s *settings) on() bool { return len(s.Config.Secrets) > 0 }

// applications are all that have a secret, by their names.
func (s *settings) applications() (list []dialect.Application) {
	for _, name := range slices.Sorted(maps.Keys(s.Config.Secrets)) {
		list = append(list, dialect.Application{ID: name, Secret: s.Config.Secrets[name]})
	}
	return list
}

// leastSecret is the least length of a secret in characters. The original took any,
// but a signature over what is known lets whoever sees one token guess in peace.
const leastSecret = 8

// How the names of secrets end, and of those before them.
const (
	secretSuffix   = "_SOCKTOPUS_SECRET"
	previousSuffix = secretSuffix + "_PREVIOUS"
)

// within is what cannot be had in full.
var within = []setting.Bound{
	{Name: "SOCKTOPUS_MAX_BODY_BYTES", Of: "INPUT_BYTES", Why: setting.OfInput},
	{Name: "SOCKTOPUS_MAX_MESSAGE_BYTES", Of: "INPUT_BYTES", Why: setting.OfInput},
}

func (s *settings) group() *setting.Group {
	return &setting.Group{Title: "Socktopus", Gather: s.gather, Check: s.check, Warn: s.warn, Parts: s.parts, Within: within, Settings: []setting.Setting{
		{Name: "NAME" + secretSuffix, Help: "Secret of the application NAME, at least 8 characters, any number of them; one turns Socktopus on",
			Secret: true, Changes: setting.OnReload},
		{Name: "NAME" + previousSuffix, Help: "The secret before that of the same NAME, which is as good until all senders and clients have the new one; unset, none",
			Secret: true, Changes: setting.OnReload},
		{Name: "PORT", Help: "Port of Socktopus where SOCKTOPUS_PORT is not set, as on platforms that set it",
			Value: platformPort{s}},
		{Name: portSetting, Default: "8080", Help: "Port of Socktopus", Value: ownPort{s}},
		{Name: "SOCKTOPUS_ORIGINS", Default: "*", Changes: setting.OnReload, Help: "Pages whose browsers may join, with commas between: hosts such as example.com, *.example.com for all below one, origins such as https://example.com:8443; * for all",
			Value: setting.Of(&s.Config.Origins, parseOrigins)},
		{Name: "SOCKTOPUS_READ_TIMEOUT", Default: "20s", Changes: setting.OnReload, Help: "A client that sends no PING for so long is closed; clients ping every 19 s",
			Value: setting.Span(&s.Config.ReadTimeout, time.Second, time.Hour)},
		{Name: "SOCKTOPUS_MAX_BODY_BYTES", Default: "1MiB", Changes: setting.OnReload, Help: "Bytes of one body of /send or /kick; more is answered 413",
			Value: setting.Size(&s.Config.MaxBody, "1KiB", "64MiB")},
		{Name: "SOCKTOPUS_MAX_MESSAGE_BYTES", Default: "64KiB", Changes: setting.OnReload, Help: "Bytes of one message of a Socktopus client; more closes its connection",
			Value: setting.Size(&s.Config.MaxMessage, "125", "64MiB")},
		{Name: "SOCKTOPUS_MAX_MESSAGES", Default: "10000", Changes: setting.OnReload, Help: "Messages of one /send, and connections of one /kick; more are answered 413",
			Value: setting.Count(&s.Config.MaxMessages, 1, 1_000_000)},
		{Name: "SOCKTOPUS_MAX_KICKS", Default: "1000", Changes: setting.OnReload, Help: "Requests to /kick that may wait at once; more are answered 503",
			Value: setting.Count(&s.Config.MaxKicks, 1, 1_000_000)},
		{Name: "SOCKTOPUS_KEEP", Default: "off", Changes: setting.OnReload, Help: "on keeps messages to a client whose connection has ended for 5 s, the life of a token, and gives them to it when it joins again",
			Value: setting.Switch(&s.Config.Keep)},
		{Name: "SOCKTOPUS_KEEP_BYTES", Default: "8MiB", Changes: setting.OnReload, Help: "Bytes that such messages of one application may take; what finds no room has failed, and its sender is told",
			Value: setting.Size(&s.Config.KeepBytes, "64KiB", "64GiB")},
	}}
}

// gather finds the secrets among the names that are set. An empty one is none. The
// original found only names in upper case; here any case will do.
func (s *settings) gather(env setting.Environment, m *setting.Mistakes) {
	spelled := make(map[string]string)
	for _, name := range env.Names {
		app, ok := strings.CutSuffix(name, secretSuffix)
		value, _ := env.Lookup(name)
		if !ok || app == "" || value == "" {
			continue
		}
		app = fold(app)
		if other, twice := spelled[app]; twice {
			if other != name {
				m.Add(name, "is the same application as %s: want one of them", other)
			}
			continue
		}
		spelled[app] = name
		if s.Config.Secrets == nil {
			s.Config.Secrets = make(map[string]string)
		}
		s.Config.Secrets[app] = value
		switch {
		case utf8.RuneCountInString(value) < leastSecret:
			m.Add(name, "is too short: want at least %d characters", leastSecret)
		case len(value) > MaxSecret:
			m.Add(name, "is too long: want at most %d bytes", MaxSecret)
		}
	}
	s.gatherPrevious(env, m)
}

// gatherPrevious finds the secrets before those that gather has found.
func (s *settings) gatherPrevious(env setting.Environment, m *setting.Mistakes) {
	for _, name := range env.Names {
		app, ok := strings.CutSuffix(name, previousSuffix)
		value, _ := env.Lookup(name)
		if !ok || app == "" || value == "" {
			continue
		}
		app = fold(app)
		now, there := s.Config.Secrets[app]
		switch _, twice := s.Config.Previous[app]; {
		case !there:
			m.Add(name, "is set without %s: want that too", strings.TrimSuffix(name, "_PREVIOUS"))
		case twice:
			m.Add(name, "is there in upper and lower case: want one of them")
		case value == now:
			m.Add(name, "is the same as %s: want the secret that was there before it, or none", strings.TrimSuffix(name, "_PREVIOUS"))
		case utf8.RuneCountInString(value) < leastSecret:
			m.Add(name, "is too short: want at least %d characters", leastSecret)
		case len(value) > MaxSecret:
			m.Add(name, "is too long: want at most %d bytes", MaxSecret)
		}
		if s.Config.Previous == nil {
			s.Config.Previous = make(map[string]string)
		}
		s.Config.Previous[app] = value
	}
}

// parts are the secrets.
func (s *settings) parts() (list []setting.Part) {
	for _, of := range []struct {
		suffix string
		values map[string]string
	}{{secretSuffix, s.Config.Secrets}, {previousSuffix, s.Config.Previous}} {
		for _, app := range slices.Sorted(maps.Keys(of.values)) {
			list = append(list, setting.Part{Setting: "NAME" + of.suffix, Name: strings.ToUpper(app) + of.suffix, Is: of.values[app]})
		}
	}
	return list
}

func (s *settings) check(m *setting.Mistakes) {
	if s.on() && s.platformPort != "" {
		_, err := setting.ParsePort(s.platformPort)
		m.Add("PORT", "is %s: %w", setting.Shown(s.platformPort), err)
	}
}

func (s *settings) warn() (lines []string) {
	for _, app := range slices.Sorted(maps.Keys(s.Config.Secrets)) {
		lines = append(lines, setting.WeakSecret(strings.ToUpper(app)+secretSuffix, s.Config.Secrets[app])...)
		lines = append(lines, setting.WeakSecret(strings.ToUpper(app)+previousSuffix, s.Config.Previous[app])...)
	}
	return lines
}

// platformPort is PORT. It stands before SOCKTOPUS_PORT in the settings, which wins.
// Others use that name too, so a wrong one is a mistake only when Socktopus needs it.
type platformPort struct{ s *settings }

func (p platformPort) Set(text string) error {
	n, err := setting.ParsePort(text)
	if err != nil {
		p.s.platformPort = text
		return nil
	}
	p.s.Port = n
	return nil
}

func (platformPort) IsZero() bool { return true }
func (p platformPort) Get() any   { return p.s.platformPort }

// ownPort is SOCKTOPUS_PORT.
type ownPort struct{ s *settings }

func (p ownPort) Set(text string) error {
	p.s.platformPort = ""
	n, err := setting.ParsePort(text)
	p.s.Port = n
	return err
}

func (p ownPort) IsZero() bool { return p.s.Port == 0 && p.s.platformPort == "" }
func (p ownPort) Get() any     { return p.s.Port }

// parseOrigins reads a list of pages, in the forms that CheckOrigin takes.
func parseOrigins(text string) ([]string, error) {
	list := setting.Words(text)
	if len(list) == 0 {
		return nil, errors.New("want hosts or origins with commas between, or *")
	}
	for _, page := range list {
		if err := CheckOrigin(page); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// within is the configuration with what ports share.
func (s *settings) within(n network.Config) Config {
	cfg := s.Config
	cfg.Outbox = max(n.OutboxBytes, cfg.MaxBody+dialect.FrameBytes) // the largest content fits
	return cfg
}

// start wires both doors.
func (s *settings) start(h *dialect.Host) (*dialect.Running, error) {
	cfg := s.within(h.Network)
	cfg.Gate, cfg.Closed, cfg.Sends, cfg.Holder, cfg.Bus, cfg.Delivered = h.Gate, h.Closed, h.Sends, h.Holder, h.Bus, h.Delivered
	d, err := New(cfg, h.Hub, h.WebSockets, h.Log)
	if err != nil {
		return nil, err
	}
	return &dialect.Running{
		Reload: func(options any, n network.Config) (func(), error) {
			next, now := options.(*settings).within(n), d.cfg()
			next.MaxToken, next.Gate, next.Closed, next.Sends, next.Holder, next.Bus, next.Delivered = now.MaxToken, now.Gate, now.Closed, now.Sends, now.Holder, now.Bus, now.Delivered
			return d.change(next)
		},
		Routes:   map[string]*route.Router{portSetting: d.routes},
		Leave:    func() []dialect.Leaver { return dialect.Leavers(d.leave()) },
		Shutdown: d.Shutdown,
		Kick:     d.kickAll,
		Metrics:  d.metrics,
		Apps:     d.numbers,
		Sign:     d.fill,
	}, nil
}
