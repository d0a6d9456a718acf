// Package api is Pusher's HTTP API: applications publish and ask who listens, with
// signed requests (Pusher Channels, "HTTP API reference"; what it leaves open, and the
// form of errors, as in Sockudo). It knows apps and no client's protocol.
package api

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/http1"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/quota"
	"poosh/server/rate"
	"poosh/server/rotation"
	"poosh/server/route"
	"poosh/server/sends"
)

// A Config is what an operator may choose.
type Config struct {
	Prefix       string          // of paths, such as "/push", which may have been signed or not
	MaxBodyBytes int             // of one request
	Rate         rate.Rate       // requests of one address
	Gate         *admission.Gate // of publications; nil admits everything
}

// An API answers signed requests. Make one with [New]; its methods may be called from
// any goroutine.
type API struct {
	prefix string // set once, as what follows
	gate   *admission.Gate
	apps   *app.List
	answer answer.Writer

	rules atomic.Pointer[rules] // never nil
}

// A rules is what requests go by until the settings are read again.
type rules struct {
	maxBody int
	limit   *rate.Limiter // by address; nil without one
}

// New makes an API of some apps.
func New(cfg Config, apps *app.List, w answer.Writer) *API {
	a := &API{prefix: cfg.Prefix, gate: cfg.Gate, apps: apps, answer: w}
	a.rules.Store(new(rules))
	a.Change(cfg)
	return a
}

// Change has other bounds count for requests that come from now on; Prefix and Gate are not
// looked at.
func (a *API) Change(cfg Config) {
	a.rules.Store(&rules{cfg.MaxBodyBytes, a.Limit().Follow(rate.PerAddress(cfg.Rate))})
}

// Limit is what bounds the requests of each address; nil without.
func (a *API) Limit() *rate.Limiter { return a.rules.Load().limit }

var (
	errOtherKey = &answer.Error{Status: http.StatusUnauthorized, Code: "auth_failed", Text: "auth_key is not the key of this app"}
	errDisabled = &answer.Error{Status: http.StatusForbidden, Code: "forbidden", Text: "the app is disabled"}
	// errElsewhere is no answer: the request is served again where it may wait.
	errElsewhere = errors.New("the request is served elsewhere")
	errBodyTime  = &answer.Error{Status: http.StatusRequestTimeout, Code: "timeout", Text: "the body did not arrive"}
)

// A call is one signed request.
type call struct {
	ctx   context.Context // ends with the request
	api   *API
	app   *app.App
	conf  *app.Config // of the app, as it is when the request comes
	query auth.PusherQuery
	body  []byte // empty for a GET
	of    string // the channel or user that it is about
	from  string // the sender's address
	head  http.Header
	w     http.ResponseWriter

	id          string           // of the send, once it is accepted
	out         bool             // the last event has been published to the last of its channels
	batch       bool             // it has events with ids below that
	accounts    []*sends.Account // of its events, where the sender asked what becomes of them
	handing     *handing         // what became of its events, in a cluster
	unexplained []unexplained    // what is left to be published, in a cluster
}

// aside reports whether the call is on a goroutine that must not wait. Then the handler
// returns errElsewhere, having done nothing, and is called again where it may.
func (c *call) aside() bool { return http1.Aside(c.w) }

// A reply is the body of a good answer in pieces, which are made as they are
// written: what lists channels or users is never in memory as a whole. A piece is
// good until the next is asked for.
type reply = iter.Seq[[]byte]

// whole is a reply of one piece.
func whole(b []byte) reply { return func(yield func([]byte) bool) { yield(b) } }

// empty is the reply when there is nothing to say.
var empty = whole([]byte("{}"))

