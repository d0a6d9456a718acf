package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/logtest"
	"poosh/test/process"
)

// A rotation is the built program, whose .env is written anew while it runs.
type rotation struct {
	*site
	t                        *testing.T
	dir, bin                 string
	admin, pusher, socktopus int
	env                      map[string]string
	cmd                      *exec.Cmd
	trusts                   *tls.Config
}

const adminToken = "token-of-the-operators"

// write writes the .env, with settings changed.
func (r *rotation) write(set ...string) {
	for i := 0; i < len(set); i += 2 {
		r.env[set[i]] = set[i+1]
	}
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		fmt.Fprintf(&text, "%s=%s\n", name, r.env[name])
	}
	write(r.t, filepath.Join(r.dir, ".env"), text.Bytes())
}

// launch starts the program and waits for its ports.
func (r *rotation) launch() {
	r.cmd = exec.Command(r.bin)
	r.cmd.Dir, r.cmd.Env = r.dir, []string{"PATH=" + os.Getenv("PATH")}
	r.log = start(r.t, r.cmd)
	for _, port := range []int{r.client, r.sender, r.admin, r.pusher, r.socktopus} {
		eventually(r.t, "a port", func() bool {
			nc, err := net.Dial("tcp", addr(port))
			if err == nil {
				nc.Close()
			}
			return err == nil
		})
	}
}

// reload asks for a reload, and returns the status and the answer.
func (r *rotation) reload(query string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+addr(r.admin)+"/api/reload"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := operators.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// hangup has it reload by SIGHUP, and waits until it has.
func (r *rotation) hangup() {
	r.t.Helper()
	before := strings.Count(r.log.String(), "settings reloaded")
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "the reload", func() bool { return strings.Count(r.log.String(), "settings reloaded") > before })
}

// rotate prepares a program with TLS, an operators' port and a secret of each kind, and starts
// it.
func rotate(t *testing.T, first string) (r *rotation, secrets []*rotated, root string, renew func(name string)) {
	set, a, certs, root := files(t, "push.example.com")
	r = &rotation{site: &site{client: freePort(t), sender: freePort(t)}, t: t, dir: t.TempDir(), admin: freePort(t),
		pusher: freePort(t), socktopus: freePort(t), env: set, trusts: a.Client()}
	var err error
	if r.bin, err = process.Build(t.TempDir(), true); err != nil {
		t.Fatal(err)
	}
	secrets = r.rotatedSecrets(first)
	r.write("HOST", "127.0.0.1", "CLIENT_PORT", strconv.Itoa(r.client), "SERVER_PORT", strconv.Itoa(r.sender), "ADMIN_PORT", strconv.Itoa(r.admin),
		"ADMIN_TOKEN", adminToken, "TLS_SENDERS", "on", "MAX_ROOMS", "10", "PUSHER_PORT", strconv.Itoa(r.pusher), "PUSHER_APP_ID", envApp,
		"PUSHER_APP_KEY", envKey, "SOCKTOPUS_PORT", strconv.Itoa(r.socktopus), "SOCKTOPUS_READ_TIMEOUT", "10m")
	r.launch()
	return r, secrets, root, func(name string) { a.Write(certs, name) }
}

