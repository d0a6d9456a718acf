package app

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"poosh/server/pusher/webhook"
	"poosh/server/rate"
)

// A Config is one application: who may publish as it and connect to it, and what
// its clients may do. Its JSON form is an element of the file that [Parse]
// reads. Zero fields mean the defaults named here.
type Config struct {
	ID     string `json:"id"`     // in the API's paths; digits, for the libraries that take nothing else
	Key    string `json:"key"`    // in the clients' address; no secret
	Secret string `json:"secret"` // what requests, subscriptions and webhooks are signed with
	// PreviousSecret is the secret before, which requests and subscriptions may still be
	// signed with.
	PreviousSecret string `json:"previous_secret"`
	Enabled        *bool  `json:"enabled"`

	// AllowedOrigins are the pages whose browsers may connect: hosts such as
	// "example.com", "*.example.com" for all below one, or whole origins with a
	// scheme. None allows all. A client that sends no origin is no browser and is
	// let in: it could send any.
	AllowedOrigins []string `json:"allowed_origins"`

	ClientEvents      bool `json:"client_events"`      // clients may send client- events
	SubscriptionCount bool `json:"subscription_count"` // clients are told how many they are
	Watchlist         bool `json:"watchlist"`          // clients are told who of their watchlist is online
	// Authorize closes connections that have neither signed in nor subscribed to a
	// private or presence channel when AuthorizeTimeout is over.
	Authorize        bool     `json:"authorize_connections"`
	AuthorizeTimeout Duration `json:"authorize_timeout"` // 30 s
	// TerminateMembers makes terminate_connections also close connections that are
	// the user only as a member of a presence channel.
	TerminateMembers bool `json:"terminate_presence_members"`

	MaxConnections   int       `json:"max_connections"`              // open at once; more are closed with 4004; no limit
	MaxChannels      int       `json:"max_channels_per_connection"`  // 200
	MaxEventChannels int       `json:"max_channels_per_event"`       // 100
	MaxBatch         int       `json:"max_batch_events"`             // events in one batch; 10
	MaxEventBytes    int       `json:"max_event_bytes"`              // of an event's data; 10,240
	MaxMembers       int       `json:"max_presence_members"`         // users in a presence channel; 100
	MaxUserInfoBytes int       `json:"max_presence_user_info_bytes"` // of a member's user_info; 1,024
	ClientEventRate  rate.Rate `json:"client_event_rate"`            // of one connection; 10 in 1 s
	SubscribeRate    rate.Rate `json:"subscribe_rate"`               // of one connection, beside MaxChannels at once; 600 in 60 s
	APIRate          rate.Rate `json:"api_rate"`                     // requests; no limit
	ConnectRate      rate.Rate `json:"connect_rate"`                 // connections opened; no limit
	ActivityTimeout  Duration  `json:"activity_timeout"`             // silence before a ping, whole seconds; 120 s
	CacheTTL         Duration  `json:"cache_ttl"`                    // how long a cache channel keeps its event; 30 min

	// What is kept for clients that resume; see the package of the log. It counts from when
	// the server starts.
	History       Duration `json:"history"`        // for how long; 0 for nothing at all
	HistoryBytes  int64    `json:"history_bytes"`  // of all events; 64 MiB
	HistoryEvents int      `json:"history_events"` // of one channel; 1,000

	Webhooks []webhook.Config `json:"webhooks"`
}

// A Duration is a time.Duration that JSON has as text such as "30s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration takes, if it is positive.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q: want a time such as 30s or 5m", text)
	}
	*d = Duration(v)
	return nil
}

// WithDefaults returns c with every zero field filled.
func (c Config) WithDefaults() Config {
	c.AuthorizeTimeout = cmp.Or(c.AuthorizeTimeout, Duration(30*time.Second))
	c.MaxChannels = cmp.Or(c.MaxChannels, 200)
	c.MaxEventChannels = cmp.Or(c.MaxEventChannels, 100)
	c.MaxBatch = cmp.Or(c.MaxBatch, 10)
	c.MaxEventBytes = cmp.Or(c.MaxEventBytes, 10240)
	c.MaxMembers = cmp.Or(c.MaxMembers, 100)
	c.MaxUserInfoBytes = cmp.Or(c.MaxUserInfoBytes, 1024)
	c.ClientEventRate = cmp.Or(c.ClientEventRate, rate.Rate{Limit: 10, Per: time.Second})
	c.SubscribeRate = cmp.Or(c.SubscribeRate, rate.Rate{Limit: 600, Per: time.Minute})
	c.ActivityTimeout = cmp.Or(c.ActivityTimeout, Duration(120*time.Second))
	c.CacheTTL = cmp.Or(c.CacheTTL, Duration(30*time.Minute))
	c.HistoryBytes = cmp.Or(c.HistoryBytes, 64<<20)
	c.HistoryEvents = cmp.Or(c.HistoryEvents, 1000)
	return c
}

// maxHistory bounds for how long events are kept.
const maxHistory = 7 * 24 * time.Hour

// leastSecret is how long a secret must be, in bytes. Pusher's own have 20 hexadecimal
// digits.
const leastSecret = 8

// idChars are the characters of ids and keys that need no escape in a path.
var idChars = regexp.MustCompile(`^[-A-Za-z0-9_.]{1,100}$`)

// Validate names every mistake in an app, and never its secret.
func (c Config) Validate() error {
	var wrong []error
	bad := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("app %q: "+format, append([]any{c.ID}, args...)...))
	}
	if !idChars.MatchString(c.ID) {
		bad("want an id of 1 to 100 letters, digits, dashes, dots and underscores, best digits only")
	}
	if !idChars.MatchString(c.Key) {
		bad("want a key of 1 to 100 letters, digits, dashes, dots and underscores")
	}
	switch n := len(c.Secret); {
	case n == 0:
		bad("secret is missing")
	case n < leastSecret:
		bad("secret is shorter than %d characters: whoever guesses it may publish and sign for anybody; want 20 random ones or more", leastSecret)
	}
	switch n := len(c.PreviousSecret); {
	case n == 0:
	case n < leastSecret:
		bad("previous_secret is shorter than %d characters", leastSecret)
	case c.PreviousSecret == c.Secret:
		bad("previous_secret is the same as secret: want the one that was there before it, or none")
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"max_connections", c.MaxConnections}, {"max_channels_per_connection", c.MaxChannels},
		{"max_channels_per_event", c.MaxEventChannels}, {"max_batch_events", c.MaxBatch},
		{"max_event_bytes", c.MaxEventBytes}, {"max_presence_members", c.MaxMembers},
		{"max_presence_user_info_bytes", c.MaxUserInfoBytes},
		{"history_events", c.HistoryEvents}, {"history_bytes", int(c.HistoryBytes)},
	} {
		if n.value < 0 {
			bad("%s is %d: want no negative number", n.name, n.value)
		}
	}
	if d := time.Duration(c.ActivityTimeout); d != 0 && d < time.Second {
		bad("activity_timeout is %s: want at least 1s", d)
	}
	if d := time.Duration(c.History); d != 0 && (d < time.Second || d > maxHistory) {
		bad("history is %s: want a time from 1s to 7 days", d)
	}
	for _, o := range c.AllowedOrigins {
		if o == "" || strings.ContainsAny(o, " \t\"'") {
			bad("allowed_origins has %q: want a host, *.host or scheme://host", o)
		}
	}
	for _, h := range c.Webhooks {
		if err := h.Validate(); err != nil {
			bad("webhook %s: %w", h.Shown(), err)
		}
	}
	return errors.Join(wrong...)
}
