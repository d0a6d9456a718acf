package api

import (
	"net/http"
	"strings"

	"poosh/server/pusher/answer"
	"poosh/server/route"
)

// A handler answers a call.
type handler func(*call) (reply, error)

// Mount mounts the API below /apps, and what is about a user below /users too, where an
// old Python library posts terminate_connections and leaves the app to be known by its
// key.
func (a *API) Mount(r *route.Router) {
	r.Wrong(a.wrongMethod)
	for _, at := range []struct {
		method, path string // below the app; {of} is a channel or user
		handle       handler
	}{
		{http.MethodPost, "/events", (*call).events},
		{http.MethodPost, "/batch_events", (*call).batchEvents},
		{http.MethodPost, "/users/{of}/events", (*call).userEvents},
		{http.MethodGet, "/channels", (*call).channels},
		{http.MethodGet, "/channels/{of}", (*call).channel},
		{http.MethodGet, "/channels/{of}/users", (*call).channelUsers},
		{http.MethodGet, "/channels/{of}/history", (*call).history},
		{http.MethodPost, "/users/{of}/terminate_connections", (*call).terminate},
		{http.MethodPost, "/users/{of}/force_reconnect", (*call).forceReconnect},
		{http.MethodGet, "/connections", (*call).connections},
	} {
		by := route.Methods{at.method: a.answers(at.handle), http.MethodOptions: preflight}
		r.On("/apps/{app}"+at.path, by)
		if strings.HasPrefix(at.path, "/users/") {
			r.On(at.path, by)
		}
	}
}

// answers has a handler answer requests.
func (a *API) answers(handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := a.serve(w, r, handle, nil)
		switch {
		case err == nil:
			a.stream(w, body)
		case err != errElsewhere:
			a.answer.Fail(w, err)
		}
	}
}

// Nothing answers for a path below /apps or /users that is not there.
func (a *API) Nothing(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	_, err := a.serve(w, r, nil, answer.ErrNoRoute)
	a.answer.Fail(w, err)
}

// wrongMethod answers for a path that is there.
func (a *API) wrongMethod(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	wanted, _, _ := strings.Cut(h.Get("Allow"), ",")
	no := &answer.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Text: "want " + wanted}
	_, err := a.serve(w, r, nil, no)
	if err != no { // whether there is such a path is for those who may know
		h.Del("Allow")
	}
	a.answer.Fail(w, err)
}

// preflight answers what a browser asks before a request of another origin.
func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Requested-With, Accept")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}