// serve finds the app, a reason why there is no handler, and the signature, in that
// order, then the body: nobody's is read before the rest of the request is known to be
// signed.
func (a *API) serve(w http.ResponseWriter, r *http.Request, handle handler, none error) (reply, error) {
	by := a.rules.Load()
	if err := a.answer.Limit(w, by.limit, r.RemoteAddr); err != nil {
		return nil, err
	}
	query, err := auth.ParsePusherQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	key, _ := query.Get("auth_key")
	of, err := a.appOf(route.Parts(r), key)
	if err != nil {
		return nil, err
	}
	if none != nil {
		return nil, none
	}
	conf := of.Conf()
	if key != conf.Key && key != "" {
		return nil, errOtherKey
	}
	signed := auth.PusherRequest{Method: r.Method, Path: r.URL.EscapedPath(), Prefix: a.prefix, Query: query}
	old, err := check(&signed, conf)
	if err != nil {
		return nil, err
	}
	http1.CountFor(w, of)
	if of.Disabled() {
		return nil, errDisabled
	}
	limit := of.APILimit()
	if err := a.answer.Limit(w, limit, r.RemoteAddr); err != nil {
		return nil, err
	}
	c := &call{ctx: r.Context(), api: a, app: of, conf: conf, query: query, of: route.Param(r, "of"), from: r.RemoteAddr, head: r.Header, w: w}
	if c.body, err = a.read(w, r, query, by.maxBody); err != nil {
		return nil, err
	}
	body, err := handle(c)
	if err == errElsewhere { // it will ask again
		by.limit.Return(r.RemoteAddr)
		limit.Return(r.RemoteAddr)
		return nil, err
	}
	if old {
		of.Previous.Used(rotation.Sender, r.RemoteAddr)
	}
	of.Requested(len(c.body))
	if c.id != "" {
		w.Header()[sends.Header] = []string{c.id}
	}
	return body, err
}

// check says whether a request is signed with the app's secret, or with its previous one.
func check(signed *auth.PusherRequest, conf *app.Config) (old bool, err error) {
	now := time.Now()
	if err = signed.Check(conf.Secret, now); err == nil || conf.PreviousSecret == "" {
		return false, err
	}
	if signed.Check(conf.PreviousSecret, now) == nil {
		return true, nil
	}
	return false, err
}

// appOf finds the app that a path is about, or the one of a key.
func (a *API) appOf(path []string, key string) (*app.App, error) {
	if path[0] == "users" {
		if of := a.apps.Key(key); of != nil {
			return of, nil
		}
		return nil, &answer.Error{Status: http.StatusUnauthorized, Code: "auth_failed", Text: "no app has this auth_key"}
	}
	if len(path) < 2 {
		return nil, answer.ErrNoRoute
	}
	if of := a.apps.ID(path[1]); of != nil {
		return of, nil
	}
	return nil, answer.ErrNoApp
}

// read reads a body that the query vouches for.
func (a *API) read(w http.ResponseWriter, r *http.Request, query auth.PusherQuery, most int) ([]byte, error) {
	limit := int64(most)
	if !query.SignsBody() {
		limit = 1 // enough to see that there is one
	}
	tooLong := answer.TooBig("the body is larger than %d bytes; the limit is the server's for one request", most)
	if r.ContentLength > int64(most) {
		return nil, tooLong
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big) && limit > 1:
		return nil, tooLong
	case errors.Is(err, quota.ErrFull):
		return nil, err
	case err != nil && big == nil:
		return nil, errBodyTime
	}
	if err := query.CheckBody(body); err != nil {
		return nil, err
	}
	return body, nil
}

// chunkBytes is about how much of a long answer is written at once.
const chunkBytes = 32 << 10

// stream writes a good answer. A client that is gone needs no more of it.
func (a *API) stream(w http.ResponseWriter, body reply) {
	a.answer.Begin(w, http.StatusOK)
	var chunk []byte
	for piece := range body {
		if chunk = append(chunk, piece...); len(chunk) < chunkBytes {
			continue
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
		chunk = chunk[:0]
	}
	if len(chunk) > 0 {
		_, _ = w.Write(chunk)
	}
}
