package server

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A SocketIOConfig holds what all dialects over socket.io share.
type SocketIOConfig struct {
	PingInterval   time.Duration // PING_INTERVAL
	PingTimeout    time.Duration // PING_TIMEOUT: after PingInterval without a packet
	UpgradeTimeout time.Duration // UPGRADE_TIMEOUT: for polling to become WebSocket
	ConnectTimeout time.Duration // CONNECT_TIMEOUT: for a session to join its namespace

	MaxPacketBytes          int // MAX_PACKET_BYTES: one message or POST of a client
	MaxUnfinishedPerAddress int // MAX_UNFINISHED_PER_ADDRESS: sessions opened and not used yet

	ClientScript string // CLIENT_SCRIPT: a URL, or the path of a file
}

var socketIOSettings = group{
	title: "Socket.IO",
	settings: []setting{
		{name: "PING_INTERVAL", def: "25s", help: "Time between two heartbeats",
			field: span(func(c *Config) *time.Duration { return &c.SocketIO.PingInterval }, time.Second, time.Hour)},
		{name: "PING_TIMEOUT", def: "60s", help: "Time a heartbeat may be late before its connection counts as gone",
			field: span(func(c *Config) *time.Duration { return &c.SocketIO.PingTimeout }, time.Second, time.Hour)},
		{name: "UPGRADE_TIMEOUT", def: "10s", help: "Time for a client to finish its change from polling to WebSocket",
			field: span(func(c *Config) *time.Duration { return &c.SocketIO.UpgradeTimeout }, time.Second, time.Hour)},
		{name: "CONNECT_TIMEOUT", def: "45s", help: "Time for a new session to join the namespace before it is closed",
			field: span(func(c *Config) *time.Duration { return &c.SocketIO.ConnectTimeout }, time.Second, time.Hour)},
		{name: "MAX_PACKET_BYTES", def: "100KiB", help: "Bytes of one message or POST from a client; more closes its connection",
			field: size(func(c *Config) *int { return &c.SocketIO.MaxPacketBytes }, "1KiB", "100MB")},
		{name: "MAX_UNFINISHED_PER_ADDRESS", def: "1000", help: "Polling sessions that one address may open and not use",
			field: count(func(c *Config) *int { return &c.SocketIO.MaxUnfinishedPerAddress }, 1, 1_000_000)},
		{name: "CLIENT_SCRIPT", def: defaultScript, help: "What /socket.io/socket.io.js gives: an http(s) URL to redirect to, or a file to serve",
			field: script(func(c *Config) *string { return &c.SocketIO.ClientScript })},
	},
}

// defaultScript is the file that the Node server gave out itself: socket.io.js of
// the npm package socket.io-client 1.3.5. jsDelivr serves the files of npm
// packages as they are and keeps a published version for good.
const defaultScript = "https://cdn.jsdelivr.net/npm/socket.io-client@1.3.5/socket.io.js"

// originList is a field for the origins of pages, as browsers write them in the Origin
// header.
func originList(at func(*Config) *[]string) field {
	return place[[]string]{at, func(text string) ([]string, error) {
		var list []string
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			origin, ok := parseOrigin(word)
			if !ok {
				return nil, errors.New("want * for all, or origins such as https://example.com with commas between")
			}
			list = append(list, origin)
		}
		if len(list) > 1 && slices.Contains(list, "*") {
			return nil, errors.New("want * alone, or origins without it")
		}
		return list, nil
	}}
}

// parseOrigin returns an origin in the form that browsers send: without the port that
// its scheme has anyway.
func parseOrigin(text string) (origin string, ok bool) {
	text = strings.ToLower(text)
	if text == "*" || text == "null" {
		return text, true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Scheme != "file" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false
	}
	if u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Scheme + "://" + u.Host, true
}
