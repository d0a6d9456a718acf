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
	hand := d.hand
	if explain {
		sent.Account = sends.Explain("", e.Name)
		hand = func(ctx context.Context, p *hub.Publication) (string, int, error) {
			return d.explain(ctx, p, sent.Account)
		}
	}
	for _, channel := range e.Channels {
		id, took, err := hand(ctx, &hub.Publication{App: App, Room: channel, Event: e.Name, Data: e.Data, Except: e.Except})
		switch {
		case err != nil && sent.ID != "": // to some of its channels: again, it would be there twice
			return sent, hub.ErrUncertain
		case err != nil:
			return sent, err
		}
		sent.ID = cmp.Or(sent.ID, id)
		if took < 0 || sent.Handed < 0 {
			sent.Handed = -1 // of one channel nobody knows, so of all
		} else {
			sent.Handed += took
		}
	}
	if explain {
		sent.Account.ID = sent.ID
	}
	return sent, nil
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

// hand publishes one event, and waits until it is known what became of it, which the hub bounds.
// took is negative where nobody counts.
func (d door) hand(ctx context.Context, p *hub.Publication) (id string, took int, err error) {
	if err := d.process.Gate.Enter(ctx); err != nil {
		return "", 0, err
	}
	became := make(chan hub.Handed, 1)
	id = d.send(p, became)
	h := <-became
	return id, h.Took, h.Err
}

// send publishes one event that the gate has let in, and leaves that: the hub has it, and others are not
// held up for the other processes. became is told what became of the event.
func (d door) send(p *hub.Publication, became chan<- hub.Handed) (id string) {
	defer d.process.Gate.Leave()
	return d.publish(p, sentByAPI, func(h hub.Handed) { became <- h })
}

// explain is hand for who wants to know what became of the event: account is told.
func (d door) explain(ctx context.Context, p *hub.Publication, account *sends.Account) (id string, took int, err error) {
	gate, across := d.process.Gate, d.hub.Across()
	if err := gate.Enter(ctx); err != nil {
		return "", 0, err
	}
	if across {
		gate.Leave() // others are not held up for the other processes
	} else {
		defer gate.Leave()
	}
	id = d.process.Sends.Next()
	e := d.hub.Explain(p)
	took = e.Took
	if e.Uncounted {
		took = -1
	}
	counted := took
	if across {
		counted = 0 // each process counts its own
	}
	d.traffic.Published(len(p.Data), counted)
	d.tell(id, p, sentByAPI, hub.Handed{Took: took, Nodes: e.Nodes, Err: e.Err})
	if e.Err == nil {
		account.Add(p, e)
	}
	return id, took, e.Err
}
