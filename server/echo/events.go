package echo

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"poosh/server/echo/api"
	"poosh/server/hub"
	"poosh/server/sends"
)

// sentByAPI is who sent an event of the HTTP API, as operators are told.
const sentByAPI = "api"

// Publish implements [api.Dialect].
func (d door) Publish(ctx context.Context, e api.Event, explain bool) (sent api.Sent, err error) {
	if why := d.refuses(&e); why != nil {
		if explain {
			why.Cause = hub.RefusedName
		}
		return sent, why
	}
	if explain {
		sent.Account = sends.Explain("", e.Name)
	}
	became := make(chan hub.Handed, 1)
	one := hub.Together(len(e.Channels), func(h hub.Handed) { became <- h })
	for i, channel := range e.Channels {
		id, err := d.send(ctx, &hub.Publication{App: App, Room: channel, Event: e.Name, Data: e.Data, Except: e.Except}, sent.Account, one)
		switch {
		case err != nil && i > 0: // some of its channels may have it: again, it would be there twice
			return sent, hub.ErrUncertain
		case err != nil:
			return sent, err
		}
		sent.ID = cmp.Or(sent.ID, id)
	}
	all := <-became // the hub bounds it
	sent.Handed = all.Took
	if explain {
		sent.Account.ID = sent.ID
	}
	return sent, all.Err
}

// refuses says why no client could get an event for its name or that of a channel; nil for one
// that is good.
func (d door) refuses(e *api.Event) *api.Error {
	if slices.Contains(reserved, e.Name) {
		return &api.Error{Status: http.StatusBadRequest, Text: "Event has a name that clients have for something else"}
	}
	for _, channel := range e.Channels {
		if channel == "" || len(channel) > d.maxName {
			return &api.Error{Status: http.StatusBadRequest, Text: "No client can be in a channel of that name"}
		}
	}
	return nil
}

// send publishes an event to one of its channels, which has become told what became of that, once: in a cluster
// later, and no place of the gate is kept from others meanwhile. An error says that it was not let in.
// An account, unless nil, is told too, which waits for the other processes; once ctx is over it is not.
func (d door) send(ctx context.Context, p *hub.Publication, account *sends.Account, became func(hub.Handed)) (id string, err error) {
	gate := d.process.Gate
	if err := gate.Enter(ctx); err != nil {
		return "", err
	}
	switch {
	case account == nil:
	case ctx.Err() == nil:
		return d.explain(p, account, became), nil
	default:
		account.Skip(p.Room)
	}
	defer gate.Leave() // the hub has it then
	return d.publish(p, sentByAPI, became), nil
}

// explain is send with an account, of what the gate has let in.
func (d door) explain(p *hub.Publication, account *sends.Account, became func(hub.Handed)) (id string) {
	across := d.hub.Across()
	if across {
		d.process.Gate.Leave() // others are not held up for the other processes
	} else {
		defer d.process.Gate.Leave()
	}
	id = d.process.Sends.Next()
	e := d.hub.Explain(p)
	h := e.Handed()
	counted := h.Took
	if across {
		counted = 0 // each process counts its own
	}
	d.traffic.Published(len(p.Data), counted)
	d.tell(id, p, sentByAPI, h)
	if e.Err == nil {
		account.Add(p, e)
	}
	became(h)
	return id
}
