package server

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"poosh/server/pusher"
	"poosh/server/pushsocket"
	"poosh/server/pushsocket/store"
)

// A PushSocketConfig holds what belongs to the Push Socket Protocol alone.
type PushSocketConfig struct {
	Port int          // PUSH_SOCKET_PORT: turns the dialect on; AnyPort for any
	DB   string       // PUSH_SOCKET_DB: path of the database file
	Keep store.Limits // what is kept, by the settings that begin with PUSH_SOCKET_

	NoPrekeysStatus int             // PUSH_SOCKET_NO_PREKEYS_STATUS: 205 or 200
	OperatorToken   string          // PUSH_SOCKET_OPERATOR_TOKEN: empty closes the endpoint
	Origins         []string        // PUSH_SOCKET_ORIGINS: pages that may use the port
	Requests        pushsocket.Rate // PUSH_SOCKET_REQUESTS: of one address
	Registrations   pushsocket.Rate // PUSH_SOCKET_REGISTRATIONS: of one address
	KeyFetches      pushsocket.Rate // PUSH_SOCKET_KEY_FETCHES: of one address, of one identity's keys
	MaxBodyBytes    int             // PUSH_SOCKET_MAX_BODY_BYTES
	MaxKeyBytes     int             // PUSH_SOCKET_MAX_KEY_BYTES: one prekey
	MaxRecipients   int             // PUSH_SOCKET_MAX_RECIPIENTS: headers in one request
	StoreTimeout    time.Duration   // PUSH_SOCKET_STORE_TIMEOUT: a sender waits for the disk
	MaxTries        int             // PUSH_SOCKET_MAX_TRIES: refusals of one connection
	AuthTimeout     time.Duration   // PUSH_SOCKET_AUTH_TIMEOUT: without authorization
	MaxEvents       int             // PUSH_SOCKET_MAX_EVENTS: of one connection that wait
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
		{name: "PUSH_SOCKET_KEYS_PERCENT", def: "75", help: "Percent of that file that may be in use when identities, keys and contacts still come in; the rest is for messages alone",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.KeysPercent }, 1, 100)},
		{name: "PUSH_SOCKET_STORE_TIMEOUT", def: "10s", help: "Time that a request waits for the disk before it is answered 503",
			field: span(func(c *Config) *time.Duration { return &c.PushSocket.StoreTimeout }, 100*time.Millisecond, 10*time.Minute)},
		{name: "PUSH_SOCKET_MESSAGES_PER_DEVICE", def: "1000", help: "Messages that may wait for one device",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.MessagesPerDevice }, 1, 1_000_000)},
		{name: "PUSH_SOCKET_BYTES_PER_DEVICE", def: "32MiB", help: "Bytes of messages that may wait for one device",
			field: size(func(c *Config) *int64 { return &c.PushSocket.Keep.BytesPerDevice }, "1KiB", "1024GiB")},
		{name: "PUSH_SOCKET_SENDER_PERCENT", def: "25", help: "Percent of both that one sender may take; a device's mail to itself may take all",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.SenderPercent }, 1, 100)},
		{name: "PUSH_SOCKET_STRANGERS_PERCENT", def: "50", help: "Percent of both that all senders together may take that are new to the device; 100 for no such bound",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.StrangersPercent }, 1, 100)},
		{name: "PUSH_SOCKET_CONTACTS_PER_DEVICE", def: "1000", help: "Others that a device is remembered to have written to or heard from, so that they are not new to it",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.ContactsPerDevice }, 1, 1_000_000)},
		{name: "PUSH_SOCKET_WHEN_FULL", def: "refuse", help: "What happens to one more: refuse it, or drop the oldest; its sender is told",
			field: choice(func(c *Config) *bool { return &c.PushSocket.Keep.DropOldest }, []string{"refuse", "drop"}, []bool{false, true})},
		{name: "PUSH_SOCKET_MAX_AGE", def: "720h", help: "Time that a message is kept for its device",
			field: span(func(c *Config) *time.Duration { return &c.PushSocket.Keep.MaxAge }, time.Minute, 10*365*24*time.Hour)},
		{name: "PUSH_SOCKET_MAX_PREKEYS", def: "1000", help: "Prekeys that one device may have; more are answered 413",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.PrekeysPerDevice }, 1, 1_000_000)},
		{name: "PUSH_SOCKET_MAX_KEY_BYTES", def: "4KiB", help: "Bytes of one key; more are answered 413",
			field: size(func(c *Config) *int { return &c.PushSocket.MaxKeyBytes }, "128", "1MiB")},
		{name: "PUSH_SOCKET_KEY_BYTES_PER_DEVICE", def: "512KiB", help: "Bytes of all keys of one device; more are answered 413",
			field: size(func(c *Config) *int64 { return &c.PushSocket.Keep.KeyBytesPerDevice }, "1KiB", "1GiB")},
		{name: "PUSH_SOCKET_MAX_IDENTITIES", def: "1000000", help: "Identities that may be known at once, revoked ones too",
			field: count(func(c *Config) *int { return &c.PushSocket.Keep.Identities }, 1, 2_000_000_000)},
		{name: "PUSH_SOCKET_UNUSED_AGE", def: "720h", help: "Time after which an identity goes, with its keys, that only registered and never used the service",
			field: span(func(c *Config) *time.Duration { return &c.PushSocket.Keep.UnusedAge }, time.Hour, 100*365*24*time.Hour)},
		{name: "PUSH_SOCKET_IDLE_AGE", def: "8760h", help: "Time without use after which an identity goes with all it has, and is forgotten after it was revoked; a contact of a device too",
			field: span(func(c *Config) *time.Duration { return &c.PushSocket.Keep.IdleAge }, 48*time.Hour, 100*365*24*time.Hour)},
		{name: "PUSH_SOCKET_REGISTRATIONS", def: "60/1h", help: "Identities that one address may register in a time, or off; more are answered 429",
			field: addressRate(func(c *Config) *pushsocket.Rate { return &c.PushSocket.Registrations })},
		{name: "PUSH_SOCKET_KEY_FETCHES", def: "100/1h", help: "Keys of one identity that one address may take in a time, or off; more are answered 429",
			field: addressRate(func(c *Config) *pushsocket.Rate { return &c.PushSocket.KeyFetches })},
		{name: "PUSH_SOCKET_REQUESTS", def: "6000/1m", help: "Requests and authentications of one address in a time, or off; more are answered 429",
			field: addressRate(func(c *Config) *pushsocket.Rate { return &c.PushSocket.Requests })},
		{name: "PUSH_SOCKET_ORIGINS", def: "*", help: "Pages whose browsers may use the port, such as https://www.example.com, with commas between; * for all",
			field: originList(func(c *Config) *[]string { return &c.PushSocket.Origins })},
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

// addressRate is a field for how often an address may do something.
func addressRate(at func(*Config) *pushsocket.Rate) field {
	return place[pushsocket.Rate]{at, func(text string) (pushsocket.Rate, error) {
		var r pusher.Rate
		if r.UnmarshalText([]byte(strings.ToLower(text))) != nil {
			return pushsocket.Rate{}, errors.New("want a number and a time such as 60/1h, or off")
		}
		return pushsocket.Rate(r), nil
	}}
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
