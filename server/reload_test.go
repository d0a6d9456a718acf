package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/certificate/certificatetest"
	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/server/setting"
	"poosh/server/systemd/systemdtest"
)

// A written is settings that somebody writes anew while a server runs.
type written struct {
	reading func()       // called before it is read; nil for nothing
	log     *slog.Logger // of the server; nil for none

	mu  sync.Mutex // guards env
	env map[string]string
}

func write(env map[string]string) *written {
	w := &written{env: map[string]string{"HOST": "127.0.0.1", "SERVER_SECRET": testSecret, "CLIENT_PORT": "0", "SERVER_PORT": "0",
		"BACKLOG_BYTES": "64MiB", "ROOM_BYTES": "16MiB"}}
	maps.Copy(w.env, env)
	return w
}

// set writes settings; an empty one is none.
func (w *written) set(pairs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i < len(pairs); i += 2 {
		w.env[pairs[i]] = pairs[i+1]
	}
}

func (w *written) source() source {
	if w.reading != nil {
		w.reading()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	env := maps.Clone(w.env)
	return source{env: setting.Environment{Lookup: lookupIn(env), Names: slices.Sorted(maps.Keys(env))}}
}

// serve starts a server of what is written.
func (w *written) serve(t *testing.T) *running {
	t.Helper()
	cfg, err := readFrom(w.source)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, cmp.Or(w.log, discard))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: s, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }() // ends with stop
	t.Cleanup(func() {
		stop()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	})
	until(t, "the ports to open", func() bool { return len(s.Addrs()) >= 2 })
	r.client, r.sender = s.Addrs()["CLIENT_PORT"].String(), s.Addrs()["SERVER_PORT"].String()
	return r
}

// reload reads again what is written, and wants no mistakes.
func (r *running) reload(t *testing.T) *Reloaded {
	t.Helper()
	done, err := r.Reload(false)
	if err != nil || len(done.Errors) > 0 {
		t.Fatalf("%v, %+v", err, done)
	}
	return done
}

func namesOf(list []Finding) (names []string) {
	for _, f := range list {
		names = append(names, f.Setting)
	}
	return names
}

// status is what a send is answered that is signed with a secret.
func (r *running) status(t *testing.T, secret, body string) int {
	t.Helper()
	var m struct{ Payload json.RawMessage }
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+r.sender+"/send", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth.PooshSign(secret, m.Payload))
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

const (
	smallEvent   = `{"event":"e","room":"r","payload":1}`
	secondSecret = "the-second-secret-of-poosh"
)

// The previous secret is as good as the new one until it is taken away, and who uses it is
// counted.
func TestPreviousSecret(t *testing.T) {
	w := write(map[string]string{"ADMIN_PORT": "0"})
	r := w.serve(t)
	ws := r.listen(t, "r")
	want := func(what string, first, second int) {
		t.Helper()
		if a, b := r.status(t, testSecret, smallEvent), r.status(t, secondSecret, smallEvent); a != first || b != second {
			t.Errorf("%s: %d with the first secret and %d with the second, want %d and %d", what, a, b, first, second)
		}
	}
	counted := func() string {
		var all []string
		for _, m := range r.metrics() {
			if m.Name == "previous_secret_total" {
				for _, s := range m.Samples {
					all = append(all, fmt.Sprint(strings.Join(s.Labels, " "), " ", s.Value))
				}
			}
		}
		return strings.Join(all, ", ")
	}
	want("before", 200, 401)
	w.set("SERVER_SECRET", secondSecret, "SERVER_SECRET_PREVIOUS", testSecret)
	if got := namesOf(r.reload(t).Changed); !slices.Equal(got, []string{"SERVER_SECRET", "SERVER_SECRET_PREVIOUS"}) {
		t.Errorf("changed: %v", got)
	}
	if got := counted(); !strings.Contains(got, "socket.io sender 0") {
		t.Errorf("nobody has used it, and %s", got)
	}
	want("both", 200, 200)
	if got := counted(); !strings.Contains(got, "socket.io sender 1") {
		t.Errorf("it was used once, and %s", got)
	}
	w.set("SERVER_SECRET_PREVIOUS", "")
	r.reload(t)
	want("after", 401, 200)
	for range 4 { // of the client that was there all the time
		r.hear(t, ws, `42["e",1]`)
	}
}

