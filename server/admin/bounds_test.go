package admin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/setting"
)

// Guessing is slowed down for each address, also for the right token; others go on.
func TestWrongTokensAreSlowedDown(t *testing.T) {
	r := run(t, Config{Token: testToken}, Parts{Proxies: loopback})
	as := func(address, token string) (*http.Response, string) {
		return r.ask(t, "GET", "/nothing", func(r *http.Request) {
			bearer(token)(r)
			r.Header.Set("X-Forwarded-For", address)
		})
	}
	for i := range wrongOfAddress.Limit {
		if res, _ := as("192.0.2.1", fmt.Sprint("wrong", i)); res.StatusCode != 401 {
			t.Fatalf("number %d: %s", i, res.Status)
		}
	}
	for _, token := range []string{"wrong", testToken} {
		if res, body := as("192.0.2.1", token); res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
			t.Errorf("after too many: %s %s", res.Status, body)
		}
	}
	if res, _ := as("192.0.2.2", testToken); res.StatusCode != 404 {
		t.Errorf("another address: %s", res.Status)
	}
	// None at all is no guess.
	for range 2 * wrongOfAddress.Limit {
		if res, _ := r.ask(t, "GET", "/nothing", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.3") }); res.StatusCode != 401 {
			t.Fatal(res.Status)
		}
	}
	if res, _ := as("192.0.2.3", testToken); res.StatusCode != 404 {
		t.Errorf("after asking without one: %s", res.Status)
	}
}

// Guessing from many addresses is slowed down in all, and operators who have got in are
// let in meanwhile. Later all is as before.
func TestWrongTokensOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tk := newTokens(testToken, discard)
		look := func(token, from string) (bool, bool) {
			r := &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}
			got, _ := shownToken(r)
			era, wait := tk.look(got, from)
			return era != nil, wait > 0
		}
		if good, _ := look(testToken, "192.0.2.1:1"); !good {
			t.Fatal("the token is refused")
		}
		looked := 0
		for i := range 3 * wrongOfAll.Limit {
			if _, late := look("wrong", fmt.Sprintf("[2001:db8:%x::1]:1", i)); !late {
				looked++
			}
		}
		if looked != wrongOfAll.Limit {
			t.Errorf("%d were looked at, want %d", looked, wrongOfAll.Limit)
		}
		if good, late := look(testToken, "[2001:db8:ffff::1]:1"); good || !late {
			t.Error("a stranger is looked at")
		}
		if good, late := look(testToken, "192.0.2.1:1"); !good || late {
			t.Error("an operator is kept out")
		}
		time.Sleep(time.Minute)
		if good, late := look(testToken, "[2001:db8:ffff::1]:1"); !good || late {
			t.Error("kept out for longer than a minute")
		}
	})
}

// Connections that say nothing, of strangers who reach the port, make room for those who
// ask; who has shown the token keeps its own.
func TestFullPort(t *testing.T) {
	before := openFiles(t)
	t.Cleanup(func() { // runs behind what closes the port
		for end := time.Now().Add(patience); openFiles(t) > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d files are open, %d before", openFiles(t), before)
			}
		}
	})
	r := run(t, Config{Token: testToken}, Parts{})
	operator, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	_ = operator.SetDeadline(time.Now().Add(patience))
	ask := func() string {
		fmt.Fprintf(operator, "GET /nothing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", testToken)
		buf := make([]byte, 4096)
		n, err := operator.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if got := ask(); !strings.HasPrefix(got, "HTTP/1.1 404") {
		t.Fatal(got)
	}
	for i := range 4 * MaxConnections {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /live HTTP/1.1\r\n") // half a head
		}
	}
	if got := ask(); !strings.HasPrefix(got, "HTTP/1.1 404") {
		t.Error(got)
	}
	if res, _ := r.ask(t, "GET", "/live", nil); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	r.conns.mu.Lock()
	defer r.conns.mu.Unlock()
	if n := len(r.conns.open); n > MaxConnections {
		t.Errorf("%d connections are open", n)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not say which files are open")
	}
	return len(list)
}

