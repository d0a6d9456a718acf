package server

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"poosh/server/socktopus"
)

// A SocktopusConfig holds what belongs to Socktopus alone.
type SocktopusConfig struct {
	Port    int               // SOCKTOPUS_PORT, else PORT; AnyPort for any
	Secrets map[string]string // NAME_SOCKTOPUS_SECRET, by name in lower case; one turns Socktopus on

	Origins         []string      // SOCKTOPUS_ORIGINS: pages whose browsers may join
	ReadTimeout     time.Duration // SOCKTOPUS_READ_TIMEOUT: between two PINGs of a client
	MaxBodyBytes    int           // SOCKTOPUS_MAX_BODY_BYTES: one body of /send or /kick
	MaxMessageBytes int           // SOCKTOPUS_MAX_MESSAGE_BYTES: one message of a client
	MaxMessages     int           // SOCKTOPUS_MAX_MESSAGES: of one /send, and connections of one /kick
	MaxKicks        int           // SOCKTOPUS_MAX_KICKS: requests to /kick that wait

	platformPort string // PORT when it is no port and SOCKTOPUS_PORT is not set
}

// on reports whether there is a secret.
func (s *SocktopusConfig) on() bool { return len(s.Secrets) > 0 }

// minSocktopusSecret is the least length of a secret in characters. The original took
// any, but a signature over what is known lets whoever sees one token guess in peace.
const minSocktopusSecret = 8

// secretSuffix is how the names of Socktopus secrets end.
const secretSuffix = "_SOCKTOPUS_SECRET"

var socktopusSettings = group{
	title: "Socktopus",
	settings: []setting{
		{name: "NAME" + secretSuffix, help: "Secret of the application NAME, at least 8 characters, any number of them; one turns Socktopus on",
			field: gathered{}, secret: true},
		{name: "PORT", help: "Port of Socktopus where SOCKTOPUS_PORT is not set, as on platforms that set it",
			field: platformPort{}},
		{name: "SOCKTOPUS_PORT", def: "8080", help: "Port of Socktopus", field: socktopusPort{}},
		{name: "SOCKTOPUS_ORIGINS", def: "*", help: "Pages whose browsers may join, with commas between: hosts such as example.com, *.example.com for all below one, origins such as https://example.com:8443; * for all",
			field: origins(func(c *Config) *[]string { return &c.Socktopus.Origins })},
		{name: "SOCKTOPUS_READ_TIMEOUT", def: "20s", help: "A client that sends no PING for so long is closed; clients ping every 19 s",
			field: span(func(c *Config) *time.Duration { return &c.Socktopus.ReadTimeout }, time.Second, time.Hour)},
		{name: "SOCKTOPUS_MAX_BODY_BYTES", def: "1MiB", help: "Bytes of one body of /send or /kick; more is answered 413",
			field: size(func(c *Config) *int { return &c.Socktopus.MaxBodyBytes }, "1KiB", "64MiB")},
		{name: "SOCKTOPUS_MAX_MESSAGE_BYTES", def: "64KiB", help: "Bytes of one message of a Socktopus client; more closes its connection",
			field: size(func(c *Config) *int { return &c.Socktopus.MaxMessageBytes }, "125", "64MiB")},
		{name: "SOCKTOPUS_MAX_MESSAGES", def: "10000", help: "Messages of one /send, and connections of one /kick; more are answered 413",
			field: count(func(c *Config) *int { return &c.Socktopus.MaxMessages }, 1, 1_000_000)},
		{name: "SOCKTOPUS_MAX_KICKS", def: "1000", help: "Requests to /kick that may wait at once; more are answered 503",
			field: count(func(c *Config) *int { return &c.Socktopus.MaxKicks }, 1, 1_000_000)},
	},
	gather: gatherSocktopus,
	warn: func(c *Config) (lines []string) {
		for _, app := range slices.Sorted(maps.Keys(c.Socktopus.Secrets)) {
			lines = append(lines, shortSecret(strings.ToUpper(app)+secretSuffix, c.Socktopus.Secrets[app])...)
		}
		return lines
	},
	on: func(c *Config) bool { return c.Socktopus.on() },
	check: func(c *Config, m *mistakes) {
		if !c.Socktopus.on() {
			return
		}
		if text := c.Socktopus.platformPort; text != "" {
			_, err := parsePort(text)
			m.add("PORT", "is %s: %w", shown(text), err)
			return
		}
		checkPort(c, m, "SOCKTOPUS_PORT")
	},
}