// What is wrong anywhere changes nothing anywhere, and is all named, without secrets.
func TestReloadOfMistakes(t *testing.T) {
	dir := t.TempDir()
	apps := filepath.Join(dir, "apps.json")
	put := func(text string) {
		if err := os.WriteFile(apps, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const good = `{"apps":[{"id":"1","key":"key","secret":"0123456789-secret"}]}`
	put(good)
	a := certificatetest.New(t)
	a.Write(dir, "a.example")
	cert := filepath.Join(dir, "cert.pem")
	w := write(map[string]string{"PUSHER_APPS": apps, "PUSHER_PORT": "0", "TLS_CERT": cert, "TLS_KEY": filepath.Join(dir, "key.pem"), "MAX_ROOMS": "10"})
	r := w.serve(t)
	before := r.config()
	for _, row := range []struct {
		name  string
		broke func()
		names []string
	}{
		{"settings", func() {
			w.set("MAX_ROOMS", "many", "CLIENT_ORIGINS", "nowhere", "SERVER_SECRET", "short")
		}, []string{"SERVER_SECRET", "CLIENT_ORIGINS", "MAX_ROOMS"}},
		{"the file of apps", func() { put("{") }, []string{"PUSHER_APPS"}},
		{"no file of apps", func() { os.Remove(apps) }, []string{"PUSHER_APPS"}},
		{"the certificate", func() {
			if err := os.WriteFile(cert, []byte("rubbish"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"TLS_CERT"}},
		{"everything off", func() { w.set("SERVER_SECRET", "", "PUSHER_APPS", "") }, []string{"SERVER_SECRET"}},
		{"what does not go with what stays", func() { w.set("BACKLOG_BYTES", "2GiB", "OUTBOX_BYTES", "1GiB") }, []string{"BACKLOG_BYTES"}},
	} {
		row.broke()
		w.set("MAX_ROOM_NAME_BYTES", "100")
		done, err := r.Reload(false)
		if err != nil || len(done.Changed)+len(done.Restart) > 0 || !slices.Equal(namesOf(done.Errors), row.names) {
			t.Errorf("%s: %v, %+v; want mistakes with %v and nothing else", row.name, err, done, row.names)
		}
		if text := fmt.Sprint(done); strings.Contains(text, "0123456789-secret") || strings.Contains(text, testSecret) {
			t.Errorf("%s: it shows a secret: %s", row.name, text)
		}
		if r.config() != before {
			t.Errorf("%s: something has changed", row.name)
		}
		put(good)
		a.Write(dir, "a.example")
		w.set("MAX_ROOMS", "10", "CLIENT_ORIGINS", "", "SERVER_SECRET", testSecret, "PUSHER_APPS", apps, "BACKLOG_BYTES", "64MiB", "OUTBOX_BYTES", "", "MAX_ROOM_NAME_BYTES", "")
	}
	if got := r.reload(t).Changed; len(got) > 0 && !slices.Equal(namesOf(got), []string{"TLS_CERT"}) {
		t.Errorf("all is as it was, and changed: %v", got)
	}
}

// A dry run says what would be, and changes nothing.
func TestDryRun(t *testing.T) {
	var log logtest.Buffer
	w := write(nil)
	w.log = slog.New(slog.NewTextHandler(&log, nil))
	r := w.serve(t)
	log.Take() // what the start says
	before := r.config()
	w.set("MAX_ROOMS", "10", "PING_INTERVAL", "9s")
	done, err := r.Reload(true)
	if err != nil || !done.DryRun || len(done.Changed) != 1 || done.Changed[0].Text != `MAX_ROOMS is "10", was 200` ||
		len(done.Restart) != 1 || !strings.HasPrefix(done.Restart[0].Text, `PING_INTERVAL is "9s", was 25s: needs a restart`) {
		t.Errorf("%v, %+v", err, done)
	}
	if r.config() != before {
		t.Error("something has changed")
	}
	if files, ok := fileLimit(); ok && files < 1_000_000 {
		w.set("MAX_CONNECTIONS", "1000000")
		if done, err = r.Reload(true); err != nil || !slices.ContainsFunc(done.Warnings, func(f Finding) bool {
			return f.Setting == "MAX_CONNECTIONS" && strings.Contains(f.Text, "is 1000000, and lowered to ")
		}) {
			t.Errorf("%v, %+v", err, done)
		}
		w.set("MAX_CONNECTIONS", "")
	}
	if text := log.Take(); strings.Contains(text, "open files") {
		t.Errorf("a dry run has logged\n%s", text)
	}
	if done = r.reload(t); len(done.Changed) != 1 || r.config().Value("MAX_ROOMS") != 10 || r.config().Value("PING_INTERVAL") != 25*time.Second {
		t.Errorf("%+v", done)
	}
}

// another is a value of each setting that is neither its default nor what the test starts
// with. A setting that has none here is one that nobody has thought of.
var another = map[string]string{
	"CLIENT_PORT": "18000", "SERVER_PORT": "18001", "SERVER_SECRET": secondSecret, "SERVER_SECRET_PREVIOUS": "the-secret-before-that", "CLIENT_ORIGINS": "https://a.example",
	"MAX_BODY_BYTES": "2KiB", "MAX_ROOMS": "3", "MAX_ROOM_NAME_BYTES": "20",
	"PUSHER_APP_ID": "", "PUSHER_APP_KEY": "another", "PUSHER_APP_SECRET": "another-secret-of-pusher", "PUSHER_APP_SECRET_PREVIOUS": "previous-secret-of-pusher",
	"PUSHER_APPS": "", "PUSHER_PORT": "16001", "PUSHER_PATH_PREFIX": "/p", "BRIDGE": "1",
	"PUSHER_CLIENT_EVENTS": "on", "PUSHER_SUBSCRIPTION_COUNT": "on", "PUSHER_WATCHLIST": "on", "PUSHER_AUTHORIZE_CONNECTIONS": "on", "PUSHER_AUTHORIZE_TIMEOUT": "3s",
	"PUSHER_TERMINATE_PRESENCE_MEMBERS": "on", "PUSHER_ALLOWED_ORIGINS": "a.example", "PUSHER_WEBHOOK_URL": "http://127.0.0.1:9/",
	"PUSHER_MAX_CONNECTIONS": "5", "PUSHER_MAX_CHANNELS": "6", "PUSHER_MAX_EVENT_BYTES": "700", "PUSHER_MAX_EVENT_CHANNELS": "8", "PUSHER_MAX_BATCH": "9",
	"PUSHER_MAX_MEMBERS": "11", "PUSHER_MAX_USER_INFO_BYTES": "12", "PUSHER_MAX_MESSAGE_BYTES": "2KiB", "PUSHER_MAX_BODY_BYTES": "3KiB",
	"PUSHER_CLIENT_EVENT_RATE": "3/1s", "PUSHER_SUBSCRIBE_RATE": "4/1s", "PUSHER_API_RATE": "5/1s", "PUSHER_API_RATE_PER_ADDRESS": "6/1s",
	"PUSHER_CONNECT_RATE": "7/1s", "PUSHER_CONNECT_RATE_PER_ADDRESS": "8/1s", "PUSHER_ACTIVITY_TIMEOUT": "9s", "PUSHER_PONG_TIMEOUT": "10s",
	"PUSHER_CACHE_TTL": "11s", "PUSHER_CACHE_BYTES": "2KiB", "PUSHER_WEBHOOK_QUEUE": "13", "PUSHER_HISTORY": "4m", "PUSHER_HISTORY_BYTES": "6MiB", "PUSHER_HISTORY_EVENTS": "7",
	"NAME_SOCKTOPUS_SECRET": "another-secret-of-socktopus", "NAME_SOCKTOPUS_SECRET_PREVIOUS": "previous-secret-of-socktopus",
	"PORT": "18081", "SOCKTOPUS_PORT": "18080", "SOCKTOPUS_ORIGINS": "a.example", "SOCKTOPUS_READ_TIMEOUT": "3s", "SOCKTOPUS_MAX_BODY_BYTES": "2KiB",
	"SOCKTOPUS_MAX_MESSAGE_BYTES": "3KiB", "SOCKTOPUS_MAX_MESSAGES": "4", "SOCKTOPUS_MAX_KICKS": "5", "SOCKTOPUS_KEEP": "on", "SOCKTOPUS_KEEP_BYTES": "6MiB",
	"ECHO_REDIS": "redis://127.0.0.1:9", "ECHO_PORT": "18083", "ECHO_PREFIX": "other_", "ECHO_AUTH_URL": "https://other.example/broadcasting/auth", "ECHO_AUTH_TIMEOUT": "3s",
	"ECHO_AUTH_CONCURRENCY": "4", "ECHO_AUTH_QUEUE": "5", "ECHO_AUTH_MAX_BYTES": "6KiB", "ECHO_ORIGINS": "https://a.example", "ECHO_KEYS": "id:another-key",
	"ECHO_API_ORIGIN": "https://a.example", "ECHO_PRESENCE_GRACE": "7s", "ECHO_DATA_SOCKET": "keep", "ECHO_PUBLISH_PRESENCE": "on", "ECHO_MAX_CHANNELS": "8", "ECHO_MAX_CHANNEL_BYTES": "90",
	"ECHO_MAX_MEMBERS": "10", "ECHO_MAX_MEMBER_BYTES": "2KiB", "ECHO_CLIENT_EVENT_RATE": "11/1s", "ECHO_MAX_MESSAGE_BYTES": "12KiB",
	"PUSH_SOCKET_PORT": "18082", "PUSH_SOCKET_DB": "other.db", "PUSH_SOCKET_DB_MAX_BYTES": "2GiB", "PUSH_SOCKET_KEYS_PERCENT": "3", "PUSH_SOCKET_STORE_TIMEOUT": "4s",
	"PUSH_SOCKET_MESSAGES_PER_DEVICE": "5", "PUSH_SOCKET_BYTES_PER_DEVICE": "6KiB", "PUSH_SOCKET_SENDER_PERCENT": "7", "PUSH_SOCKET_STRANGERS_PERCENT": "8",
	"PUSH_SOCKET_CONTACTS_PER_DEVICE": "9", "PUSH_SOCKET_WHEN_FULL": "drop", "PUSH_SOCKET_MAX_AGE": "11m", "PUSH_SOCKET_MAX_PREKEYS": "12", "PUSH_SOCKET_MAX_KEY_BYTES": "130",
	"PUSH_SOCKET_KEY_BYTES_PER_DEVICE": "14KiB", "PUSH_SOCKET_MAX_IDENTITIES": "15", "PUSH_SOCKET_UNUSED_AGE": "16h", "PUSH_SOCKET_IDLE_AGE": "49h",
	"PUSH_SOCKET_REGISTRATIONS": "3/1h", "PUSH_SOCKET_KEY_FETCHES": "4/1h", "PUSH_SOCKET_REQUESTS": "5/1h", "PUSH_SOCKET_ORIGINS": "https://a.example",
	"PUSH_SOCKET_NO_PREKEYS_STATUS": "200", "PUSH_SOCKET_OPERATOR_TOKEN": "another-token-of-operators", "PUSH_SOCKET_MAX_BODY_BYTES": "2KiB", "PUSH_SOCKET_MAX_RECIPIENTS": "3",
	"PUSH_SOCKET_MAX_TRIES": "4", "PUSH_SOCKET_AUTH_TIMEOUT": "5s", "PUSH_SOCKET_MAX_EVENTS": "60",
	"PING_INTERVAL": "3s", "PING_TIMEOUT": "4s", "UPGRADE_TIMEOUT": "5s", "CONNECT_TIMEOUT": "6s", "MAX_PACKET_BYTES": "7KiB", "MAX_UNFINISHED_PER_ADDRESS": "8",
	"SOCKETIO_RECOVERY": "on", "CLIENT_SCRIPT": "https://a.example/x.js",
	"HISTORY": "3m", "HISTORY_BYTES": "5MiB", "HISTORY_EVENTS": "6", "HISTORY_SESSION_BYTES": "7MiB", "HISTORY_FILE": "history", "IDEMPOTENCY_TTL": "3m", "IDEMPOTENCY_KEYS": "4", "IDEMPOTENCY_BYTES": "5MiB",
	"EMITTER_REDIS": "redis://127.0.0.1:9", "EMITTER_KEY": "other", "EMITTER_REQUESTS": "on", "EMITTER_ROOMS": "5",
	"CLUSTER_REDIS": "redis://127.0.0.1:9", "CLUSTER_PREFIX": "other", "CLUSTER_WHEN_DOWN": "local", "CLUSTER_ADDR": "127.0.0.1:9", "CLUSTER_SECRET": "another-secret-of-nodes",
	"CLUSTER_LEASE": "11s", "CLUSTER_TIMEOUT": "3s", "CLUSTER_BACKLOG": "5MiB", "CLUSTER_QUEUE_BYTES": "33MiB",
	"HOST": "127.0.0.2", "TRUSTED_PROXIES": "10.0.0.0/8", "MAX_CONNECTIONS": "30", "MAX_CONNECTIONS_PER_ADDRESS": "4", "MAX_SENDER_CONNECTIONS": "50",
	"MAX_SENDER_CONNECTIONS_PER_ADDRESS": "6", "INPUT_BYTES": "7MiB", "ROOM_BYTES": "8MiB", "OUTBOX_BYTES": "9MiB", "BACKLOG_BYTES": "70MiB",
	"HEADER_TIMEOUT": "3s", "BODY_TIMEOUT": "4s", "IDLE_TIMEOUT": "5s", "WRITE_TIMEOUT": "6s", "SHUTDOWN_TIMEOUT": "7s", "DRAIN_DELAY": "1s", "DRAIN_TIME": "2s",
	"TLS_CERT": "", "TLS_KEY": "", "TLS_DOMAINS": "a.example", "ACME_CA": "https://a.example/", "ACME_CA_ROOT": "", "ACME_EMAIL": "a@a.example", "ACME_DIR": "elsewhere",
	"ACME_HTTP_PORT": "81", "TLS_SENDERS": "on", "TLS_CLIENT_CA": "",
	"ADMIN_PORT": "19000", "ADMIN_HOST": "127.0.0.3", "ADMIN_TOKEN": "another-admin-token", "ADMIN_PPROF": "on", "LOG_LEVEL": "debug", "LOG_FORMAT": "json",
}

// inCluster has only what can be in a cluster be on.
var inCluster = []string{"PUSHER_APP_ID", "", "PUSHER_APP_KEY", "", "PUSHER_APP_SECRET", "", "PUSHER_PORT", "", "A_SOCKTOPUS_SECRET", "", "SOCKTOPUS_PORT", "",
	"PUSH_SOCKET_PORT", "", "PUSH_SOCKET_DB", "", "ECHO_REDIS", "", "ECHO_PORT", "", "ECHO_AUTH_URL", ""}

// Each setting that there is either counts once it is read again, or is named as what needs
// a restart and stays.
func TestReloadOfEachSetting(t *testing.T) {
	dir := t.TempDir()
	a := certificatetest.New(t)
	a.Write(dir, "a.example")
	other := filepath.Join(dir, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	a.Write(other, "b.example")
	apps := filepath.Join(dir, "apps.json")
	if err := os.WriteFile(apps, []byte(`{"apps":[{"id":"7","key":"seven","secret":"0123456789-secret"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	start := map[string]string{"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": "0123456789-secret", "PUSHER_PORT": "0",
		"A_SOCKTOPUS_SECRET": "0123456789-secret", "SOCKTOPUS_PORT": "0", "PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(dir, "x.db"), "MAX_BODY_BYTES": "1KiB",
		"ECHO_REDIS": "redis://127.0.0.1:1", "ECHO_PORT": "0", "ECHO_AUTH_URL": "http://127.0.0.1:1/broadcasting/auth",
		"TLS_CERT": filepath.Join(dir, "cert.pem"), "TLS_KEY": filepath.Join(dir, "key.pem"), "ADMIN_PORT": "0", "ADMIN_TOKEN": "the-first-admin-token", "SHUTDOWN_TIMEOUT": "5s"}
	w := write(start)
	r := w.serve(t)
	for _, s := range Settings() {
		value, known := another[s.Name]
		if !known {
			t.Errorf("%s: give it another value here", s.Name)
			continue
		}
		pairs := []string{s.Name, value}
		switch s.Name {
		case "NAME_SOCKTOPUS_SECRET", "NAME_SOCKTOPUS_SECRET_PREVIOUS":
			pairs[0] = "A" + strings.TrimPrefix(s.Name, "NAME")
		case "PUSHER_APPS":
			pairs[1] = apps
		case "PUSHER_APP_ID":
			pairs[1] = "2"
		case "TLS_CERT", "TLS_KEY":
			pairs = []string{"TLS_CERT", filepath.Join(other, "cert.pem"), "TLS_KEY", filepath.Join(other, "key.pem")}
		case "TLS_CLIENT_CA", "ACME_CA_ROOT":
			pairs[1] = filepath.Join(dir, "cert.pem")
		case "TLS_DOMAINS":
			pairs = append(pairs, "TLS_CERT", "", "TLS_KEY", "")
		case "HISTORY_FILE":
			pairs = append(pairs, "HISTORY", "3m")
		case "CLUSTER_REDIS", "CLUSTER_ADDR", "CLUSTER_SECRET":
			pairs = append(pairs, inCluster...)
			if s.Name != "CLUSTER_REDIS" {
				pairs = append(pairs, "CLUSTER_REDIS", another["CLUSTER_REDIS"])
			}
		case "EMITTER_REQUESTS":
			pairs = append(pairs, "EMITTER_REDIS", another["EMITTER_REDIS"])
		case "SOCKTOPUS_PORT", "PORT":
			pairs = []string{"SOCKTOPUS_PORT", "", s.Name, value}
		}
		before := make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			before[pairs[i]] = w.env[pairs[i]]
		}
		w.set(pairs...)
		done, err := r.Reload(true)
		if err != nil || len(done.Errors) > 0 {
			t.Errorf("%s: %v, %+v", s.Name, err, done)
		} else {
			name := pairs[0]
			switch s.Name {
			case "PORT":
				name = "SOCKTOPUS_PORT" // which it stands for
			case "TLS_KEY":
				name = s.Name
			}
			// Between set and not set, these turn something on.
			reloads := s.Reloads && s.Name != "TLS_CLIENT_CA"
			if slices.Contains(namesOf(done.Changed), name) != reloads || slices.Contains(namesOf(done.Restart), name) == reloads {
				t.Errorf("%s: changed %v, needs a restart %v; want it in one of them, and in the first: %v", s.Name, done.Changed, done.Restart, reloads)
			}
		}
		for name, value := range before {
			w.set(name, value)
		}
	}
	// All at once, and then what counts is what is written, or what was.
	all := make(map[string]string)
	for _, s := range Settings() {
		value := another[s.Name]
		if s.Name == "SHUTDOWN_TIMEOUT" || value == "" || strings.HasPrefix(s.Name, "TLS_") || strings.HasPrefix(s.Name, "NAME_") || s.Name == "PORT" || s.Name == "BRIDGE" ||
			s.Name == "CLUSTER_REDIS" || s.Name == "CLUSTER_ADDR" || s.Name == "CLUSTER_SECRET" {
			continue
		}
		all[s.Name] = value
		w.set(s.Name, value)
	}
	was := r.config()
	r.reload(t)
	now := r.config()
	for _, s := range Settings() {
		if all[s.Name] == "" {
			continue
		}
		if moved := fmt.Sprint(was.Value(s.Name)) != fmt.Sprint(now.Value(s.Name)); moved != s.Reloads {
			t.Errorf("%s: was %v, is %v; want it to change: %v", s.Name, was.Value(s.Name), now.Value(s.Name), s.Reloads)
		}
	}
}

// What bounds connections, bodies, rooms and pages counts for what comes then.
func TestReloadedBounds(t *testing.T) {
	w := write(nil)
	r := w.serve(t)
	ws := r.listen(t, "r")
	large := `{"event":"e","room":"r","payload":"` + strings.Repeat("x", 4000) + `"}`
	if got := r.status(t, testSecret, large); got != 200 {
		t.Fatal(got)
	}
	r.hear(t, ws, `42["e","xxx`)
	dial := func(origin string) int {
		conn, res, err := websocket.DefaultDialer.Dial("ws://"+r.client+"/socket.io/?EIO=3&transport=websocket", http.Header{"Origin": {origin}})
		if err == nil {
			conn.Close()
			return 101
		}
		if res == nil {
			return 0
		}
		return res.StatusCode
	}
	if got := dial("https://b.example"); got != 101 {
		t.Fatal(got)
	}
	w.set("MAX_BODY_BYTES", "2KiB", "CLIENT_ORIGINS", "https://a.example", "INPUT_BYTES", "3MiB", "ROOM_BYTES", "5MiB", "MAX_CONNECTIONS_PER_ADDRESS", "3",
		"MAX_ROOM_NAME_BYTES", "16", "LOG_LEVEL", "debug")
	r.reload(t)
	if got := r.status(t, testSecret, large); got != 413 {
		t.Errorf("a body that is too large now: %d", got)
	}
	if got := r.status(t, testSecret, smallEvent); got != 200 {
		t.Errorf("a small one: %d", got)
	}
	r.hear(t, ws, `42["e",1]`)
	if a, b := dial("https://a.example"), dial("https://b.example"); a != 101 || b != 403 {
		t.Errorf("pages: %d of one that may, %d of one that may not", a, b)
	}
	for _, m := range r.metrics() {
		if want := map[string]float64{"input_limit_bytes": 6 << 20, "room_limit_bytes": 5 << 20}[m.Name]; want > 0 && m.Samples[0].Value != want {
			t.Errorf("%s is %v, want %v", m.Name, m.Samples[0].Value, want)
		}
	}
	if r.cfg.Level().Level() != -4 {
		t.Errorf("the level is %v", r.cfg.Level().Level())
	}
	until(t, "a fourth connection of one address to be refused", func() bool {
		var open []*websocket.Conn
		defer func() {
			for _, c := range open {
				c.Close()
			}
		}()
		for range 3 {
			c, _, err := websocket.DefaultDialer.Dial("ws://"+r.client+"/socket.io/?EIO=3&transport=websocket", nil)
			if err != nil {
				return len(open) == 2 // and the one that is there
			}
			open = append(open, c)
		}
		return false
	})
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`42["room","`+strings.Repeat("n", 17)+`"]`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.ReadMessage(); err == nil {
		t.Error("a name that is too long now is taken")
	}
}

// Who was connected before larger bodies were allowed hears these too.
func TestReloadedOutbox(t *testing.T) {
	f := &appsFile{t: t, path: filepath.Join(t.TempDir(), "apps.json")}
	f.write(`{"id":"1","key":"one","secret":"secret-of-one"}`)
	w := write(map[string]string{"MAX_BODY_BYTES": "2KiB", "OUTBOX_BYTES": "128KiB", "PUSHER_APPS": f.path, "PUSHER_PORT": "0",
		"PUSHER_MAX_EVENT_BYTES": "1KiB", "PUSHER_MAX_MESSAGE_BYTES": "2KiB", "PUSHER_MAX_BODY_BYTES": "4KiB", "PUSHER_MAX_USER_INFO_BYTES": "100", "PUSHER_MAX_MEMBERS": "10",
		"A_SOCKTOPUS_SECRET": "first-secret", "SOCKTOPUS_PORT": "0", "SOCKTOPUS_MAX_BODY_BYTES": "2KiB"})
	r := w.serve(t)
	f.at = r.Addrs()["PUSHER_PORT"].String()
	at := r.Addrs()["SOCKTOPUS_PORT"].String()
	ws, polls, pusher := r.listen(t, "r"), r.poller(t, "r"), f.join("one")
	socktopus, _, err := websocket.DefaultDialer.Dial("ws://"+at+"/recieve?token="+auth.NewSocktopus("a", "first-secret", "1", time.Now()), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socktopus.Close()
	_ = socktopus.SetReadDeadline(time.Now().Add(patience))

	w.set("MAX_BODY_BYTES", "1MiB", "OUTBOX_BYTES", "", "PUSHER_MAX_EVENT_BYTES", "800KiB", "PUSHER_MAX_BODY_BYTES", "1MiB", "SOCKTOPUS_MAX_BODY_BYTES", "1MiB")
	r.reload(t)
	large := strings.Repeat("x", 700_000)
	if got := r.status(t, testSecret, `{"event":"e","room":"r","payload":"`+large+`"}`); got != 200 {
		t.Fatal(got)
	}
	r.hear(t, ws, `42["e","xxx`)
	res, err := http.Get(polls)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), large) {
		t.Errorf("who polls gets %d bytes, %v", len(text), err)
	}
	if got := f.publishes("1", "one", "secret-of-one", `{"name":"e","channel":"x","data":"`+large+`"}`); got != 200 {
		t.Fatal(got)
	}
	f.hears(pusher, large)
	res, err = http.Post("http://"+at+"/send", "application/json", strings.NewReader(`{"secretName":"a","secret":"first-secret","messages":[{"recipient":"1","content":"`+large+`"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	f.hears(socktopus, large)
}

// Two at once both end, one after the other, and what is written last counts.
func TestReloadsAtOnce(t *testing.T) {
	w := write(nil)
	r := w.serve(t)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			w.set("MAX_ROOMS", strconv.Itoa(n+10))
			if done, err := r.Reload(false); err != nil || len(done.Errors) > 0 {
				t.Errorf("%v, %+v", err, done)
			}
		})
	}
	all.Wait()
	r.reload(t)
	if got, want := fmt.Sprint(r.config().Value("MAX_ROOMS")), w.env["MAX_ROOMS"]; got != want {
		t.Errorf("%s counts, and %s is written", got, want)
	}
}

// TestReloadWhileItJoins asks for a reload while the process waits for its engine: it comes behind that, as dialects have
// to do with rooms in it.
func TestReloadWhileItJoins(t *testing.T) {
	redis := redistest.Start(t)
	redis.Kill()
	s, err := New(configured(t, map[string]string{"CLUSTER_REDIS": "redis://" + redis.Addr, "CLUSTER_TIMEOUT": "20s", "CLUSTER_LEASE": "40s"}), discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{Server: s, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }() // ends with stop
	redistest.Until(t, "it is about to join", func() bool {
		free := s.reloading.TryLock()
		if free {
			s.reloading.Unlock()
		}
		return !free
	})
	joined := make(chan bool, 1)
	go func() { // ends with the reload
		_, _ = s.Reload(true)
		joined <- s.joined
	}()
	redis.Run()
	if !<-joined {
		t.Error("the settings were read again before the process had joined its cluster")
	}
	stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// A server that ends reads nothing any more.
func TestReloadWhileItEnds(t *testing.T) {
	w := write(map[string]string{"DRAIN_DELAY": "1s", "SHUTDOWN_TIMEOUT": "3s"})
	r := w.serve(t)
	r.stop()
	until(t, "the end to begin", func() bool { return r.health.Draining() })
	w.set("MAX_ROOMS", "10")
	if done, err := r.Reload(false); err != errEnding {
		t.Errorf("%v, %+v", err, done)
	}
}

// Nor does one that has begun to end while it reads, with which the end would be of two
// configurations; and systemd is not told that it is ready once it knows that it stops.
func TestEndWhileItReloads(t *testing.T) {
	told := systemdtest.Listen(t, 0)
	w := write(map[string]string{"DRAIN_DELAY": "1s", "SHUTDOWN_TIMEOUT": "9s"})
	r := w.serve(t)
	told.Want("READY=1")
	w.set("MAX_ROOMS", "9")
	r.Reread()
	told.WantReload()
	w.set("MAX_ROOMS", "10", "SHUTDOWN_TIMEOUT", "5s")
	w.reading = func() {
		told.WantPrefix("RELOADING=1\nMONOTONIC_USEC=")
		r.stop()
		told.Want("STOPPING=1\nEXTEND_TIMEOUT_USEC=14000000")
	}
	r.Reread()
	if got := r.config().Value("MAX_ROOMS"); got != 9 {
		t.Errorf("settings are read by a server that ends: MAX_ROOMS is %v", got)
	}
	told.Silence(0, 500*time.Millisecond)
}

// Names of Socktopus come, go and have other secrets; who is connected by one that stays
// is not touched.
func TestReloadedSocktopus(t *testing.T) {
	w := write(map[string]string{"A_SOCKTOPUS_SECRET": "first-secret", "B_SOCKTOPUS_SECRET": "secret-of-b", "SOCKTOPUS_PORT": "0"})
	r := w.serve(t)
	at := r.Addrs()["SOCKTOPUS_PORT"].String()
	join := func(name, secret, id string) (*websocket.Conn, error) {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+at+"/recieve?token="+auth.NewSocktopus(name, secret, id, time.Now()), nil)
		if err == nil {
			t.Cleanup(func() { _ = ws.Close() })
			_ = ws.SetReadDeadline(time.Now().Add(patience))
		}
		return ws, err
	}
	sent := func(name, secret string) int {
		res, err := http.Post("http://"+at+"/send", "application/json", strings.NewReader(`{"secretName":"`+name+`","secret":"`+secret+`","messages":[{"recipient":"1","content":"hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	stays, err := join("a", "first-secret", "1")
	if err != nil {
		t.Fatal(err)
	}
	goes, err := join("b", "secret-of-b", "1")
	if err != nil {
		t.Fatal(err)
	}
	w.set("A_SOCKTOPUS_SECRET", "second-secret", "A_SOCKTOPUS_SECRET_PREVIOUS", "first-secret", "B_SOCKTOPUS_SECRET", "", "C_SOCKTOPUS_SECRET", "secret-of-c")
	if got := namesOf(r.reload(t).Changed); !slices.Equal(got, []string{"A_SOCKTOPUS_SECRET", "B_SOCKTOPUS_SECRET", "C_SOCKTOPUS_SECRET", "A_SOCKTOPUS_SECRET_PREVIOUS"}) {
		t.Errorf("changed: %v", got)
	}
	if a, b, c, d := sent("a", "first-secret"), sent("a", "second-secret"), sent("b", "secret-of-b"), sent("c", "secret-of-c"); a != 200 || b != 200 || c == 200 || d != 200 {
		t.Errorf("sends: %d, %d, %d, %d", a, b, c, d)
	}
	for range 2 {
		if _, text, err := stays.ReadMessage(); err != nil || !strings.Contains(string(text), "hello") {
			t.Fatalf("%s, %v", text, err)
		}
	}
	if _, text, err := goes.ReadMessage(); err != nil || !strings.Contains(string(text), "CLOSE") {
		t.Errorf("who is of no name any more hears %q, %v", text, err)
	}
	if _, err := join("a", "first-secret", "2"); err != nil {
		t.Errorf("with the previous secret: %v", err)
	}
	w.set("A_SOCKTOPUS_SECRET_PREVIOUS", "")
	r.reload(t)
	if _, err := join("a", "first-secret", "3"); err == nil {
		t.Error("the previous secret is good for ever")
	}
	if a := sent("a", "first-secret"); a == 200 {
		t.Error("and for senders")
	}
}