// What is too large is refused.
func TestSizes(t *testing.T) {
	r := run(t, Config{}, Parts{})
	if res, _ := r.ask(t, "GET", "/live", header("X-Long", strings.Repeat("x", 20<<10))); res.StatusCode != 431 {
		t.Errorf("a long head: %s", res.Status)
	}
	if res, _ := r.ask(t, "GET", "/live", header("X-Long", strings.Repeat("x", 4<<10))); res.StatusCode != 200 {
		t.Errorf("a usual head: %s", res.Status)
	}
}

// Mistakes stop the start and say what to do; the token is in none of them.
func TestMistakes(t *testing.T) {
	const needs = "ADMIN_TOKEN is not set, and ADMIN_HOST is %q, which others may reach: set a token of at least 16 characters, such as `openssl rand -hex 32` prints, or ADMIN_HOST to 127.0.0.1"
	for _, row := range []struct {
		env  map[string]string
		want string
	}{
		{nil, ""},
		{map[string]string{"ADMIN_PORT": "9000"}, ""},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "localhost"}, ""},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "::1"}, ""},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "127.8.8.8"}, ""},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "0.0.0.0", "ADMIN_TOKEN": testToken}, ""},
		{map[string]string{"ADMIN_HOST": "0.0.0.0"}, ""}, // and no port
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "0.0.0.0"}, fmt.Sprintf(needs, "0.0.0.0")},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "::"}, fmt.Sprintf(needs, "::")},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "10.0.0.1"}, fmt.Sprintf(needs, "10.0.0.1")},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_HOST": "example.com"}, fmt.Sprintf(needs, "example.com")},
		{map[string]string{"ADMIN_PORT": "9000", "ADMIN_TOKEN": "short"}, "ADMIN_TOKEN is not good: want at least 16 characters, without blanks around them, such as `openssl rand -hex 32` prints"},
	} {
		var c Config
		g := []*setting.Group{c.Settings()}
		var m setting.Mistakes
		setting.Read(g, setting.Environment{Lookup: func(name string) (string, bool) { v, ok := row.env[name]; return v, ok }}, &m)
		setting.Fill(g[0].Settings)
		setting.Check(g, &m)
		got := ""
		if err := m.Err(); err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%v: %q, want %q", row.env, got, row.want)
		}
	}
}

// A name is looked at again when it is known what it stands for.
func TestNameThatIsNotLoopback(t *testing.T) {
	s := New(Config{Port: setting.AnyPort, Host: "0.0.0.0"}, Parts{Log: discard})
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), "set ADMIN_TOKEN") {
		t.Errorf("it is listened on: %v", err)
	}
	s.Close(t.Context())
}

// Nothing that the settings do not ask for is there.
func TestProfilesAreOff(t *testing.T) {
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "profiles") }
	for on, status := range map[bool]int{false: 404, true: 200} {
		r := run(t, Config{Pprof: on}, Parts{Live: ok, Profiles: ok})
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap"} {
			if res, _ := r.ask(t, "GET", path, nil); res.StatusCode != status {
				t.Errorf("ADMIN_PPROF %v, %s: %s, want %d", on, path, res.Status, status)
			}
		}
	}
}

// A panic of a handler ends its request alone.
func TestPanic(t *testing.T) {
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	r := run(t, Config{}, Parts{Live: ok, Bundle: func(http.ResponseWriter, *http.Request) { panic("a bug") }})
	if res, err := http.Post("http://"+r.addr+"/api/bundle", "", nil); err == nil {
		t.Errorf("%s", res.Status)
	}
	if res, _ := r.ask(t, "GET", "/live", nil); res.StatusCode != 200 {
		t.Error(res.Status)
	}
}
