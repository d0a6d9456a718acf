package tls

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
)

// A rotated is a secret that is replaced again and again, the one who sends with it, and who
// listens to that.
type rotated struct {
	name string
	// use writes the settings with a secret, and with the one before it or "".
	use func(secret, previous string)
	// request makes the one that sends a number; heard is what listeners get of it.
	request func(secret string, n int) (*http.Request, error)
	heard   func(n int64) string
	clients []*listener

	now  atomic.Pointer[string] // the secret that is signed with
	sent atomic.Int64
	turn sync.Mutex // held while one number is sent
}

// send sends a number, signed with a secret.
func (s *rotated) send(client *http.Client, secret string, n int) error {
	req, err := s.request(secret, n)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK || strings.Contains(string(text), `"failed":[`) && !strings.Contains(string(text), `"failed":[]`) {
		return fmt.Errorf("%s %s", res.Status, text)
	}
	return nil
}

// sendOn sends numbers until it is stopped.
func (s *rotated) sendOn(t *testing.T, client *http.Client, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		s.turn.Lock()
		err := s.send(client, *s.now.Load(), n)
		s.turn.Unlock()
		if err != nil {
			t.Errorf("%s: event %d: %v", s.name, n, err)
			return
		}
		s.sent.Store(int64(n + 1))
	}
}

// checkHeard looks at what the clients got: everything, in order, and no end.
func (s *rotated) checkHeard(t *testing.T) {
	t.Helper()
	for _, l := range s.clients {
		for n := range s.sent.Load() {
			select {
			case got := <-l.got:
				if want := s.heard(n); got != want {
					t.Fatalf("%s: %s in place of %s", s.name, got, want)
				}
			case err := <-l.ended:
				t.Fatalf("%s: closed after %d of %d events: %v", s.name, n, s.sent.Load(), err)
			case <-time.After(patience):
				t.Fatalf("%s: %d of %d events", s.name, n, s.sent.Load())
			}
		}
		select {
		case err := <-l.ended:
			t.Errorf("%s: closed: %v", s.name, err)
		default:
		}
	}
}

// The apps, and the name of Socktopus, whose secrets are rotated.
const (
	envApp, envKey   = "3", "key-of-the-environment"
	fileApp, fileKey = "4", "key-of-the-file"
	shop             = "SHOP"
)

// rotatedSecrets are one of each kind. Each has a secret to begin with.
func (r *rotation) rotatedSecrets(first string) []*rotated {
	inEnv := func(setting string) func(secret, previous string) {
		return func(secret, previous string) { r.write(setting, secret, setting+"_PREVIOUS", previous) }
	}
	list := []*rotated{
		{name: "Poosh", use: inEnv("SERVER_SECRET"),
			request: func(secret string, n int) (*http.Request, error) {
				req, err := http.NewRequest(http.MethodPost, "https://"+addr(r.sender)+"/send", strings.NewReader(fmt.Sprintf(`{"event":"e","payload":%d}`, n)))
				if err == nil {
					req.Header.Set("Authorization", auth.PooshSign(secret, fmt.Append(nil, n)))
				}
				return req, err
			},
			heard: func(n int64) string { return fmt.Sprintf(`42["e",%d]`, n) }},
		{name: "Pusher", use: inEnv("PUSHER_APP_SECRET"), request: r.pusherRequest(envApp, envKey), heard: pusherHeard},
		{name: "the file of apps", use: r.writeApps, request: r.pusherRequest(fileApp, fileKey), heard: pusherHeard},
		{name: "Socktopus", use: inEnv(shop + "_SOCKTOPUS_SECRET"),
			request: func(secret string, n int) (*http.Request, error) {
				return http.NewRequest(http.MethodPost, "https://"+addr(r.socktopus)+"/send", strings.NewReader(fmt.Sprintf(
					`{"secretName":%q,"secret":%q,"messages":[{"recipient":"1","content":"%d"},{"recipient":"2","content":"%d"}]}`, shop, secret, n, n)))
			},
			heard: func(n int64) string { return fmt.Sprintf("DATA:%d", n) }},
	}
	for _, s := range list {
		s.now.Store(&first)
		s.use(first, "")
	}
	return list
}

func (r *rotation) pusherRequest(id, key string) func(secret string, n int) (*http.Request, error) {
	return func(secret string, n int) (*http.Request, error) {
		path, body := "/apps/"+id+"/events", fmt.Sprintf(`{"name":"e","channel":"c","data":"%d"}`, n)
		query := auth.SignPusherQuery(key, secret, http.MethodPost, path, []byte(body), time.Now())
		return http.NewRequest(http.MethodPost, "https://"+addr(r.pusher)+path+"?"+query, strings.NewReader(body))
	}
}

func pusherHeard(n int64) string {
	return fmt.Sprintf(`{"event":"e","channel":"c","data":"%d"}`, n)
}

// writeApps writes the file of apps anew, in which another app comes and goes, and a limit
// is lowered below what there is and raised again.
func (r *rotation) writeApps(secret, previous string) {
	app := map[string]any{"id": fileApp, "key": fileKey, "secret": secret}
	apps := []map[string]any{app}
	if previous != "" {
		app["previous_secret"], app["max_connections"] = previous, 1
		apps = append(apps, map[string]any{"id": "5", "key": "another-key", "secret": "secret-number-5-of-another-app"})
	}
	text, err := json.Marshal(map[string]any{"apps": apps})
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.dir, "apps.json")
	write(r.t, path, text)
	r.env["PUSHER_APPS"] = path
}

// hear connects a client by a WebSocket, says something, and waits until it hears what begins
// so; then it notes all that begins in another way.
func (r *rotation) hear(t *testing.T, trusts *tls.Config, url, say, joined, events string) *listener {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: trusts, HandshakeTimeout: patience}
	ws, _, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	if err := ws.WriteMessage(websocket.TextMessage, []byte(say)); err != nil {
		t.Fatal(err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, text, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if strings.HasPrefix(string(text), joined) {
			break
		}
	}
	_ = ws.SetReadDeadline(time.Time{})
	l := &listener{ws, make(chan string, 10000), make(chan error, 1)}
	go func() { // ends with the connection
		for {
			_, text, err := ws.ReadMessage()
			if err != nil {
				l.ended <- err
				return
			}
			if strings.HasPrefix(string(text), events) {
				l.got <- string(text)
			}
		}
	}()
	return l
}

// hearPusher is hear for a channel of an app.
func (r *rotation) hearPusher(t *testing.T, key string) *listener {
	t.Helper()
	return r.hear(t, r.trusts, "wss://"+addr(r.pusher)+"/app/"+key+"?protocol=7", `{"event":"pusher:subscribe","data":{"channel":"c"}}`,
		`{"event":"pusher_internal:subscription_succeeded"`, `{"event":"e"`)
}

// hearSocktopus is hear for an id.
func (r *rotation) hearSocktopus(t *testing.T, secret, id string) *listener {
	t.Helper()
	return r.hear(t, r.trusts, "wss://"+addr(r.socktopus)+"/receive?token="+auth.NewSocktopus(shop, secret, id, time.Now()), "PING", "PONG", "DATA:")
}
