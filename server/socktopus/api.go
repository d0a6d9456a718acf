package socktopus

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/wire"
)

// A message is one of /send, and comes back in its answer.
type message struct {
	Recipient string `json:"recipient"` // connection id
	Content   string `json:"content"`
}

// A sendBody is what /send takes; a missing list is an empty one.
type sendBody struct {
	SecretName string    `json:"secretName"`
	Secret     string    `json:"secret"`
	Messages   []message `json:"messages"`
}

// A sendAnswer names every message under one heading, in order.
type sendAnswer struct {
	Succeeded []message `json:"succeeded"`
	Failed    []message `json:"failed"`
}

// A kickBody is what /kick takes.
type kickBody struct {
	SecretName  string   `json:"secretName"`
	Secret      string   `json:"secret"`
	Connections []string `json:"connections"`
}

// send hands each message to the connection of its recipient. A message failed
// when there is none or its outbox is full. The answer is 200 even if all failed.
func (d *Dialect) send(w http.ResponseWriter, r *http.Request) {
	var body sendBody
	if !d.read(w, r, &body) {
		return
	}
	a := d.sender(w, r, body.SecretName, body.Secret)
	if a == nil {
		return
	}
	if d.cfg.MaxBacklog > 0 && d.loop.Backlog() > d.cfg.MaxBacklog {
		w.Header().Set("Retry-After", "1")
		d.refuseSender(w, r, http.StatusServiceUnavailable, "Too much is waiting to be written")
		return
	}
	answer := sendAnswer{Succeeded: []message{}, Failed: []message{}}
	for _, m := range body.Messages {
		if d.fits(m) && d.hub.Publish(&hub.Publication{App: a.room, Room: seatName(m.Recipient), Data: []byte(m.Content), Text: true}) > 0 {
			answer.Succeeded = append(answer.Succeeded, m)
		} else {
			answer.Failed = append(answer.Failed, m)
		}
	}
	d.count("messages sent", len(answer.Succeeded))
	d.count("messages failed", len(answer.Failed))
	d.log.Debug("socktopus: send", "remote", r.RemoteAddr, "app", a.name,
		"succeeded", len(answer.Succeeded), "failed", len(answer.Failed))
	writeJSON(w, http.StatusOK, answer)
}

// fits reports whether a message can be written at all. One that is larger than an
// outbox would only cost its recipient the connection; a body holds such a content
// when broken bytes in it have become U+FFFD.
func (d *Dialect) fits(m message) bool {
	return d.cfg.Outbox == 0 || wire.HeaderSpace+len(dataText)+len(m.Content) <= d.cfg.Outbox
}

// kick ends the connections of the ids named and answers once none of them can
// come back with a token it had. Ids that are not connected are skipped.
func (d *Dialect) kick(w http.ResponseWriter, r *http.Request) {
	var body kickBody
	if !d.read(w, r, &body) {
		return
	}
	a := d.sender(w, r, body.SecretName, body.Secret)
	if a == nil {
		return
	}
	select {
	case d.kicks <- struct{}{}:
		defer func() { <-d.kicks }()
	default:
		w.Header().Set("Retry-After", "5")
		d.refuseSender(w, r, http.StatusServiceUnavailable, "Too many requests to /kick are waiting")
		return
	}
	waits := d.bar(a, body.Connections)
	d.log.Debug("socktopus: kick", "remote", r.RemoteAddr, "app", a.name, "connected", len(waits))
	for _, over := range waits {
		<-over // closed by a timer or by Shutdown
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Second))
	writeJSON(w, http.StatusOK, http.StatusOK) // the original answers with the number
}

// read takes the JSON object that a sender posts: unknown fields and wrong types
// are refused, names match in any case, and what follows the object is ignored
// (the original, encoding/json with DisallowUnknownFields). It answers by itself
// when it reports false.
func (d *Dialect) read(w http.ResponseWriter, r *http.Request, body any) bool {
	in := http.MaxBytesReader(w, r.Body, int64(d.cfg.MaxBody))
	dec := json.NewDecoder(&objectOnly{in: in})
	dec.DisallowUnknownFields()
	err := dec.Decode(body)
	var tooBig *http.MaxBytesError
	switch {
	case err == nil:
		// The server bounds how long a body may take; /kick may wait longer.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		return true
	case errors.As(err, &tooBig):
		d.refuseSender(w, r, http.StatusRequestEntityTooLarge, "Request too large")
	default:
		d.refuseSender(w, r, http.StatusBadRequest, "Malformed request")
	}
	return false
}

// objectOnly fails for a text that does not begin as a JSON object: encoding/json
// would take null for an empty one.
type objectOnly struct {
	in   io.Reader
	seen bool // the opening brace
}

var errNoObject = errors.New("not a JSON object")

func (o *objectOnly) Read(p []byte) (int, error) {
	n, err := o.in.Read(p)
	for i := 0; i < n && !o.seen; i++ {
		switch p[i] {
		case ' ', '\t', '\r', '\n':
		case '{':
			o.seen = true
		default:
			return 0, errNoObject
		}
	}
	return n, err
}

// sender finds the application that a sender names, or answers by itself.
func (d *Dialect) sender(w http.ResponseWriter, r *http.Request, name, secret string) *app {
	a := d.apps[fold(name)]
	if a == nil {
		d.refuseSender(w, r, http.StatusNotFound, "Secret not found")
		return nil
	}
	if auth.SocktopusSecret(secret, a.secret) != nil {
		d.refuseSender(w, r, http.StatusUnauthorized, "Invalid secret")
		return nil
	}
	return a
}

func (d *Dialect) refuseSender(w http.ResponseWriter, r *http.Request, status int, message string) {
	d.count("refused: "+message, 1)
	d.log.Warn("socktopus: request refused", "remote", r.RemoteAddr, "path", r.URL.Path, "status", status, "reason", message)
	writeError(w, status, message)
}
