package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"

	"poosh/server/closed"
	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/pusher/protocol"
)

// BusKind is what the processes of a cluster tell each other of this dialect, as a kind of
// [presence.Bus].
const BusKind = 'p'

// A message is what they tell.
type message struct {
	App  string `json:"app"`
	What string `json:"what"`
	Of   string `json:"of"` // a channel or a user
	// Members has [App.TerminateUser] mean members of presence channels too.
	Members bool   `json:"members,omitempty"`
	From    string `json:"from,omitempty"` // the process that tells
}

// What they tell.
const (
	terminateUser = "terminate" // answered with how many connections that were
	reconnectUser = "reconnect" // so too
	channelEmpty  = "empty"     // somebody found a cache channel empty
	channelFilled = "filled"    // it is not any more
)

// hear has the apps of a list hear what other processes tell.
func (l *List) hear(bus presence.Bus) {
	if bus != nil {
		bus.Handle(BusKind, l.told)
	}
}

// told does what another process tells, or this one.
func (l *List) told(_ string, body []byte) []byte {
	var m message
	if json.Unmarshal(body, &m) != nil {
		return nil
	}
	a := l.ID(m.App)
	if a == nil {
		return []byte("0")
	}
	switch m.What {
	case terminateUser, reconnectUser:
		return strconv.AppendInt(nil, int64(a.endUser(&m)), 10)
	case channelEmpty:
		if a.cache.missed(m.Of) && m.From == l.shared.process {
			a.hooks.CacheMiss(m.Of, noNetwork)
		}
	case channelFilled:
		a.cache.filled(m.Of)
	}
	return nil
}

// newProcess returns what this process calls itself when it tells others of something.
func newProcess() string { return rand.Text() }

func (m *message) text() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // it has texts alone
	}
	return b
}

// tellMiss says that somebody found a cache channel empty. All processes hear of it in one order,
// so that one of them alone tells the webhooks: who said so first.
func (x *across) tellMiss(channel string) {
	a := x.app
	if a.hooks.Idle() || a.cache.knowsMiss(channel) {
		return
	}
	m := message{App: a.id, What: channelEmpty, Of: channel, From: a.shared.process}
	x.Bus.Tell(BusKind, m.text())
}

// tellFilled says that a cache channel has an event, if it was known to have none.
func (x *across) tellFilled(channel string) {
	if x.app.cache.knowsMiss(channel) {
		m := message{App: x.app.id, What: channelFilled, Of: channel}
		x.Bus.Tell(BusKind, m.text())
	}
}

// TerminateUser closes the connections of a user for good, in all processes, and returns how many
// there were; with members also those that are the user in a presence channel alone. It may wait
// until ctx ends. An error says that not all processes have answered.
func (a *App) TerminateUser(ctx context.Context, id string, members bool) (n int, err error) {
	return a.end(ctx, &message{App: a.id, What: terminateUser, Of: id, Members: members})
}

// ReconnectUser is [App.TerminateUser] for a user who is to come back, as Sockudo has it.
func (a *App) ReconnectUser(ctx context.Context, id string, members bool) (n int, err error) {
	return a.end(ctx, &message{App: a.id, What: reconnectUser, Of: id, Members: members})
}

func (a *App) end(ctx context.Context, m *message) (n int, err error) {
	if a.across == nil {
		return a.endUser(m), nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answers, silent := a.across.Bus.Ask(ctx, BusKind, m.text())
	for _, body := range answers {
		one, _ := strconv.Atoi(string(body))
		n += one
	}
	switch {
	case len(answers) == 0:
		return 0, hub.ErrAway
	case len(silent) > 0:
		return n, fmt.Errorf("%w: %d of the nodes did not answer", hub.ErrUncertain, len(silent))
	}
	return n, nil
}

// endUser does what is asked for in this process.
func (a *App) endUser(m *message) int {
	list := a.OfUser(m.Of, m.Members)
	for _, c := range list {
		if m.What == terminateUser {
			c.Expel(closed.ByApp, protocol.CodeUnauthorized, "the app has ended this user's connections")
		} else {
			c.Expel(closed.Reconnect, protocol.CodeReconnect, "the app asks to reconnect")
		}
	}
	return len(list)
}
