package pusher

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/quota"
	"poosh/server/rate"
)

// segments splits an escaped path, each part decoded by itself, so that %2F in a
// channel's name is no separator. One slash at the end is nothing.
func segments(path string) ([]string, bool) {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		plain, err := url.PathUnescape(p)
		if err != nil {
			return nil, false
		}
		parts[i] = plain
	}
	return parts, true
}

// A call is one signed request.
type call struct {
	ctx   context.Context // ends with the request
	d     *Dialect
	app   *app
	query auth.PusherQuery
	body  []byte // empty for a GET
	args  []string
}

// A route is an address of the API below its app; * is any one segment, which the
// handler finds in args.
type route struct {
	method  string
	pattern string
	handle  func(*call) (reply, error)
}

// A reply is the body of a good answer in pieces, which are made as they are
// written: what lists channels or users is never in memory as a whole. A piece is
// good until the next is asked for.
type reply = iter.Seq[[]byte]

// whole is a reply of one piece.
func whole(b []byte) reply { return func(yield func([]byte) bool) { yield(b) } }

// empty is the reply when there is nothing to say.
var empty = whole([]byte("{}"))

var routes = []route{
	{http.MethodPost, "events", (*call).events},
	{http.MethodPost, "batch_events", (*call).batchEvents},
	{http.MethodPost, "users/*/events", (*call).userEvents},
	{http.MethodGet, "channels", (*call).channels},
	{http.MethodGet, "channels/*", (*call).channel},
	{http.MethodGet, "channels/*/users", (*call).channelUsers},
	{http.MethodPost, "users/*/terminate_connections", (*call).terminate},
	{http.MethodPost, "users/*/force_reconnect", (*call).forceReconnect},
	{http.MethodGet, "connections", (*call).connections},
}

// match compares a path with a pattern and returns what stands for the stars.
func match(pattern string, path []string) ([]string, bool) {
	var args []string
	for i, want := range strings.Split(pattern, "/") {
		switch {
		case i >= len(path):
			return nil, false
		case want == "*":
			args = append(args, path[i])
		case want != path[i]:
			return nil, false
		}
	}
	return args, len(path) == strings.Count(pattern, "/")+1
}

// findRoute returns the route for a method and path below the app.
func findRoute(w http.ResponseWriter, method string, path []string) (*route, []string, error) {
	var allowed []string
	for i := range routes {
		args, ok := match(routes[i].pattern, path)
		if ok && routes[i].method == method {
			return &routes[i], args, nil
		}
		if ok {
			allowed = append(allowed, routes[i].method)
		}
	}
	if allowed == nil {
		return nil, nil, errNoRoute
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	return nil, nil, &apiError{status: http.StatusMethodNotAllowed, code: "method_not_allowed",
		text: "want " + strings.Join(allowed, " or ")}
}

// api answers a request below /apps, or below /users, where an old Python library
// posts terminate_connections and leaves the app to be known by its key.
func (d *Dialect) api(w http.ResponseWriter, r *http.Request, parts []string) {
	if r.Method == http.MethodOptions {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Requested-With, Accept")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := d.serve(w, r, parts)
	if err != nil {
		d.fail(w, err)
		return
	}
	d.stream(w, body)
}

// serve finds the app, the route and the signature, in that order, then the body:
// nobody's is read before the rest of the request is known to be signed.
func (d *Dialect) serve(w http.ResponseWriter, r *http.Request, parts []string) (reply, error) {
	if err := d.limit(w, d.apiLimit, "api address", r.RemoteAddr); err != nil {
		return nil, err
	}
	query, err := auth.ParsePusherQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	key, _ := query.Get("auth_key")
	var a *app
	below := parts
	if parts[0] == "users" {
		if a = d.byKey[key]; a == nil {
			return nil, &apiError{status: http.StatusUnauthorized, code: "auth_failed", text: "no app has this auth_key"}
		}
	} else {
		if len(parts) < 2 {
			return nil, errNoRoute
		}
		if a = d.apps[parts[1]]; a == nil {
			return nil, errNoApp
		}
		below = parts[2:]
	}
	rt, args, err := findRoute(w, r.Method, below)
	if err != nil {
		return nil, err
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
	c := &call{ctx: r.Context(), d: d, app: a, query: query, args: args}
	if c.body, err = d.read(w, r, query); err != nil {
		return nil, err
	}
	return rt.handle(c)
}

// limit asks a limiter and writes what it says into the answer's headers. It counts
// what is over the limit under the limiter's name.
func (d *Dialect) limit(w http.ResponseWriter, l *rate.Limiter, name, remote string) error {
	a := l.Take(remote)
	tell(w.Header(), a)
	if a.OK {
		return nil
	}
	d.counts.add("rate limited "+name, 1)
	return &apiError{status: http.StatusTooManyRequests, code: "rate_limited",
		text: "too many requests", retry: max(a.Retry, time.Second)}
}

// tell writes the headers of an allowance, unless a tighter one has been written.
// Sockudo has the names; seconds are rounded up.
func tell(h http.Header, a rate.Allowance) {
	if a.Limit == 0 {
		return
	}
	if old, err := strconv.Atoi(h.Get("X-RateLimit-Remaining")); err == nil && old < a.Remaining {
		return
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(a.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(a.Remaining))
	h.Set("X-RateLimit-Reset", seconds(a.Reset))
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
func (d *Dialect) health(w http.ResponseWriter, r *http.Request, parts []string) {
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
