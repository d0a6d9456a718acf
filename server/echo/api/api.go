// Package api is the HTTP API of laravel-echo-server 1.6.3 (src/api/http-api.ts,
// src/subscribers/http-subscriber.ts): who listens, and events by hand. Keys are those of its
// configuration, unsigned. It knows no client and no hub: the dialect answers, see [Dialect].
package api

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// A Dialect is what the API asks. Its methods may be called from any goroutine, may wait
// until ctx ends, and answer for all processes of a cluster.
type Dialect interface {
	// Connections returns how many clients are connected.
	Connections(ctx context.Context) (int, error)
	// Channels yields the channels that somebody is in whose names begin with prefix. An error
	// is the last that is yielded.
	Channels(ctx context.Context, prefix string) iter.Seq2[Channel, error]
	// Channel returns how many are in one channel; nobody for one that is unknown.
	Channel(ctx context.Context, name string) (Channel, error)
	// Members returns who is in a presence channel, each user once, the newest first.
	Members(ctx context.Context, name string) ([]Member, error)
	// Publish sends an event to its channels as if it came from Redis. An error with a method
	// Status() int is answered so; others 503.
	Publish(ctx context.Context, e Event) error
}

// A Channel is one that somebody may be in.
type Channel struct {
	Name    string
	Members bool // it is a presence channel: Users counts
	Count   int  // connections in it
	Users   int
}

// A Member is who somebody is in a presence channel, as the application said it.
type Member struct {
	UserID json.RawMessage
	Info   json.RawMessage // nil for none
}

// An Event is one that an application sends over HTTP.
type Event struct {
	Channels []string
	Name     string
	Data     json.RawMessage // valid JSON
	Except   string          // id of the socket that gets no copy; empty for none
}

// A Config is what an operator may choose.
type Config struct {
	Apps    []App
	Started time.Time
	CORS    CORS
	MaxBody int
}

// An App is a client of laravel-echo-server's: an id in paths, and its key.
type App struct{ ID, Key string }

// A CORS is what pages of other origins may do with the API (apiOriginAllow); the zero CORS
// is nothing.
type CORS struct {
	Origin, Methods, Headers string
}
