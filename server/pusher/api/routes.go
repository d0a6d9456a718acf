package api

import (
	"net/http"
	"strings"

	"poosh/server/pusher/answer"
)

// A route is an address of the API below its app; * is any one segment, which the
// handler finds in args.
type route struct {
	method  string
	pattern string
	handle  func(*call) (reply, error)
}

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
		return nil, nil, answer.ErrNoRoute
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	return nil, nil, &answer.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
		Text: "want " + strings.Join(allowed, " or ")}
}
