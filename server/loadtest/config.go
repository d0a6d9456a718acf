package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Protocol is how clients speak.
type Protocol string

// The protocols.
const (
	EIO4   Protocol = "eio4"         // socket.io 3 and 4
	EIO3   Protocol = "eio3"         // socket.io 1 and 2
	Pusher Protocol = "pusher"       // Pusher Channels, protocol 7
	Echo   Protocol = "laravel-echo" // pages with Laravel Echo, over socket.io 3 and 4
)

// A Publish is how events get to a server.
type Publish string

// The ways to publish.
const (
	BySend   Publish = "send"   // POST /send of Poosh, signed
	ByPusher Publish = "pusher" // signed requests to the app's events
	ByEmit   Publish = "emit"   // clients of their own emit an event with the room and the payload
	ByEcho   Publish = "echo"   // each client emits an event and gets it back, alone
	ByRedis  Publish = "redis"  // as Laravel's redis broadcaster does
	ByOthers Publish = "none"   // somebody else publishes: what comes is counted
)

// Bounds of a test.
const (
	MaxClients = 200_000
	MaxSenders = 64
	MaxSize    = 1 << 20 // bytes of a payload
	MaxRate    = 1e6     // events a second
	MaxTime    = 24 * time.Hour
)

// An App is the application of Pusher that clients connect to and that events are signed
// for.
type App struct{ ID, Key, Secret string }

// A Config says what a test does. [Config.Check] says what may be in it.
type Config struct {
	Server   *Target // where clients connect
	Protocol Protocol
	Polling  bool   // socket.io over polling in place of a WebSocket
	Clients  int    // of whom number i is in room i modulo Rooms
	Rooms    int    // of ByEcho there are none
	Prefix   string // that the names of rooms begin with: letters, digits, dashes
	Room     string // of ByOthers: the one room in place of these
	Join     string // socket.io: the event with which a client says the room that it joins; empty for none
	Origin   string // the header that browsers send; empty for none

	Publish Publish
	API     *Target // of BySend and ByPusher: where events are sent to
	Emit    string  // of ByEmit and ByEcho: the event's name
	Secret  string  // of BySend
	App     App     // of Pusher
	// Redis makes for each publisher of ByRedis what it publishes an event of a channel with, and what
	// ends that.
	Redis      func() (publish func(ctx context.Context, channel string, event []byte) error, end func())
	Publishers int     // each sends its next event when the last was answered
	Size       int     // bytes of an event's payload
	Rate       float64 // events a second, of all publishers; 0 for flat out

	Duration    time.Duration // of publishing, or of counting what others publish
	ConnectRate float64       // connections a second; 0 for flat out
	AtOnce      int           // connections that are being opened at once
	Timeout     time.Duration // for one client to be in its room, and for one answer
}

// Check says everything that is wrong with c, or nil.
func (c *Config) Check() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	socketIO := c.Protocol == EIO3 || c.Protocol == EIO4
	want(socketIO || c.Protocol == Pusher || c.Protocol == Echo, "the protocol is %q: want %s, %s, %s or %s", c.Protocol, EIO4, EIO3, Pusher, Echo)
	want(c.Protocol != Pusher || !c.Polling, "Pusher has WebSockets alone")
	want(c.Clients >= 1 && c.Clients <= MaxClients, "want 1 to %d clients", MaxClients)
	want(c.Rooms >= 1 && c.Rooms <= max(c.Clients, 1), "want 1 room or more, and no more than there are clients")
	want(c.Publishers >= 1 && c.Publishers <= MaxSenders, "want 1 to %d publishers", MaxSenders)
	want(c.Size >= MinPayload && c.Size <= MaxSize, "want payloads of %d to %d bytes", MinPayload, MaxSize)
	want(c.Rate >= 0 && c.Rate <= MaxRate, "want a rate of at most %g events a second", float64(MaxRate))
	want(c.ConnectRate >= 0 && c.ConnectRate <= MaxRate, "want a rate of at most %g connections a second", float64(MaxRate))
	want(c.Duration > 0 && c.Duration <= MaxTime, "want a duration of more than nothing and at most %v", MaxTime)
	want(c.Timeout > 0 && c.Timeout <= time.Hour, "want a timeout of more than nothing and at most %v", time.Hour)
	want(c.AtOnce >= 1 && c.AtOnce <= 10_000, "want 1 to 10000 connections that are being opened at once")
	switch c.Publish {
	case BySend, ByEmit, ByEcho:
		want(c.Protocol != Pusher, "clients of Pusher get what is published with the signature of their app")
		want(c.Protocol != Echo, "clients of Laravel Echo get what is published in their Redis")
	case ByPusher:
		want(c.Protocol == Pusher, "what is published for an app reaches clients of Pusher alone")
	case ByRedis:
		want(c.Protocol == Echo && c.Redis != nil, "what is published in a Redis reaches clients of Laravel Echo alone")
	case ByOthers:
	default:
		want(false, "cannot publish by %q", c.Publish)
	}
	want(c.Room == "" || c.Publish == ByOthers && c.Rooms == 1, "the room is named where others publish, and is one")
	want(c.Publish != ByEmit && c.Publish != ByEcho || c.Emit != "", "the event that clients emit has no name")
	return errors.Join(errs...)
}

// files is about how many files a test has open at once.
func (c *Config) files() int {
	perClient := 1
	if c.Polling {
		perClient = 2 // a heartbeat goes beside the poll
	}
	return perClient*c.Clients + c.Publishers + 32
}

// Fits looks whether this process may have as many open files as the test needs, after it
// has raised its own soft limit to the hard one.
func (c *Config) Fits() error {
	limit, err := raiseFileLimit()
	if err != nil || limit == 0 { // it is not known: what cannot be had is told when it is missed
		return nil
	}
	if need := uint64(c.files()); need > limit {
		return fmt.Errorf("%d clients need %d open files, and this process may have %d: ask for less, or raise the limit (ulimit -n, as root ulimit -Hn)", c.Clients, need, limit)
	}
	return nil
}
