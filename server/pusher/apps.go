package pusher

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"poosh/server/setting"
)

// An App is one application: who may publish as it and connect to it, and what
// its clients may do. Its JSON form is an element of the file that [ParseApps]
// reads. Zero fields mean the defaults of the dialect's settings, or none.
type App struct {
	ID      string `json:"id"`     // in the API's paths; digits, for the libraries that take nothing else
	Key     string `json:"key"`    // in the clients' address; no secret
	Secret  string `json:"secret"` // what requests, subscriptions and webhooks are signed with
	Enabled *bool  `json:"enabled"`

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
	AuthorizeTimeout Duration `json:"authorize_timeout"`
	// TerminateMembers makes terminate_connections also close connections that are
	// the user only as a member of a presence channel.
	TerminateMembers bool `json:"terminate_presence_members"`

	MaxConnections   int      `json:"max_connections"` // open at once; more are closed with 4004; no limit
	MaxChannels      int      `json:"max_channels_per_connection"`
	MaxEventChannels int      `json:"max_channels_per_event"`
	MaxBatch         int      `json:"max_batch_events"`             // events in one batch
	MaxEventBytes    int      `json:"max_event_bytes"`              // of an event's data
	MaxMembers       int      `json:"max_presence_members"`         // users in a presence channel
	MaxUserInfoBytes int      `json:"max_presence_user_info_bytes"` // of a member's user_info
	ClientEventRate  Rate     `json:"client_event_rate"`            // of one connection
	SubscribeRate    Rate     `json:"subscribe_rate"`               // of one connection, beside MaxChannels at once
	APIRate          Rate     `json:"api_rate"`                     // requests; no limit
	ConnectRate      Rate     `json:"connect_rate"`                 // connections opened; no limit
	ActivityTimeout  Duration `json:"activity_timeout"`             // silence before a ping, whole seconds
	CacheTTL         Duration `json:"cache_ttl"`                    // how long a cache channel keeps its event

	Webhooks []Webhook `json:"webhooks"`
}

// A Webhook is an address that is told what happens in an app.
type Webhook struct {
	URL           string            `json:"url"`
	EventTypes    []string          `json:"event_types"`    // those of [WebhookEvents]; none means all
	ChannelPrefix string            `json:"channel_prefix"` // only of channels that begin so
	ChannelSuffix string            `json:"channel_suffix"`
	ChannelRegexp string            `json:"channel_pattern"` // only of channels that match, somewhere
	Headers       map[string]string `json:"headers"`         // of each request, beside those of the protocol
	Batch         bool              `json:"batch"`           // several events in one request: 100, or what 50 ms bring
}

// WebhookEvents are the types of events that a webhook can be told of (Pusher
// Channels, "Webhooks").
var WebhookEvents = []string{
	hookOccupied, hookVacated, hookAdded, hookRemoved, hookClientEvent, hookCacheMiss, hookCount,
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

func (a App) withDefaults() App {
	s := settings{App: a}
	setting.Fill(s.group().Settings)
	return s.App
}

// How long a secret must be, and how long it should be, in bytes. Pusher's own have
// 20 hexadecimal digits.
const (
	leastSecret = 8
	shortSecret = 16
)

// idChars are the characters of ids and keys that need no escape in a path.
var idChars = regexp.MustCompile(`^[-A-Za-z0-9_.]{1,100}$`)

// Validate names every mistake in an app, and never its secret.
func (a App) Validate() error {
	var wrong []error
	bad := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("app %q: "+format, append([]any{a.ID}, args...)...))
	}
	if !idChars.MatchString(a.ID) {
		bad("want an id of 1 to 100 letters, digits, dashes, dots and underscores, best digits only")
	}
	if !idChars.MatchString(a.Key) {
		bad("want a key of 1 to 100 letters, digits, dashes, dots and underscores")
	}
	switch n := len(a.Secret); {
	case n == 0:
		bad("secret is missing")
	case n < leastSecret:
		bad("secret is shorter than %d characters: whoever guesses it may publish and sign for anybody; want 20 random ones or more", leastSecret)
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"max_connections", a.MaxConnections}, {"max_channels_per_connection", a.MaxChannels},
		{"max_channels_per_event", a.MaxEventChannels}, {"max_batch_events", a.MaxBatch},
		{"max_event_bytes", a.MaxEventBytes}, {"max_presence_members", a.MaxMembers},
		{"max_presence_user_info_bytes", a.MaxUserInfoBytes},
	} {
		if n.value < 0 {
			bad("%s is %d: want no negative number", n.name, n.value)
		}
	}
	if d := time.Duration(a.ActivityTimeout); d != 0 && d < time.Second {
		bad("activity_timeout is %s: want at least 1s", d)
	}
	for _, o := range a.AllowedOrigins {
		if o == "" || strings.ContainsAny(o, " \t\"'") {
			bad("allowed_origins has %q: want a host, *.host or scheme://host", o)
		}
	}
	for _, h := range a.Webhooks {
		if err := h.validate(); err != nil {
			bad("webhook %s: %w", h.shown(), err)
		}
	}
	return errors.Join(wrong...)
}