// origins is a field for a list of pages.
func origins(at func(*Config) *[]string) field {
	return place[[]string]{at, func(text string) ([]string, error) {
		list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		if len(list) == 0 {
			return nil, errors.New("want hosts or origins with commas between, or *")
		}
		for _, page := range list {
			if err := socktopus.CheckOrigin(page); err != nil {
				return nil, err
			}
		}
		return list, nil
	}}
}

// gathered is the field of a setting whose name is a pattern: the group's gather
// fills it.
type gathered struct{}

func (gathered) set(*Config, string) error { return nil }
func (gathered) isZero(*Config) bool       { return true }

// parsePort reads a port as the other ports are read.
func parsePort(text string) (int, error) {
	var c Config
	err := portNumber(func(c *Config) *int { return &c.Socktopus.Port }).set(&c, text)
	return c.Socktopus.Port, err
}

// platformPort is PORT. It stands before SOCKTOPUS_PORT in the settings, which
// wins. Others use that name too, so a wrong one is a mistake only when Socktopus
// needs it.
type platformPort struct{}

func (platformPort) set(c *Config, text string) error {
	n, err := parsePort(text)
	if err != nil {
		c.Socktopus.platformPort = text
		return nil
	}
	c.Socktopus.Port = n
	return nil
}

func (platformPort) isZero(*Config) bool { return true }

// socktopusPort is SOCKTOPUS_PORT.
type socktopusPort struct{}

func (socktopusPort) set(c *Config, text string) error {
	c.Socktopus.platformPort = ""
	n, err := parsePort(text)
	c.Socktopus.Port = n
	return err
}

func (socktopusPort) isZero(c *Config) bool {
	return c.Socktopus.Port == 0 && c.Socktopus.platformPort == ""
}

// gatherSocktopus finds the secrets among the names that are set. An empty one is
// none. The original found only names in upper case; here any case will do.
func gatherSocktopus(c *Config, m *mistakes, lookup func(string) (string, bool), names []string) {
	spelled := make(map[string]string)
	for _, name := range names {
		app, ok := strings.CutSuffix(name, secretSuffix)
		value, _ := lookup(name)
		if !ok || app == "" || value == "" {
			continue
		}
		app = strings.ToLower(app)
		if other, twice := spelled[app]; twice {
			if other != name {
				m.add(name, "is the same application as %s: want one of them", other)
			}
			continue
		}
		spelled[app] = name
		if c.Socktopus.Secrets == nil {
			c.Socktopus.Secrets = make(map[string]string)
		}
		c.Socktopus.Secrets[app] = value
		switch {
		case utf8.RuneCountInString(value) < minSocktopusSecret:
			m.add(name, "is too short: want at least %d characters", minSocktopusSecret)
		case len(value) > socktopus.MaxSecret:
			m.add(name, "is too long: want at most %d bytes", socktopus.MaxSecret)
		}
	}
}

// Names lists the names that are set in environ, which has the form of os.Environ,
// or in the file at path, which WithDotEnv reads; each once, in order. A file that
// is not there or cannot be read adds none: WithDotEnv tells.
func Names(path string, environ []string) []string {
	var names []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	if text, err := readDotEnv(path); err == nil {
		if file, err := parseDotEnv(text, os.LookupEnv); err == nil {
			for name := range file {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ports are the settings of the dialects that are on, and what they are set to.
func (c *Config) ports() []struct {
	name string
	port int
} {
	type named = struct {
		name string
		port int
	}
	var list []named
	if c.Poosh.Secret != "" {
		list = append(list, named{"CLIENT_PORT", c.Poosh.ClientPort}, named{"SERVER_PORT", c.Poosh.ServerPort})
	}
	if c.Pusher.on() {
		list = append(list, named{"PUSHER_PORT", c.Pusher.Port})
	}
	if c.Socktopus.on() {
		list = append(list, named{"SOCKTOPUS_PORT", c.Socktopus.Port})
	}
	if c.PushSocket.on() {
		list = append(list, named{"PUSH_SOCKET_PORT", c.PushSocket.Port})
	}
	return list
}

// checkPort finds another dialect on the port of a setting, those that stand before
// it.
func checkPort(c *Config, m *mistakes, setting string) {
	list := c.ports()
	i := slices.IndexFunc(list, func(p struct {
		name string
		port int
	}) bool {
		return p.name == setting
	})
	for _, other := range list[:max(i, 0)] {
		if other.port == list[i].port && other.port != AnyPort && !m.has(setting, other.name) {
			m.add(setting, "is %s: want another port than %s", fmt.Sprint(other.port), other.name)
		}
	}
}
