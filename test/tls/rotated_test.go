package tls

import (
	"bytes"
	"crypto/tls"
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/logtest"
	"poosh/test/process"
)

// A rotation is the built program, whose .env is written anew while it runs.
type rotation struct {
	*site
	t        *testing.T
	dir, bin string
	admin    int
	env      map[string]string
	cmd      *exec.Cmd
	trusts   *tls.Config
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
	for _, port := range []int{r.client, r.sender, r.admin} {
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
	res, err := http.DefaultClient.Do(req)
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

// signed sends a number to everybody, signed with a secret.
func (r *rotation) signed(client *http.Client, secret string, n int) error {
	req, err := http.NewRequest(http.MethodPost, "https://"+addr(r.sender)+"/send", strings.NewReader(fmt.Sprintf(`{"event":"e","payload":%d}`, n)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", auth.PooshSign(secret, fmt.Append(nil, n)))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s", res.Status, text)
	}
	return nil
}

// rotate prepares a program with TLS and an operators' port, and starts it.
func rotate(t *testing.T, race bool) (r *rotation, root string, renew func(name string)) {
	set, a, certs, root := files(t, "push.example.com")
	r = &rotation{site: &site{client: freePort(t), sender: freePort(t)}, t: t, dir: t.TempDir(), admin: freePort(t), env: set, trusts: a.Client()}
	var err error
	if r.bin, err = process.Build(t.TempDir(), race); err != nil {
		t.Fatal(err)
	}
	r.write("HOST", "127.0.0.1", "CLIENT_PORT", strconv.Itoa(r.client), "SERVER_PORT", strconv.Itoa(r.sender), "ADMIN_PORT", strconv.Itoa(r.admin),
		"ADMIN_TOKEN", adminToken, "TLS_SENDERS", "on", "SERVER_SECRET", "secret-number-0-of-the-senders", "MAX_ROOMS", "10")
	r.launch()
	return r, root, func(name string) { a.Write(certs, name) }
}

// TestRotatedUnderLoad replaces the secret, the certificate and limits of the built program
// again and again, by SIGHUP and over the operators' port, and has it read mistakes between,
// while clients listen and a sender sends: nobody is closed, nothing is refused, and
// everybody hears everything, in order.
func TestRotatedUnderLoad(t *testing.T) {
	r, root, renew := rotate(t, true)
	node := tool(t, "node", "nodejs")
	var clients []*listener
	for range 10 {
		clients = append(clients, r.listen(t, r.trusts))
	}
	var real []*logtest.Buffer
	for _, how := range []string{"websocket", "polling"} {
		cmd := exec.Command(node, "client.js", "sio", module(t, "e2e/npm", "sio-4.8.1"), "https://"+addr(r.client), how)
		cmd.Env = append(cmd.Environ(), "NODE_EXTRA_CA_CERTS="+root)
		out := start(t, cmd)
		eventually(t, "a real client to be in", func() bool { return strings.Contains(out.String(), "in\n") })
		real = append(real, out)
	}
	var secretNow atomic.Pointer[string]
	use := func(n int) string { return fmt.Sprintf("secret-number-%d-of-the-senders", n) }
	first := use(0)
	secretNow.Store(&first)
	var sent atomic.Int64
	var turn sync.Mutex // held while one event is sent
	stop := make(chan struct{})
	var loading sync.WaitGroup
	end := sync.OnceFunc(func() {
		close(stop)
		loading.Wait()
	})
	defer end() // also where the test ends before
	loading.Go(func() {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.trusts}, Timeout: patience}
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
			}
			turn.Lock()
			err := r.signed(client, *secretNow.Load(), n)
			turn.Unlock()
			if err != nil {
				t.Errorf("event %d: %v", n, err)
				return
			}
			sent.Store(int64(n + 1))
		}
	})
	another := &http.Client{Transport: &http.Transport{TLSClientConfig: r.trusts}, Timeout: patience}
	defer another.CloseIdleConnections()
	for round := 1; round <= 4; round++ {
		before, after := use(round-1), use(round)
		begun := sent.Load()
		eventually(t, "some events", func() bool { return sent.Load() > begun+20 || t.Failed() })
		renew("push.example.com")
		r.write("SERVER_SECRET", after, "SERVER_SECRET_PREVIOUS", before, "MAX_ROOMS", strconv.Itoa(10+round), "MAX_BODY_BYTES", strconv.Itoa(100000+round),
			"MAX_CONNECTIONS_PER_ADDRESS", strconv.Itoa(900+round), "LOG_LEVEL", "info")
		r.hangup() // the sender signs with the one before, and is heard
		begun = sent.Load()
		eventually(t, "events with the previous secret", func() bool { return sent.Load() > begun+10 || t.Failed() })
		r.write("MAX_ROOMS", "many") // a mistake: nothing changes
		if status, text := r.reload(""); status != http.StatusUnprocessableEntity || !strings.Contains(text, "MAX_ROOMS is") || strings.Contains(text, after) {
			t.Errorf("a mistake: %d %s", status, text)
		}
		r.write("MAX_ROOMS", "10")
		secretNow.Store(&after)
		turn.Lock() // nobody is on the way with the old one
		r.write("SERVER_SECRET_PREVIOUS", "")
		turn.Unlock()
		if status, text := r.reload("?dry-run=1"); status != 200 || !strings.Contains(text, "SERVER_SECRET_PREVIOUS is not set any more") {
			t.Errorf("a dry run: %d %s", status, text)
		}
		if status, text := r.reload(""); status != 200 || strings.Contains(text, before) || strings.Contains(text, after) {
			t.Errorf("%d %s", status, text)
		}
		if err := r.signed(another, before, -1); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("the secret before is good for ever: %v", err)
		}
	}
	end()
	for _, l := range clients {
		for n := range sent.Load() {
			select {
			case got := <-l.got:
				if want := fmt.Sprintf(`42["e",%d]`, n); got != want {
					t.Fatalf("%s in place of %s", got, want)
				}
			case err := <-l.ended:
				t.Fatalf("closed after %d of %d events: %v", n, sent.Load(), err)
			case <-time.After(patience):
				t.Fatalf("%d of %d events", n, sent.Load())
			}
		}
	}
	var want strings.Builder
	want.WriteString("in\n")
	for n := range sent.Load() {
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
