package socktopus

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/respond"
	"poosh/server/rotation"
	"poosh/server/sends"
	"poosh/server/websocket"
)

// A message is one of /send, and comes back in its answer.
type message struct {
	Recipient string `json:"recipient"` // connection id
	Content   string `json:"content"`
}

// A sendAnswer names every message under one heading, in order.
type sendAnswer struct {
	Succeeded []message `json:"succeeded"`
	Failed    []message `json:"failed"`
	// Kept wait for who is between two connections; only with SOCKTOPUS_KEEP.
	Kept []message `json:"kept,omitempty"`
}

// send hands each message to the connection of its recipient. A message failed
// when there is none or its outbox is full. The answer is 200 even if all failed, and
// names the request's id in a header; its messages have ids below that.
func (d *Dialect) send(w http.ResponseWriter, r *http.Request) {
	var b body
	if !d.read(w, r, &b, sendShape) {
		return
	}
	a := d.sender(w, r, &b)
	if a == nil {
		return
	}
	switch err := d.cfg().Gate.Enter(r.Context()); {
	case errors.Is(err, admission.ErrClosed):
		d.refuseForNow(w, r, shuttingDown)
		return
	case err != nil:
		d.refuseForNow(w, r, overloaded)
		return
	}
	id := d.cfg().Sends.Next()
	publish := d.publish
	if d.cfg().Holder != nil {
		publish = d.publishAcross
		d.cfg().Gate.Leave() // others are not held up for the other processes
	} else {
		defer d.cfg().Gate.Leave()
	}
	sent, err := publish(r, a, id, b.messages())
	switch {
	case errors.Is(err, hub.ErrUncertain): // sent again, it may come twice
		d.refuseSender(w, r, uncertain)
		return
	case err != nil:
		d.refuseForNow(w, r, away)
		return
	}
	d.sent.Add(uint64(len(sent.Succeeded)))
	d.failed.Add(uint64(len(sent.Failed)))
	d.log.Debug("socktopus: send", "id", id, "remote", r.RemoteAddr, "app", a.name,
		"succeeded", len(sent.Succeeded), "failed", len(sent.Failed), "kept", len(sent.Kept))
	w.Header()[sends.Header] = []string{id}
	respond.Go.JSON(w, http.StatusOK, sent)
}

const (
	// stride is how many bytes a request publishes before it looks again whether the
	// server keeps up: far less than an outbox holds.
	stride = 8 << 10
	// sendPatience is how long a request may wait for that in all.
	sendPatience = 10 * time.Second
)

// publish hands messages to their recipients, in order. The caller is inside the gate.
// What one request holds may be more than an outbox does, so it waits on its way like
// a new one would; when the server does not catch up, the rest has failed.
func (d *Dialect) publish(r *http.Request, a *app, id string, messages []message) (answer sendAnswer, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), sendPatience)
	defer cancel()
	answer = sendAnswer{Succeeded: []message{}, Failed: []message{}}
	published := 0
	for i, m := range messages {
		if published > stride {
			if d.cfg().Gate.Pause(ctx) != nil {
				answer.Failed = append(answer.Failed, messages[i:]...)
				return answer, nil
			}
			published = 0
		}
		published += len(m.Content) + loop.Cost(nil)
		took, kept := d.hand(a, m)
		if d.cfg().Sends.Watched() {
			d.report(a, sends.Item(id, i), m, took, r.RemoteAddr)
		}
		switch {
		case took > 0:
			answer.Succeeded = append(answer.Succeeded, m)
		case kept:
			answer.Kept = append(answer.Kept, m)
		default:
			answer.Failed = append(answer.Failed, m)
		}
	}
	return answer, nil
}

// hand hands a message to its recipient, and returns how many took it, or that it is kept
// for one who is away.
func (d *Dialect) hand(a *app, m message) (took int, kept bool) {
	if !d.fits(m) {
		return 0, false
	}
	p := &hub.Publication{App: a.room, Room: m.Recipient, Data: []byte(m.Content)}
	took = d.hub.Publish(p)
	if took == 0 {
		again := false
		if kept, again = d.keep(a, m); again { // it came back in between, or does not read
			took = d.hub.Publish(p)
		}
	}
	a.traffic.Published(len(m.Content), took)
	return took, kept
}

// report tells those who watch of a message.
func (d *Dialect) report(a *app, id string, m message, took int, from string) {
	var content []byte
	if d.cfg().Sends.Followed() {
		content, _ = json.Marshal(m.Content) // a string always can be JSON
	}
	d.cfg().Sends.Report(sends.Send{
		ID: id, Dialect: "socktopus", App: a.name, Room: m.Recipient, Size: len(m.Content), Handed: took, From: from, Payload: content,
	})
}

// fits reports whether a message can be written at all. One that is larger than an
// outbox would only cost its recipient the connection; a body holds such a content
// when broken bytes in it have become U+FFFD.
func (d *Dialect) fits(m message) bool {
	most := d.cfg().Outbox
	return most == 0 || websocket.HeaderSpace+len(dataText)+len(m.Content)+loop.Cost(nil) <= most
}

// kick ends the connections of the ids named and answers once none of them can
// come back with a token it had. Ids that are not connected are skipped.
func (d *Dialect) kick(w http.ResponseWriter, r *http.Request) {
	var b body
	if !d.read(w, r, &b, kickShape) {
		return
	}
	a := d.sender(w, r, &b)
	if a == nil {
		return
	}
	places := d.rules.Load().kicks
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	default:
		w.Header().Set("Retry-After", "5")
		d.refuseSender(w, r, tooManyKicks)
		return
	}
	if d.cfg().Holder != nil {
		d.kickAcross(w, r, a, b.connections())
		return
	}
	waits := d.bar(a, b.connections())
	d.log.Debug("socktopus: kick", "remote", r.RemoteAddr, "app", a.name, "connected", len(waits))
	for _, over := range waits {
		<-over // closed by a timer or by Shutdown
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Second))
	respond.Go.JSON(w, http.StatusOK, http.StatusOK) // the original answers with the number
}

// sender finds the application whose secret a body holds, or answers by itself. A
// list that is too long is its business alone, so a stranger does not learn of it.
func (d *Dialect) sender(w http.ResponseWriter, r *http.Request, b *body) *app {
	by := d.rules.Load()
	a := by.apps[fold(decodeSecret(b.secretName))]
	if a == nil {
		d.refuseSender(w, r, noSecret)
		return nil
	}
	good, old := a.secrets.Load().good(func(secret string) error { return auth.SocktopusSecret(decodeSecret(b.secret), secret) })
	if !good {
		d.refuseSender(w, r, wrongSecret)
		return nil
	}
	if old {
		a.old.Used(rotation.Sender, r.RemoteAddr)
	}
	a.traffic.Requested(int(r.ContentLength))
	http1.CountFor(w, &a.traffic)
	if b.count > by.MaxMessages {
		d.refuseSender(w, r, tooManyElements)
		return nil
	}
	return a
}

// refuseForNow answers 503 to a sender who may try again.
func (d *Dialect) refuseForNow(w http.ResponseWriter, r *http.Request, why refusal) {
	w.Header().Set("Retry-After", admission.RetryAfter)
	d.refuseSender(w, r, why)
}

func (d *Dialect) refuseSender(w http.ResponseWriter, r *http.Request, why refusal) {
	d.refused.Add(why, 1)
	status, message := d.answer(why)
	d.log.Warn("socktopus: request refused", "remote", r.RemoteAddr, "path", r.URL.Path, "status", status, "reason", message)
	writeError(w, status, message)
}
