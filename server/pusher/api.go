package pusher

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"poosh/auth"
	"poosh/server/quota"
	"poosh/server/route"
)

// A call is one signed request.
type call struct {
	ctx   context.Context // ends with the request
	d     *Dialect
	app   *app
	query auth.PusherQuery
	body  []byte // empty for a GET
	of    string // the channel or user that it is about
}

// A reply is the body of a good answer in pieces, which are made as they are
// written: what lists channels or users is never in memory as a whole. A piece is
// good until the next is asked for.
type reply = iter.Seq[[]byte]

// whole is a reply of one piece.
func whole(b []byte) reply { return func(yield func([]byte) bool) { yield(b) } }

// empty is the reply when there is nothing to say.
var empty = whole([]byte("{}"))

// A handler answers a call.
type handler func(*call) (reply, error)

// preflight answers what a browser asks before a request of another origin.
func (d *Dialect) preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Requested-With, Accept")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

// api answers a request below /apps, or below /users, where an old Python library
// posts terminate_connections and leaves the app to be known by its key.
func (d *Dialect) api(handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := d.serve(w, r, handle, nil)
		if err != nil {
			d.fail(w, err)
			return
		}
		d.stream(w, body)
	}
}

// serve finds the app, a reason why there is no handler, and the signature, in that
// order, then the body: nobody's is read before the rest of the request is known to be
// signed.
func (d *Dialect) serve(w http.ResponseWriter, r *http.Request, handle handler, none error) (reply, error) {
	if err := d.limit(w, d.apiLimit, "api address", r.RemoteAddr); err != nil {
		return nil, err
	}
	query, err := auth.ParsePusherQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	key, _ := query.Get("auth_key")
	a, err := d.appOf(segments(r), key)
	if err != nil {
		return nil, err
	}
	if none != nil {
		return nil, none
	}
	if key != a.conf.Key && key != "" {
		return nil, errOtherKey
	}
	signed := auth.PusherRequest{Method: r.Method, Path: r.URL.EscapedPath(), Prefix: d.prefix, Query: query}
	if err := signed.Check(a.conf.Secret, time.Now()); err != nil {
		return nil, err
	}
	if a.disabled {
		return nil, errDisabled
	}
	if err := d.limit(w, a.apiLimit, "api app", r.RemoteAddr); err != nil {
		return nil, err
	}
	c := &call{ctx: r.Context(), d: d, app: a, query: query, of: plain(route.Param(r, "of"))}
	if c.body, err = d.read(w, r, query); err != nil {
		return nil, err
	}
	return handle(c)
}

// appOf finds the app that a path is about, or the one of a key.
func (d *Dialect) appOf(path []string, key string) (*app, error) {
	if path[0] == "users" {
		if a := d.byKey[key]; a != nil {
			return a, nil
		}
		return nil, &apiError{status: http.StatusUnauthorized, code: "auth_failed", text: "no app has this auth_key"}
	}
	if len(path) < 2 {
		return nil, errNoRoute
	}
	if a := d.apps[path[1]]; a != nil {
		return a, nil
	}
	return nil, errNoApp
}

// limit asks a limiter and writes what it says into the answer's headers. It counts
// what is over the limit under the limiter's name.
func (d *Dialect) limit(w http.ResponseWriter, l *limiter, name, remote string) error {
	a := l.take(remote)
	a.tell(w.Header())
	if !a.ok {
		d.counts.add("rate limited "+name, 1)
	}
	return a.err()
}

// read reads a body that the query vouches for.
func (d *Dialect) read(w http.ResponseWriter, r *http.Request, query auth.PusherQuery) ([]byte, error) {
	limit := int64(d.cfg.MaxBodyBytes)
	if !query.SignsBody() {
		limit = 1 // enough to see that there is one
	}
	tooLong := tooBig("the body is larger than %d bytes; the limit is the server's for one request", d.cfg.MaxBodyBytes)
	if r.ContentLength > int64(d.cfg.MaxBodyBytes) {
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

// health says whether the server is well: /up for the server, /up/{app id} for an
// app, /live while the process runs. The probes of who had soketi before find what it
// answered: / as /live, /ready, and /accept-traffic, which also says no when there is
// no place for a connection more.
func (d *Dialect) health(w http.ResponseWriter, r *http.Request) {
	parts := segments(r)
	status, text := http.StatusOK, "OK"
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		d.fail(w, &apiError{status: http.StatusMethodNotAllowed, code: "method_not_allowed", text: "want GET"})
		return
	case len(parts) > 2, len(parts) == 2 && (parts[0] != "up" || d.apps[parts[1]] == nil):
		d.fail(w, errNoApp)
		return
	case parts[0] == "live", parts[0] == "":
	case d.draining.Load(), len(parts) == 2 && d.apps[parts[1]].disabled:
		status, text = http.StatusServiceUnavailable, "ERROR"
	case parts[0] == "accept-traffic":
		if d.cfg.MaxConnections > 0 && d.conns.Load() >= int64(d.cfg.MaxConnections) {
			status, text = http.StatusServiceUnavailable, "FULL"
		}
	case d.loop.Behind():
		text = "DEGRADED"
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Health-Check", text)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