// TestRotatedUnderLoad replaces the secrets of all dialects, the file of apps, the certificate
// and limits of the built program again and again, by SIGHUP and over the operators' port, and
// has it read mistakes between, while clients listen and senders send: nobody is closed, nothing
// is refused, and everybody hears everything, in order.
func TestRotatedUnderLoad(t *testing.T) {
	use := func(n int) string { return fmt.Sprintf("secret-number-%d-of-the-senders", n) }
	r, secrets, root, renew := rotate(t, use(0))
	node := tool(t, "node", "nodejs")
	poosh := secrets[0]
	for range 10 {
		poosh.clients = append(poosh.clients, r.listen(t, r.trusts))
	}
	for _, id := range []string{"1", "2"} {
		secrets[1].clients = append(secrets[1].clients, r.hearPusher(t, envKey))
		secrets[2].clients = append(secrets[2].clients, r.hearPusher(t, fileKey))
		secrets[3].clients = append(secrets[3].clients, r.hearSocktopus(t, use(0), id))
	}
	var real []*logtest.Buffer
	for _, how := range []string{"websocket", "polling"} {
		cmd := exec.Command(node, "client.js", "sio", module(t, "e2e/npm", "sio-4.8.1"), "https://"+addr(r.client), how)
		cmd.Env = append(cmd.Environ(), "NODE_EXTRA_CA_CERTS="+root)
		out := start(t, cmd)
		eventually(t, "a real client to be in", func() bool { return strings.Contains(out.String(), "in\n") })
		real = append(real, out)
	}
	stop := make(chan struct{})
	var loading sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(stop)
		loading.Wait()
	})
	defer end() // also where the test ends before
	for _, s := range secrets {
		loading.Go(func() { // ends with stop
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.trusts}, Timeout: patience}
			defer client.CloseIdleConnections()
			s.sendOn(t, client, stop)
		})
	}
	goOn := func(events int64) { // until all senders have sent so many more
		t.Helper()
		for _, s := range secrets {
			begun := s.sent.Load()
			eventually(t, "events of "+s.name, func() bool { return s.sent.Load() > begun+events || t.Failed() })
		}
	}
	another := &http.Client{Transport: &http.Transport{TLSClientConfig: r.trusts}, Timeout: patience}
	defer another.CloseIdleConnections()
	for round := 1; round <= 4; round++ {
		before, after := use(round-1), use(round)
		goOn(20)
		renew("push.example.com")
		for _, s := range secrets {
			s.use(after, before)
		}
		r.write("MAX_ROOMS", strconv.Itoa(10+round), "MAX_BODY_BYTES", strconv.Itoa(100000+round),
			"MAX_CONNECTIONS_PER_ADDRESS", strconv.Itoa(900+round), "OUTBOX_BYTES", strconv.Itoa(2<<20+round), "LOG_LEVEL", "info")
		r.hangup() // senders sign with the one before, and are heard
		goOn(10)
		if code := r.refusedBy(t, fileKey); code != 4004 {
			t.Errorf("more clients of an app than it may have now: %d", code)
		}
		r.write("MAX_ROOMS", "many") // a mistake: nothing changes
		if status, text := r.reload(""); status != http.StatusUnprocessableEntity || !strings.Contains(text, "MAX_ROOMS is") || strings.Contains(text, after) {
			t.Errorf("a mistake: %d %s", status, text)
		}
		// All limits are lower than before, some as low as may be.
		r.write("MAX_ROOMS", "1", "MAX_BODY_BYTES", "1024", "MAX_CONNECTIONS_PER_ADDRESS", "100", "OUTBOX_BYTES", strconv.Itoa(256<<10))
		for _, s := range secrets {
			s.now.Store(&after)
			s.turn.Lock() // nobody is on the way with the old one
			s.use(after, "")
			s.turn.Unlock()
		}
		if status, text := r.reload("?dry-run=1"); status != 200 || !strings.Contains(text, "SERVER_SECRET_PREVIOUS is not set any more") {
			t.Errorf("a dry run: %d %s", status, text)
		}
		if status, text := r.reload(""); status != 200 || strings.Contains(text, before) || strings.Contains(text, after) {
			t.Errorf("%d %s", status, text)
		}
		goOn(10)
		for _, s := range secrets {
			if err := s.send(another, before, -1); err == nil || !strings.Contains(err.Error(), "401") && !strings.Contains(err.Error(), "403") {
				t.Errorf("%s: the secret before is good for ever: %v", s.name, err)
			}
		}
	}
	end()
	for _, s := range secrets {
		s.checkHeard(t)
	}
	var want strings.Builder
	want.WriteString("in\n")
	for n := range poosh.sent.Load() {
		fmt.Fprintf(&want, "got %d\n", n)
	}
	for _, out := range real {
		eventually(t, "a real client to hear all", func() bool {
			return strings.HasPrefix(want.String(), out.String()) && len(out.String()) == want.Len() || strings.Contains(out.String(), "failed")
		})
		if got := out.String(); got != want.String() {
			t.Errorf("a real client says %.2000s", got)
		}
	}
	log := r.log.String()
	for _, bad := range []string{"DATA RACE", "panic", "secret-number-"} {
		if strings.Contains(log, bad) {
			t.Errorf("the log has %q", bad)
		}
	}
	if !strings.Contains(log, "the previous secret is still in use") {
		t.Error("the log says nothing of who uses the previous secret")
	}
}

// refusedBy is the code that a newcomer of a Pusher app is sent away with.
func (r *rotation) refusedBy(t *testing.T, key string) int {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: r.trusts, HandshakeTimeout: patience}
	ws, _, err := dialer.Dial("wss://"+addr(r.pusher)+"/app/"+key+"?protocol=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			var closed *websocket.CloseError
			if !errors.As(err, &closed) {
				t.Fatal(err)
			}
			return closed.Code
		}
	}
}
