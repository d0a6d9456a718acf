package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"poosh/test/process"
)

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	at, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A server of several applications, whose pages are of one origin.
type several struct {
	*station
	senders, admin int
	nobody         int // a port where nobody listens
}

const page = "https://app.example.com"

func startSeveral(t *testing.T) *several {
	t.Helper()
	s := &several{station: &station{dir: t.TempDir(), pki: newAuthority(t), pusher: process.FreePort(t), socktopus: process.FreePort(t), pushSocket: process.FreePort(t)},
		senders: process.FreePort(t), admin: process.FreePort(t), nobody: process.FreePort(t)}
	apps := filepath.Join(s.dir, "apps.json")
	text := fmt.Sprintf(`{"apps":[{"id":"1","key":"one","secret":%q},{"id":"2","key":"two","secret":"%s-2"}]}`, appSecret, appSecret)
	if err := os.WriteFile(apps, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"SERVER_SECRET=" + secret, "PUSHER_APPS=" + apps, "ONE_SOCKTOPUS_SECRET=" + octoSecret, "OTHER_SOCKTOPUS_SECRET=" + octoSecret + "-2",
		"ADMIN_TOKEN=" + adminToken, "CLIENT_ORIGINS=" + page, "SHUTDOWN_TIMEOUT=2s", fmt.Sprint("PUSHER_PORT=", s.pusher), fmt.Sprint("SOCKTOPUS_PORT=", s.socktopus), fmt.Sprint("PUSH_SOCKET_PORT=", s.pushSocket), "PUSH_SOCKET_OPERATOR_TOKEN=" + keysToken,
		fmt.Sprint("SERVER_PORT=", s.senders), fmt.Sprint("ADMIN_PORT=", s.admin)}
	s.first = process.Start(t, program, "CLIENT_PORT", env...)
	env = append(env, fmt.Sprint("CLIENT_PORT=", s.first.Port), "HOST=127.0.0.1")
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(strings.Join(env, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// elsewhere are the settings of a machine on which nobody listens at a port of them.
func (s *several) elsewhere(t *testing.T, setting string, port int) *station {
	t.Helper()
	return s.with(t, fmt.Sprint(setting, "=", port), fmt.Sprint(setting, "=", s.nobody))
}

// A flagged is a look with flags, and what comes of it.
type flagged struct {
	name       string
	in         *station
	args       []string
	code       int
	good       []string // what begins so is well
	faults, no string   // what is wrong, and what could not be looked at
	at         string   // where, if that is not the first one's CLIENT_PORT
}

func (f *flagged) look(at string) error {
	reports, code, err := f.in.doctor(append(f.args, at)...)
	if err != nil {
		return err
	}
	var good, faults, no []string
	for _, r := range reports {
		good = append(good, r.Good...)
		for _, f := range r.Faults {
			faults = append(faults, f.Seen)
		}
		for _, n := range r.NotLooked {
			no = append(no, n.What+": "+n.Why)
		}
	}
	saw := fmt.Sprintf("exit code %d, good %q, faults %q, not looked at %q", code, good, faults, no)
	for _, want := range f.good {
		if !slices.ContainsFunc(good, func(g string) bool { return strings.HasPrefix(g, want) }) {
			return fmt.Errorf("%q is not well: %s", want, saw)
		}
	}
	hints := strings.Join(no, "\n")
	if code != f.code || len(faults) > 0 != (f.faults != "") || !strings.Contains(strings.Join(faults, "\n"), f.faults) ||
		!strings.Contains(hints, f.no) || f.no == "" && strings.Contains(hints, "say --origin") {
		return fmt.Errorf("%s, want exit code %d, fault %q, not looked at %q", saw, f.code, f.faults, f.no)
	}
	return nil
}

// identities is what a key server has.
func (s *several) identities(t *testing.T) (known, revoked int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/operator/store", s.pushSocket), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+keysToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var view struct {
		Usage struct{ Identities, Revoked int }
	}
	if err := json.NewDecoder(res.Body).Decode(&view); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v", res.StatusCode, err)
	}
	return view.Usage.Identities, view.Usage.Revoked
}

// The device that the doctor was is forgotten by who may have it forgotten, and has left
// otherwise.
func TestDeviceIsForgotten(t *testing.T) {
	s := startSeveral(t)
	for name, row := range map[string]struct {
		in   *station
		left int
	}{
		"with the operators' token": {s.station, 0},
		"without":                   {s.with(t, "PUSH_SOCKET_OPERATOR_TOKEN="+keysToken, ""), 1},
	} {
		known, revoked := s.identities(t)
		look := flagged{name: name, in: row.in, args: []string{"--patience", "1s", "--push-socket", fmt.Sprint("http://127.0.0.1:", s.pushSocket)},
			good: []string{"an event of the Push Socket Protocol arrives"}}
		if err := look.look(s.first.URL()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if nowKnown, nowRevoked := s.identities(t); nowRevoked-revoked != row.left || nowKnown-known > row.left {
			t.Errorf("%s: %d identities and %d revoked, and before %d and %d", name, nowKnown, nowRevoked, known, revoked)
		}
	}
}

// Each flag that says where something is, or what to ask as, is what decides.
func TestFlags(t *testing.T) {
	s := startSeveral(t)
	local := func(port int) string { return fmt.Sprint("http://127.0.0.1:", port) }
	narrow := layoutOf(s.pki, fmt.Sprint("127.0.0.1:", s.senders), "nginx", "")
	narrow.add("location", "client_max_body_size 8k;")
	p, port, err := anywhere(t, func(port int) (*proxy, error) { return narrow.start(t.TempDir(), port) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	const large, noLarge = "an event of MAX_BODY_BYTES arrives", "an event as large as the server takes"
	senders, admin, none := s.elsewhere(t, "SERVER_PORT", s.senders), s.elsewhere(t, "ADMIN_PORT", s.admin), s.empty(t)
	pusher, socktopus := []string{"--pusher", local(s.pusher)}, []string{"--socktopus", local(s.socktopus)}
	keys := s.only(t, fmt.Sprint("PUSH_SOCKET_PORT=", s.pushSocket), "PUSH_SOCKET_OPERATOR_TOKEN="+keysToken)
	few := s.only(t, "SERVER_SECRET="+secret, fmt.Sprint("SERVER_PORT=", s.senders), fmt.Sprint("CLIENT_PORT=", s.first.Port), "CLIENT_ORIGINS="+page)
	rows := []flagged{
		{"without --senders", senders, nil, 0, nil, "", "--senders names another address", ""},
		{"--senders", senders, []string{"--senders", local(s.senders)}, 0, []string{"an event of socket.io arrives", "an event for a polling client arrives", "size of bodies: " + large}, "", "", ""},
		{"--senders, through a proxy", senders, []string{"--senders", local(port)}, 1, []string{"an event of socket.io arrives"}, noLarge, "", ""},
		{"without --admin", admin, nil, 0, nil, "", "--admin names another address", ""},
		{"--admin", admin, []string{"--admin", local(s.admin)}, 0, []string{"addresses of clients: no proxy"}, "", "", ""},
		{"without --origin", none, nil, 0, nil, "", "not in: say --origin", ""},
		{"--origin that may", none, []string{"--origin", page}, 0, []string{"cross-origin: a handshake", "cross-origin: a preflight", "JSONP"}, "", "", ""},
		{"--origin that may not", none, []string{"--origin", "https://else.example.com"}, 0, nil, "", "lets pages of https://else.example.com not in", ""},
		{"without --push-socket", s.station, nil, 0, []string{"Server-Sent Events"}, "", "say --push-socket", ""},
		{"--push-socket", s.station, []string{"--push-socket", local(s.pushSocket)}, 0, []string{"an event of the Push Socket Protocol arrives"}, "", "", ""},
		{"--events without CLIENT_PORT", keys, []string{"--events"}, 0, nil, "", "Server-Sent Events: --events is for a server with CLIENT_PORT", local(s.pushSocket)},
		{"--push-socket without its port", few, []string{"--push-socket", local(s.nobody)}, 0, nil, "", "an event of the Push Socket Protocol: --push-socket is for a server with PUSH_SOCKET_PORT", ""},
		{"--pusher without its port", few, []string{"--pusher", local(s.nobody)}, 0, nil, "", "an event of Pusher: --pusher is for a server with PUSHER_PORT", ""},
		{"--socktopus-api without its port", few, []string{"--socktopus-api", local(s.nobody)}, 0, nil, "", "an event of Socktopus: --socktopus-api is for a server with SOCKTOPUS_PORT", ""},
		{"--app without a port of apps", few, []string{"--app", "1"}, 0, nil, "", "an event of an app: --app is for a server with PUSHER_PORT or SOCKTOPUS_PORT", ""},
		{"without --app", s.station, slices.Concat(pusher, socktopus), 0, []string{"an event of Pusher, app 1 arrives", "an event of Socktopus, one arrives"}, "", "", ""},
		{"--app of Pusher", s.station, slices.Concat(pusher, socktopus, []string{"--app", "2"}), 0, []string{"an event of Pusher, app 2 arrives", "an event of Socktopus, one arrives"}, "", "", ""},
		{"--app of Socktopus", s.station, slices.Concat(pusher, socktopus, []string{"--app", "OTHER"}), 0, []string{"an event of Pusher, app 1 arrives", "an event of Socktopus, other arrives"}, "", "", ""},
	}
	together(t, len(rows), func(i int) string { return rows[i].name }, func(i int) error { return rows[i].look(cmp.Or(rows[i].at, s.first.URL())) })
	for app, dir := range map[string]string{"3": s.dir, "none": s.with(t, "PUSHER_APPS=", "NOT_PUSHER_APPS=").dir} {
		if _, errs, code := text(t, dir, "--app", app, s.first.URL()); code != 1 || !strings.Contains(errs, fmt.Sprintf("%q", app)) || !strings.Contains(errs, "the settings have no") {
			t.Errorf("--app %s: exit code %d: %s", app, code, errs)
		}
	}
}
