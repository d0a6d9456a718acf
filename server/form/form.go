// Package form sends an event that an operator has written down, as a sender of its
// dialect would: it signs a request with the secret that the operator typed and hands it to
// the dialect's own API, which judges it as it judges every other. So this is no way to
// publish without the secret that a dialect asks for, and what becomes of the event is what
// that API says. Nothing is kept, and no secret is logged.
//
// It starts no goroutine.
package form

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"poosh/server/dialect"
	"poosh/server/respond"
	"poosh/server/sends"
)

// A Dialect is one that may be sent to.
type Dialect struct {
	// Sign makes the request; nil where senders sign with keys of their own.
	Sign func(dialect.Form) (*dialect.Request, error)
	// Serve has the handlers of its ports, by their settings.
	Serve map[string]http.Handler
}

// A Sender sends. Make one with the dialects by their names; its methods may be called
// from any goroutine.
type Sender map[string]Dialect

// maxAnswer bounds what is told of an API's answer.
const maxAnswer = 1 << 20

// A form is the body of a request.
type form struct {
	Dialect string          `json:"dialect"`
	App     string          `json:"app"`
	Secret  string          `json:"secret"`
	Room    *string         `json:"room"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

// Sent is what the dialect said.
type Sent struct {
	Status    int             `json:"status"`    // of HTTP
	ID        string          `json:"id"`        // of the send; empty for one that was refused
	Delivered *int            `json:"delivered"` // connections that took it; nil where the dialect does not say
	Answer    json.RawMessage `json:"answer"`    // null for none
}

// Serve answers POST with what became of an event. It reports whether the secret was
// wrong, which is answered 403: whoever mounts it slows down who guesses, and has asked for
// the operators' token before.
func (s Sender) Serve(w http.ResponseWriter, r *http.Request) (wrong bool) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		// Also since a page of elsewhere can send forms, and no JSON without being asked.
		respond.Go.Error(w, http.StatusUnsupportedMediaType, "want application/json")
		return false
	}
	f, err := read(r.Body)
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		respond.Go.Error(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("want %d bytes at the most", large.Limit))
		return false
	}
	var to http.Handler
	var req *http.Request
	refuses := 0
	if err == nil {
		to, req, refuses, err = s.request(f)
	}
	if err != nil {
		respond.Go.Error(w, http.StatusBadRequest, err.Error())
		return false
	}
	said := ask(r, to, req)
	if said.status == refuses {
		respond.Go.Error(w, http.StatusForbidden, "the secret is not that of the app")
		return true
	}
	respond.Go.JSON(w, http.StatusOK, said.sent())
	return false
}

// read reads the body of a request: one object, in which every member is known.
func read(body io.Reader) (f form, err error) {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err = dec.Decode(&f); err != nil {
		return f, fmt.Errorf("the form: %w", err)
	}
	if _, err = dec.Token(); err != io.EOF {
		return f, errors.New("the form: something follows it")
	}
	if f.Secret == "" {
		return f, errors.New("secret: want the one that senders of the app sign with")
	}
	return f, nil
}

// request makes the request of a form, and finds who serves it. refuses is how a wrong secret is
// answered.
func (s Sender) request(f form) (to http.Handler, req *http.Request, refuses int, err error) {
	d, known := s[f.Dialect]
	switch {
	case !known:
		return nil, nil, 0, errors.New("dialect: it is not on")
	case d.Sign == nil:
		return nil, nil, 0, errors.New("dialect: its senders sign with keys of their own")
	}
	made, err := d.Sign(dialect.Form{App: f.App, Secret: f.Secret, Room: f.Room, Event: f.Event, Payload: compact(f.Payload)})
	if err != nil {
		return nil, nil, 0, err
	}
	target, err := url.ParseRequestURI(made.Target)
	if err != nil {
		return nil, nil, 0, err
	}
	return d.Serve[made.Port], &http.Request{
		Method: made.Method, URL: target, RequestURI: made.Target, Host: "localhost", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: made.Header, Body: io.NopCloser(bytes.NewReader(made.Body)), ContentLength: int64(len(made.Body)),
	}, cmp.Or(made.Wrong, http.StatusUnauthorized), nil
}

// compact has no blanks between the parts of a payload, as JSON in JSON has none.
func compact(payload json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(payload) == 0 || json.Compact(&b, payload) != nil {
		return payload
	}
	return b.Bytes()
}

// ask has a handler serve a request, as one of the operator's address.
func ask(operator *http.Request, to http.Handler, req *http.Request) *said {
	// Not the operator's own context, which has what the operators' port keeps in it.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(operator.Context(), cancel)()
	req = req.WithContext(ctx)
	req.RemoteAddr = operator.RemoteAddr
	s := &said{header: make(http.Header), status: http.StatusOK}
	to.ServeHTTP(s, req)
	return s
}

// said is an answer that is kept in memory. It implements [http.ResponseWriter].
type said struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (s *said) Header() http.Header { return s.header }

func (s *said) WriteHeader(status int) {
	if !s.wrote {
		s.wrote, s.status = true, status
	}
}

func (s *said) Write(p []byte) (int, error) {
	s.wrote = true
	s.body.Write(p[:min(len(p), maxAnswer-s.body.Len())])
	return len(p), nil
}

// sent tells of an answer.
func (s *said) sent() *Sent {
	out := &Sent{Status: s.status, ID: s.header.Get(sends.Header)}
	text := s.body.Bytes()
	switch {
	case len(text) == 0:
	case json.Valid(text):
		out.Answer = text
	default:
		out.Answer, _ = json.Marshal(string(text)) // a string always can be JSON
	}
	if n, err := strconv.Atoi(s.header.Get(sends.DeliveredHeader)); err == nil {
		out.Delivered = &n
		return out
	}
	var account struct{ Handed *int }
	if json.Unmarshal(text, &account) == nil {
		out.Delivered = account.Handed
	}
	return out
}
