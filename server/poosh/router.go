package poosh

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
)

// This file imports chi although the routes of all ports are drawn in one place,
// server/routes.go: what a path means depends here on the body and the token before
// it, in an order that belongs to the dialect, and the router holds that order.

// sendPath is where events are posted.
const sendPath = "/send"

// Router returns the handler of SERVER_PORT, to be served as it is or mounted at the
// root. Mounted deeper it would see the wrong paths.
//
// chi compares paths as they were sent, in the case they were sent, so
// [API.normalize] gives the spellings of /send that express took one name first.
func (a *API) Router() chi.Router {
	r := chi.NewRouter()
	r.Use(a.authenticate, a.normalize)
	r.Post(sendPath, a.send)
	for _, path := range []string{sendPath, "/*"} {
		r.Get(path, a.read)
		r.Head(path, a.read)
	}
	r.Options(sendPath, allow("POST,GET,HEAD"))
	r.Options("/*", allow("GET,HEAD"))
	r.NotFound(a.notFound)
	r.MethodNotAllowed(a.notFound) // the Node server had no 405
	return r
}

// normalize names the route of a request: /send in any case and with one slash
// behind it is /send. express compares the path as it was sent, so /%73end is not,
// and answers 400 where decodeURIComponent throws.
func (a *API) normalize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		// RawPath is empty when the path was sent as it decodes.
		case r.URL.RawPath == "" && equalFold(strings.TrimSuffix(r.URL.Path, "/"), sendPath):
			chi.RouteContext(r.Context()).RoutePath = sendPath
		case !decodable(r.URL):
			a.refuse(w, r, badPath, nil)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// decodable reports whether a path is ASCII that decodes to UTF-8. That its percent
// signs are in order net/http has seen to.
func decodable(u *url.URL) bool {
	for i := range len(u.RawPath) {
		if u.RawPath[i] >= utf8.RuneSelf {
			return false
		}
	}
	return utf8.ValidString(u.Path)
}

// read answers GET and HEAD.
func (a *API) read(w http.ResponseWriter, r *http.Request) { a.refuse(w, r, readOnly, nil) }

func (a *API) notFound(w http.ResponseWriter, r *http.Request) { a.refuse(w, r, notFound, nil) }

// allow answers OPTIONS as express does, with the methods in header and body.
func allow(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", methods)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(methods))
	}
}
