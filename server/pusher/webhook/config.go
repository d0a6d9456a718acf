package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"poosh/server/pusher/tally"
)

// Types of webhook events (Pusher Channels, "Webhooks").
const (
	typeOccupied    = "channel_occupied"
	typeVacated     = "channel_vacated"
	typeAdded       = "member_added"
	typeRemoved     = "member_removed"
	typeClientEvent = "client_event"
	typeCacheMiss   = "cache_miss"
	typeCount       = "subscription_count"
)

// A Config is an address that is told what happens in an app.
type Config struct {
	URL           string            `json:"url"`
	EventTypes    []string          `json:"event_types"`    // those of [EventTypes]; none means all
	ChannelPrefix string            `json:"channel_prefix"` // only of channels that begin so
	ChannelSuffix string            `json:"channel_suffix"`
	ChannelRegexp string            `json:"channel_pattern"` // only of channels that match, somewhere
	Headers       map[string]string `json:"headers"`         // of each request, beside those of the protocol
	Batch         bool              `json:"batch"`           // several events in one request: 100, or what 50 ms bring
}

// EventTypes are the types of events that a webhook can be told of (Pusher
// Channels, "Webhooks").
var EventTypes = []string{
	typeOccupied, typeVacated, typeAdded, typeRemoved, typeClientEvent, typeCacheMiss, typeCount,
}

// Shown is the webhook's address without what may be a secret in it.
func (c Config) Shown() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "with an address that is none"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// Validate names the first mistake, without what may be a secret in the address.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("want an http or https address")
	}
	for _, name := range c.EventTypes {
		if !slices.Contains(EventTypes, name) {
			return fmt.Errorf("event type %q: want %s", name, strings.Join(EventTypes, ", "))
		}
	}
	if _, err := regexp.Compile(c.ChannelRegexp); err != nil {
		return fmt.Errorf("channel_pattern: %w", err)
	}
	for name := range c.Headers {
		if strings.HasPrefix(strings.ToLower(name), "x-pusher-") || strings.EqualFold(name, "content-type") {
			return fmt.Errorf("header %s belongs to the protocol", name)
		}
	}
	return nil
}

// Options are what all webhooks of one app have in common.
type Options struct {
	Key, Secret string        // the app's, which requests are signed with
	Queue       int           // events that may wait for one address
	Hold        time.Duration // how long a departure waits for a return

	// Count counts n things. It is called from any goroutine and must not block.
	Count func(what tally.Thing, n int)
	Log   *slog.Logger // of the app
}

// filter says which events an endpoint is told of.
type filter struct {
	types          []string
	prefix, suffix string
	pattern        *regexp.Regexp
}

func newFilter(conf Config) filter {
	f := filter{types: conf.EventTypes, prefix: conf.ChannelPrefix, suffix: conf.ChannelSuffix}
	if conf.ChannelRegexp != "" {
		f.pattern = regexp.MustCompile(conf.ChannelRegexp) // checked by Config.Validate
	}
	return f
}

func (f filter) wants(name, channel string) bool {
	return (len(f.types) == 0 || slices.Contains(f.types, name)) &&
		strings.HasPrefix(channel, f.prefix) && strings.HasSuffix(channel, f.suffix) &&
		(f.pattern == nil || f.pattern.MatchString(channel))
}
