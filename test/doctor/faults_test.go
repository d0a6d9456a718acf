package doctor

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"poosh/server/doctor"
	"poosh/test/process"
)

// A circumstance is something wrong that no line of a proxy's is to blame for.
type circumstance struct {
	name, want string
	look       func(t *testing.T, s *station) (in *station, args []string)
}

var circumstances = []circumstance{
	{"a name that nobody has", "name-unknown", func(t *testing.T, s *station) (*station, []string) {
		return s, []string{"http://push.invalid"} // RFC 2606, 2: there is none
	}},
	{"a port where nobody listens", "unreachable", func(t *testing.T, s *station) (*station, []string) {
		return s, []string{fmt.Sprint("http://127.0.0.1:", process.FreePort(t))}
	}},
	{"a secret that the server does not have", "secret-refused", func(t *testing.T, s *station) (*station, []string) {
		return s.with(t, secret, "hush-of-somebody-else"), []string{s.first.URL()}
	}},
	{"a key that is no app's", "canary", func(t *testing.T, s *station) (*station, []string) {
		return s.with(t, "PUSHER_APP_KEY=key", "PUSHER_APP_KEY=nobodys"), []string{"--pusher", fmt.Sprint("http://127.0.0.1:", s.pusher), s.first.URL()}
	}},
	{"senders at one server and clients at another", "other-server", func(t *testing.T, s *station) (*station, []string) {
		return s, []string{s.second.URL()}
	}},
	{"a Redis that does not know the user", "redis-refuses", changed(redisPassword, "hush-of-another-redis")},
	{"another prefix than the server's", "redis-unheard", changed("ECHO_PREFIX=app_", "ECHO_PREFIX=else_")},
	{"an application that has a login page", "auth-endpoint", answering("has a login")},
	{"an application that redirects", "auth-endpoint", answering("redirects")},
	{"an application at another path", "auth-endpoint", answering("is elsewhere")},
	{"an application that fails", "auth-endpoint", answering("fails")},
	{"an application that hangs up", "auth-endpoint", answering("hangs up")},
	{"an application that lets everybody in", "auth-open", answering("lets in")},
	{"a server that is full", "server-refuses", func(t *testing.T, s *station) (*station, []string) {
		return s.empty(t), []string{full(t).URL()}
	}},
}

// inPackage are faults that no trial here can have, with the test that has one.
var inPackage = map[string]string{
	"address-silent": "TestReach", // it wants a name of two addresses, which a machine without a DNS of its own has not
}

// with is a station whose settings have another text in place of one.
func (s *station) with(t *testing.T, text, other string) *station {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, ".env"))
	if err != nil || strings.Count(string(raw), text) != 1 {
		t.Fatalf("%v: %q is not there once in\n%s", err, text, raw)
	}
	changed := s.empty(t)
	if err := os.WriteFile(filepath.Join(changed.dir, ".env"), []byte(strings.Replace(string(raw), text, other, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return changed
}

// only is a station with these settings alone.
func (s *station) only(t *testing.T, env ...string) *station {
	t.Helper()
	changed := s.empty(t)
	if err := os.WriteFile(filepath.Join(changed.dir, ".env"), []byte(strings.Join(append(env, "HOST=127.0.0.1"), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return changed
}

// empty is a station without settings.
func (s *station) empty(t *testing.T) *station {
	changed := *s
	changed.dir = t.TempDir()
	return &changed
}

// full starts a server that takes a few sessions, and begins those. They live for longer
// than a look takes, and have no connection: one more of those is let in.
func full(t *testing.T) *process.Process {
	t.Helper()
	const few = 4
	p := process.Start(t, program, "CLIENT_PORT", "SERVER_SECRET="+secret, fmt.Sprint("SERVER_PORT=", process.FreePort(t)), fmt.Sprint("MAX_CONNECTIONS=", few), "SHUTDOWN_TIMEOUT=2s")
	v := newVisitor(t)
	for range few {
		if status, text := v.ask(http.MethodGet, p.URL()+"/socket.io/?EIO=4&transport=polling", ""); status != http.StatusOK {
			t.Fatalf("%d: %s", status, text)
		}
	}
	return p
}

// A visitor asks over a connection of its own each time, and has cookies.
type visitor struct {
	t      *testing.T
	client http.Client
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}, Timeout: process.Patience}}
}

func (v *visitor) ask(method, at, body string) (status int, text string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

func TestCircumstances(t *testing.T) {
	s := startStation(t, "")
	list := make([]func() error, len(circumstances))
	for i, c := range circumstances {
		in, args := c.look(t, s)
		list[i] = func() error {
			_, err := in.finds([]string{c.want}, args...)
			return err
		}
	}
	together(t, len(list), func(i int) string { return circumstances[i].name }, func(i int) error { return list[i]() })
	t.Run("apache sticks", func(t *testing.T) { apacheSticks(t, s) })
}

// Each fault has a trial, and each trial is for one that there is.
func TestEveryFaultHasATrial(t *testing.T) {
	tried := make(map[string]bool)
	for _, tr := range trials {
		tried[tr.want] = true
	}
	for _, c := range circumstances {
		tried[c.want] = true
	}
	source, err := os.ReadFile("../../server/doctor/doctor_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for id, test := range inPackage {
		if tried[id] || !strings.Contains(string(source), "func "+test+"(") || !strings.Contains(string(source), strconv.Quote(id)) {
			t.Errorf("%s: it has a trial here, or none in %s", id, test)
		}
		tried[id] = true
	}
	all := doctor.IDs()
	for _, id := range all {
		if !tried[id] {
			t.Errorf("%s has no trial: want a proxy that does it in trials, or a row in circumstances", id)
		}
	}
	for id := range tried {
		if !slices.Contains(all, id) {
			t.Errorf("there is no fault %q", id)
		}
	}
}

// apacheSticks: what is advised for Apache keeps a session at one of two processes, for a client that has
// cookies. The doctor cannot say so: what it sends comes to one process, and its clients to
// both.
func apacheSticks(t *testing.T, s *station) {
	l := newLayout(s, "apache", "")
	l.balance(s.first.Addr(), s.second.Addr())
	lost := func() (n int) {
		p, port, err := anywhere(t, func(port int) (*proxy, error) { return l.start(t.TempDir(), port) })
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		for range 4 {
			n += lostPosts(t, fmt.Sprintf("http://%s/socket.io/?EIO=4&transport=polling", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))))
		}
		return n
	}
	if n := lost(); n == 0 {
		t.Error("two processes answer, and nothing is lost: this test shows nothing")
	}
	advice := doctor.Advice("not-sticky", mustParse(t, s.first.URL()), s.first.Addr(), doctor.Timing{})
	i := slices.IndexFunc(advice, func(m doctor.Mend) bool { return m.Proxy == "apache" })
	if err := l.mend(advice[i]); err != nil {
		t.Fatal(err)
	}
	if n := lost(); n > 0 {
		t.Errorf("with what is advised %d requests come to a process that does not know the session", n)
	}
}

// lostPosts begins a session and says something in it several times; it returns how often
// nobody knew the session.
func lostPosts(t *testing.T, at string) (n int) {
	t.Helper()
	v := newVisitor(t)
	_, open := v.ask(http.MethodGet, at, "")
	_, rest, _ := strings.Cut(open, `"sid":"`)
	sid, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no handshake: %s", open)
	}
	for _, packet := range []string{"40", `42["a"]`, `42["b"]`, `42["c"]`} {
		if status, _ := v.ask(http.MethodPost, at+"&sid="+sid, packet); status != http.StatusOK {
			n++
		}
	}
	return n
}
