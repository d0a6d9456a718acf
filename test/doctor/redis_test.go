package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

const redisPassword = "hush-six-of-the-redis"

// Applications by what they answer somebody of whom they know nothing.
var applications = map[string]http.HandlerFunc{
	"forbids":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
	"asks who":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) },
	"has no token": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 419) },
	"has a login":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html><title>Login</title>") },
	"redirects":    func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
	"is elsewhere": http.NotFound,
	"fails":        func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
	"hangs up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"lets in": func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"channel_data":{"user_id":1,"user_info":{}}}`)
	},
}

// startPages starts a server of pages with Laravel Echo whose application answers a stranger so, with
// what more it is told.
func startPages(t *testing.T, application string, more ...string) *station {
	t.Helper()
	redis := redistest.Start(t, "--requirepass", redisPassword)
	app := httptest.NewServer(applications[application])
	t.Cleanup(app.Close)
	s := &station{dir: t.TempDir(), pki: newAuthority(t)}
	at := "redis://:" + redisPassword + "@" + redis.Addr
	env := append([]string{"ECHO_REDIS=" + at, "ECHO_AUTH_URL=" + app.URL + "/broadcasting/auth", "PING_INTERVAL=2s", "SHUTDOWN_TIMEOUT=2s"}, more...)
	for i, line := range env {
		env[i] = strings.ReplaceAll(line, "REDIS_HERE", at)
	}
	s.first = process.Start(t, program, "ECHO_PORT", env...)
	env = append(env, fmt.Sprint("ECHO_PORT=", s.first.Port), "HOST=127.0.0.1")
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(strings.Join(env, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// answering is a look at a server whose application answers so.
func answering(application string) func(t *testing.T, s *station) (*station, []string) {
	return func(t *testing.T, _ *station) (*station, []string) {
		s := startPages(t, application)
		return s, []string{s.first.URL()}
	}
}

// changed is a look by who has another setting than the server.
func changed(text, other string) func(t *testing.T, s *station) (*station, []string) {
	return func(t *testing.T, _ *station) (*station, []string) {
		s := startPages(t, "forbids", "ECHO_PREFIX=app_")
		return s.with(t, text, other), []string{s.first.URL()}
	}
}

// What is well of pages with Laravel Echo, and of emitters of socket.io, is told, each of it.
func TestRedisIsWell(t *testing.T) {
	pages := startPages(t, "forbids")
	senders, clients := process.FreePort(t), process.FreePort(t)
	both := startPages(t, "asks who", "SERVER_SECRET="+secret, fmt.Sprint("SERVER_PORT=", senders), fmt.Sprint("CLIENT_PORT=", clients), "EMITTER_REDIS=REDIS_HERE", "EMITTER_KEY=app", "ECHO_PREFIX=*")
	unasked := startPages(t, "has no token", "ECHO_ORIGINS="+page)
	echo := []string{"ECHO_REDIS answers", "an event of Laravel Echo arrives", "the application of Laravel Echo lets no stranger"}
	emitters := []string{"EMITTER_REDIS answers", "an event of an emitter of socket.io arrives", "an event of socket.io arrives"}
	local := fmt.Sprint("http://127.0.0.1:", clients)
	rows := []flagged{
		{"Laravel Echo", pages, nil, 0, echo, "", "", pages.first.URL()},
		{"Laravel Echo of some pages", unasked, nil, 0, append([]string{"cross-origin: a handshake"}, echo...), "", "", unasked.first.URL()},
		{"emitters, without --laravel-echo", both, nil, 0, emitters, "", "an event of Laravel Echo: it has a port of its own: say --laravel-echo", local},
		{"emitters and Laravel Echo", both, []string{"--laravel-echo", both.first.URL()}, 0, append(emitters, echo...), "", "", local},
		{"no application", pages.with(t, "ECHO_AUTH_URL=", "NOT_ECHO_AUTH_URL="), nil, 0, echo[:2], "", "ECHO_AUTH_URL is not set", pages.first.URL()},
		{"no Redis from here", pages.with(t, "ECHO_REDIS=redis://:"+redisPassword+"@127.0.0.1:", "ECHO_REDIS=redis://:"+redisPassword+"@127.0.0.9:"), nil, 0, echo[2:], "", "nothing can be published with ECHO_REDIS from here", pages.first.URL()},
		{"a server without it", both.with(t, "ECHO_REDIS=", "NOT_ECHO_REDIS="), []string{"--laravel-echo", local}, 0, emitters, "", "--laravel-echo is for a server with ECHO_PORT", local},
	}
	together(t, len(rows), func(i int) string { return rows[i].name }, func(i int) error { return rows[i].look(rows[i].at) })
}
