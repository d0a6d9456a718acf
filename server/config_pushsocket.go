package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"poosh/server/pushsocket/store"
)

// A PushSocketConfig holds what belongs to the Push Socket Protocol alone.
type PushSocketConfig struct {
	Port int          // PUSH_SOCKET_PORT: turns the dialect on; AnyPort for any
	DB   string       // PUSH_SOCKET_DB: path of the database file
	Keep store.Limits // what is kept, by the settings that begin with PUSH_SOCKET_

	NoPrekeysStatus int           // PUSH_SOCKET_NO_PREKEYS_STATUS: 205 or 200
	OperatorToken   string        // PUSH_SOCKET_OPERATOR_TOKEN: empty closes the endpoint
	MaxBodyBytes    int           // PUSH_SOCKET_MAX_BODY_BYTES
	MaxRecipients   int           // PUSH_SOCKET_MAX_RECIPIENTS: headers in one request
	MaxTries        int           // PUSH_SOCKET_MAX_TRIES: refusals of one connection
	AuthTimeout     time.Duration // PUSH_SOCKET_AUTH_TIMEOUT: without authorization
	MaxEvents       int           // PUSH_SOCKET_MAX_EVENTS: of one connection that wait
}

// on reports whether a port is named.
func (p *PushSocketConfig) on() bool { return p.Port != 0 }

// minOperatorToken is the least length of the operators' token, in bytes.
const minOperatorToken = 16

var pushSocketSettings = group{
	title: "Push Socket",
	settings: []setting{
		{name: "PUSH_SOCKET_PORT", help: "Port of the Push Socket Protocol and its key server; setting it turns them on",
			field: portNumber(func(c *Config) *int { return &c.PushSocket.Port })},
		{name: "PUSH_SOCKET_DB", def: "push-socket.db", help: "Path of the database file; two more stand beside it while the server runs",
			field: words(func(c *Config) *string { return &c.PushSocket.DB })},
		{name: "PUSH_SOCKET_DB_MAX_BYTES", def: "10GiB", help: "Bytes of that file; a message that does not fit is answered 503",
			field: size(func(c *Config) *int64 { return &c.PushSocket.Keep.BytesOnDisk }, "1MiB", "1024GiB")},
		{name: "PUSH_SOCKET_MESSAGES_PER_DEVICE", def: "1000", help: "Messages that may wait for one device",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.MessagesPerDevice }, 1, 1_000_000)},
		{name: "PUSH_SOCKET_WHEN_FULL", def: "refuse", help: "What happens to one more: refuse it, or drop the oldest; its sender is told",
			field: choice(func(c *Config) *bool { return &c.PushSocket.Keep.DropOldest }, []string{"refuse", "drop"}, []bool{false, true})},
		{name: "PUSH_SOCKET_MAX_AGE", def: "720h", help: "Time that a message is kept for its device",
			field: span(func(c *Config) *time.Duration { return &c.PushSocket.Keep.MaxAge }, time.Minute, 10*365*24*time.Hour)},
		{name: "PUSH_SOCKET_MAX_PREKEYS", def: "1000", help: "Prekeys that one device may have; more are answered 413",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.PrekeysPerDevice }, 1, 1_000_000)},
		{name: "PUSH_SOCKET_MAX_IDENTITIES", def: "1000000", help: "Identities that may ever register",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.Identities }, 1, 2_000_000_000)},
		{name: "PUSH_SOCKET_NO_PREKEYS_STATUS", def: "205", help: "Status that tells a device it has no prekeys left: 205, or 200 for clients whose HTTP library drops the body of a 205",
			field: choice(func(c *Config) *int { return &c.PushSocket.NoPrekeysStatus }, []string{"205", "200"}, []int{http.StatusResetContent, http.StatusOK})},
		{name: "PUSH_SOCKET_OPERATOR_TOKEN", help: "Bearer token for /operator/store, at least 16 characters; unset, there is no such path",
			field: operatorToken{}, secret: true},
		{name: "PUSH_SOCKET_MAX_BODY_BYTES", def: "102400", help: "Bytes of the body of one request; more is answered 413",
			field: size(func(c *Config) *int { return &c.PushSocket.MaxBodyBytes }, "1KiB", "16MiB")},
		{name: "PUSH_SOCKET_MAX_RECIPIENTS", def: "500", help: "Headers, each a copy for a device, in one request; more are answered 413",
			field: count(func(c *Config) *int { return &c.PushSocket.MaxRecipients }, 1, 100_000)},
		{name: "PUSH_SOCKET_MAX_TRIES", def: "10", help: "Refused authentications before a connection is closed",
			field: count(func(c *Config) *int { return &c.PushSocket.MaxTries }, 1, 1_000_000)},
		{name: "PUSH_SOCKET_AUTH_TIMEOUT", def: "2m", help: "Time that a connection may be without authorization",
			field: span(func(c *Config) *time.Duration { return &c.PushSocket.AuthTimeout }, time.Second, 24*time.Hour)},
		{name: "PUSH_SOCKET_MAX_EVENTS", def: "4096", help: "Events of one connection that may wait to be worked on; at least twice PUSH_SOCKET_MESSAGES_PER_DEVICE are",
			field: count(func(c *Config) *int { return &c.PushSocket.MaxEvents }, 16, 10_000_000)},
	},
	on: func(c *Config) bool { return c.PushSocket.on() },
	check: func(c *Config, m *mistakes) {
		if c.PushSocket.on() {
			checkPort(c, m, "PUSH_SOCKET_PORT")
		}
	},
}

// operatorToken is PUSH_SOCKET_OPERATOR_TOKEN.
type operatorToken struct{}

func (operatorToken) set(c *Config, text string) error {
	if len(text) < minOperatorToken || strings.TrimSpace(text) != text {
		return errors.New("is not good: want at least 16 characters, without blanks around them")
	}
	c.PushSocket.OperatorToken = text
	return nil
}

func (operatorToken) isZero(c *Config) bool { return c.PushSocket.OperatorToken == "" }
