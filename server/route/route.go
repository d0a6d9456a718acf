// Package route has chi route the requests of every port: each dialect mounts what it
// serves in one function, and says what name a path goes by there.
//
// # Why
//
// chi compares paths as they were sent, to the letter; dialects differ in what they
// take for the same path. So a router is made with the function that names paths, and
// its routes are written in names. And chi takes three allocations for the state of a
// request, a copy of it among them; where many small requests are served that state
// comes with the request, see [Context].
package route

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// A Router serves a port. It must not be mounted in another one.
type Router struct {
	*chi.Mux
	wrong http.HandlerFunc
}

// New returns a router whose routes are for the names that name gives to requests: the
// path to look for, or the empty text for the path as it was sent.
func New(name func(*http.Request) string) *Router {
	mux := chi.NewRouter()
	mux.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			state := chi.RouteContext(r.Context())
			state.RoutePath = name(r)
			if !slices.Contains(methods, r.Method) {
				state.RouteMethod = strange
			}
			next.ServeHTTP(w, r)
		})
	})
	return &Router{mux, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) }}
}

// Decoded names a request by its path with all escapes decoded.
func Decoded(r *http.Request) string { return r.URL.Path }

// ServeHTTP serves a request, with the state that it comes with if that is from
// [Context].
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if state := chi.RouteContext(r.Context()); state != nil {
		state.Reset()
		state.Routes = rt.Mux
	}
	rt.Mux.ServeHTTP(w, r)
}

// Context returns a context for requests that are served one after the other, each by
// a [Router]: the router's state for them.
func Context() context.Context {
	return context.WithValue(context.Background(), chi.RouteCtxKey, chi.NewRouteContext())
}

// methods are those that routes may be for, in the order in which Allow names them.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// strange stands for every other method: chi would not look at the path for one that it
// does not know.
const strange = http.MethodTrace

// Methods are what a path answers, by method.
type Methods map[string]http.HandlerFunc

// On mounts what a path answers. Other methods than these are for [Router.Wrong], with
// the header Allow naming these, also where a route with a part for anything would
// answer them.
func (rt *Router) On(path string, by Methods) {
	var allow []string
	for _, method := range methods {
		if by[method] != nil {
			allow = append(allow, method)
		}
	}
	list := strings.Join(allow, ", ")
	rt.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", list)
		rt.wrong(w, r)
	})
	for _, method := range allow {
		rt.Method(method, path, by[method])
	}
}

// Wrong sets what answers requests of a method that their path does not take. Without
// it the status is 405.
func (rt *Router) Wrong(answer http.HandlerFunc) { rt.wrong = answer }

// Parts returns what stands between the slashes of a request's name, decoded.
func Parts(r *http.Request) []string {
	parts := strings.Split(strings.TrimPrefix(chi.RouteContext(r.Context()).RoutePath, "/"), "/")
	for i := range parts {
		parts[i] = Plain(parts[i])
	}
	return parts
}

// Plain decodes a part of a path, which net/http has seen to be in order.
func Plain(part string) string {
	text, err := url.PathUnescape(part)
	if err != nil {
		return part
	}
	return text
}

// Param returns what stands in a request's name for a part of its route, such as
// "app" of "/apps/{app}", decoded.
func Param(r *http.Request, part string) string { return Plain(chi.URLParam(r, part)) }