// shown is the webhook's address without what may be a secret in it.
func (h Webhook) shown() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return "with an address that is none"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

func (h Webhook) validate() error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("want an http or https address")
	}
	for _, name := range h.EventTypes {
		if !slices.Contains(WebhookEvents, name) {
			return fmt.Errorf("event type %q: want %s", name, strings.Join(WebhookEvents, ", "))
		}
	}
	if _, err := regexp.Compile(h.ChannelRegexp); err != nil {
		return fmt.Errorf("channel_pattern: %w", err)
	}
	for name := range h.Headers {
		if strings.HasPrefix(strings.ToLower(name), "x-pusher-") || strings.EqualFold(name, "content-type") {
			return fmt.Errorf("header %s belongs to the protocol", name)
		}
	}
	return nil
}

// ParseApps reads a JSON file of apps: {"apps": [{...}, ...]}. What an app does
// not name it has from base; base's id, key, secret and webhooks are not used. A
// name that nothing has is a mistake, so that a misspelt limit is not no limit.
func ParseApps(file []byte, base App) ([]App, error) {
	var top struct {
		Apps []json.RawMessage `json:"apps"`
	}
	if err := decodeStrict(file, &top); err != nil {
		return nil, err
	}
	if len(top.Apps) == 0 {
		return nil, errors.New(`want {"apps": [...]} with at least one app`)
	}
	base.ID, base.Key, base.Secret, base.Webhooks = "", "", "", nil
	apps := make([]App, 0, len(top.Apps))
	for i, raw := range top.Apps {
		a := base
		if err := decodeStrict(raw, &a); err != nil {
			return nil, fmt.Errorf("app %d: %w", i+1, err)
		}
		if err := a.Validate(); err != nil {
			return nil, err
		}
		apps = append(apps, a)
	}
	return apps, nil
}

func decodeStrict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more text after the JSON value")
	}
	return exactNames(data, reflect.TypeOf(v).Elem())
}

var textual = reflect.TypeFor[encoding.TextUnmarshaler]()

// exactNames finds a member whose name is a field's but for its case, which
// encoding/json takes: two of them would be one setting.
func exactNames(data []byte, t reflect.Type) error {
	switch {
	case reflect.PointerTo(t).Implements(textual):
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		for _, raw := range list {
			if err := exactNames(raw, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct:
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			return err
		}
		for i := range t.NumField() {
			field := t.Field(i)
			name := field.Tag.Get("json")
			if raw, ok := members[name]; ok {
				if err := exactNames(raw, field.Type); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			delete(members, name)
		}
		for name := range members {
			return fmt.Errorf("unknown field %q: names match to the letter", name)
		}
	}
	return nil
}
