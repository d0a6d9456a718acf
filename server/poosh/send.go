package poosh

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"poosh/server/admission"
	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/respond"
	"poosh/server/rotation"
	"poosh/server/sends"
)

// send answers POST /send.
func (a *API) send(w http.ResponseWriter, r *http.Request, m *message) {
	pub, why := publication(m)
	if why != accepted {
		a.refuse(w, r, m, why, nil)
		return
	}
	if key := r.Header[idempotency.Header]; key != nil {
		a.sendOnce(w, r, m, pub, key)
		return
	}
	a.publish(w, r, m, pub, nil)
}

// publish publishes an event, once the server keeps up, and answers. The claim is settled
// then; it is given back where nothing was published.
func (a *API) publish(w http.ResponseWriter, r *http.Request, m *message, pub *hub.Publication, claim *idempotency.Claim) {
	later := false // the claim is with who hears what becomes of the event
	defer func() {
		if !later {
			claim.Release()
		}
	}()
	elsewhere, err := a.gate.EnterOr(r.Context(), func() bool { return http1.Aside(w) })
	if elsewhere {
		return
	}
	if err != nil {
		a.refuse(w, r, m, notAdmitted(err), err)
		return
	}
	if m.old {
		a.previous.Used(rotation.Sender, r.RemoteAddr)
	}
	across := a.hub.Across()
	switch {
	case asksWhy(r) && across:
		a.gate.Leave() // others are not held up for the other processes
		a.explain(w, r, a.sends.Next(), m, pub, claim)
		return
	case across:
		later = true
		a.publishAcross(w, r, m, pub, claim)
		return
	}
	defer a.gate.Leave()
	id := a.sends.Next()
	if asksWhy(r) {
		a.explain(w, r, id, m, pub, claim)
		return
	}
	delivered := a.hub.Publish(pub)
	claim.Settle(idempotency.Answer{ID: id, Handed: delivered}) // before anything else, which may fail
	a.note(r, id, m, pub, delivered)
	header := w.Header()
	setSent(header, id, delivered)
	header["Content-Length"] = noLength
	w.WriteHeader(http.StatusOK)
}

// notAdmitted is why the gate lets nobody in.
func notAdmitted(err error) reason {
	if errors.Is(err, admission.ErrAway) {
		return away
	}
	return overloaded
}

// asksWhy reports whether a sender wants to know what becomes of its event.
func asksWhy(r *http.Request) bool {
	return r.URL.RawQuery != "" && sends.Asked(r.URL.Query().Get("explain"))
}

// setSent tells the sender the event's id, and how many connections were handed it. Both
// headers are in one allocation.
func setSent(header http.Header, id string, delivered int) {
	values := []string{strconv.Itoa(delivered), id}
	header[sends.DeliveredHeader] = values[:1:1]
	header[sends.Header] = values[1:]
}

// explain publishes, and answers what became of the event.
func (a *API) explain(w http.ResponseWriter, r *http.Request, id string, m *message, pub *hub.Publication, claim *idempotency.Claim) {
	e := a.hub.Explain(pub)
	if why := unsent(e.Err); why != accepted {
		settleUncertain(claim, id, why)
		a.refuse(w, r, m, why, e.Err)
		return
	}
	took := e.Handed().Took
	defer claim.Settle(idempotency.Answer{ID: id, Handed: took, Nodes: e.Nodes}) // where what follows fails: it is out
	account := sends.Explain(id, pub.Event)
	account.Add(pub, e)
	body := respond.Go.Body(account)
	claim.Settle(idempotency.Answer{ID: id, Handed: took, Nodes: e.Nodes, Account: body})
	a.note(r, id, m, pub, took)
	if a.hub.Across() {
		w.Header()[sends.Header] = []string{id}
		if took >= 0 { // all have said
			w.Header()[sends.DeliveredHeader] = []string{strconv.Itoa(took)}
		}
		setNodes(w.Header(), e.Nodes)
	} else {
		setSent(w.Header(), id, e.Took)
	}
	respond.Go.Bytes(w, http.StatusOK, body)
}

// note counts an event that was sent, and tells the log and those who watch. delivered is negative where
// nobody knows how many took it.
func (a *API) note(r *http.Request, id string, m *message, pub *hub.Publication, delivered int) {
	a.traffic.Requested(m.size())
	counted := delivered
	if a.hub.Across() {
		counted = 0 // each process counts its own
	}
	a.traffic.Published(len(pub.Data), counted)
	a.tell(id, pub, r.RemoteAddr, delivered, a.log.Enabled(r.Context(), slog.LevelDebug))
}

// tell tells the log, if it wants to know, and those who watch of an event that was sent. took is
// negative where nobody knows how many took it.
func (a *API) tell(id string, pub *hub.Publication, remote string, took int, debug bool) {
	if a.sends.Watched() {
		a.sends.Report(sends.Send{ID: id, Dialect: dialectName, Room: pub.Room, Everyone: pub.Everyone, Event: pub.Event,
			Size: len(pub.Data), Handed: max(0, took), Uncounted: took < 0, From: remote, Payload: pub.Data})
	}
	if !debug {
		return
	}
	attrs := []slog.Attr{slog.String("id", id), slog.String("event", clip(pub.Event)), slog.Bool("everyone", pub.Everyone),
		slog.String("room", clip(pub.Room)), slog.Int("bytes", len(pub.Data))}
	if took >= 0 {
		attrs = append(attrs, slog.Int("delivered", took))
	}
	a.log.LogAttrs(context.Background(), slog.LevelDebug, "sent", append(attrs, slog.String("remote", remote))...)
}
