package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
)

// An appsFile is a file of apps, and the port that serves them.
type appsFile struct {
	t    *testing.T
	path string
	at   string
}

// write writes the apps, each as JSON.
func (f *appsFile) write(apps ...string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(`{"apps":[`+strings.Join(apps, ",")+`]}`), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// join connects a client by a key, and has it subscribe to the channel x.
func (f *appsFile) join(key string) *websocket.Conn {
	f.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+f.at+"/app/"+key+"?protocol=7", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	f.hears(ws, "pusher:connection_established")
	f.says(ws, `{"event":"pusher:subscribe","data":{"channel":"x"}}`)
	f.hears(ws, "subscription_succeeded")
	return ws
}

func (f *appsFile) says(ws *websocket.Conn, text string) {
	f.t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *appsFile) hears(ws *websocket.Conn, what string) string {
	f.t.Helper()
	_, text, err := ws.ReadMessage()
	if err != nil || !strings.Contains(string(text), what) {
		f.t.Fatalf("heard %s, %v; want %s", text, err, what)
	}
	return string(text)
}

// ended wants a client to be closed with a code.
func (f *appsFile) ended(ws *websocket.Conn, code int) {
	f.t.Helper()
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if !websocket.IsCloseError(err, code) {
				f.t.Errorf("ended with %v, want %d", err, code)
			}
			return
		}
	}
}

// publish is the status of an event for the channel x.
func (f *appsFile) publish(id, key, secret string) int {
	f.t.Helper()
	return f.publishes(id, key, secret, `{"name":"e","channel":"x","data":"1"}`)
}

// publishes is the status of a body with an event.
func (f *appsFile) publishes(id, key, secret, body string) int {
	f.t.Helper()
	path := "/apps/" + id + "/events"
	query := auth.SignPusherQuery(key, secret, http.MethodPost, path, []byte(body), time.Now())
	res, err := http.Post("http://"+f.at+path+"?"+query, "application/json", strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// Apps come, go, are switched off, and have other keys, secrets and webhooks, while clients
// of those that stay are not touched.
func TestReloadedPusher(t *testing.T) {
	told := make(chan *http.Request, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r }))
	defer hook.Close()
	f := &appsFile{t: t, path: filepath.Join(t.TempDir(), "apps.json")}
	app := func(id, key, secret, more string) string {
		return fmt.Sprintf(`{"id":%q,"key":%q,"secret":%q%s}`, id, key, secret, more)
	}
	f.write(app("1", "one", "secret-of-one", ""), app("2", "two", "secret-of-two", ""), app("3", "three", "secret-of-three", ""))
	w := write(map[string]string{"PUSHER_APPS": f.path, "PUSHER_PORT": "0"})
	r := w.serve(t)
	f.at = r.Addrs()["PUSHER_PORT"].String()
	stays, goes, off := f.join("one"), f.join("two"), f.join("three")

	f.write(app("1", "uno", "another-of-one", fmt.Sprintf(`,"previous_secret":"secret-of-one","webhooks":[{"url":%q}]`, hook.URL)),
		app("3", "three", "secret-of-three", `,"enabled":false`), app("4", "four", "secret-of-four", ""))
	var changes []string
	for _, c := range r.reload(t).Changed {
		changes = append(changes, c.Text)
	}
	if want := []string{`PUSHER_APPS: app "1" is another one`, `PUSHER_APPS: app "2" is gone`, `PUSHER_APPS: app "3" is another one`, `PUSHER_APPS: app "4" is new`}; !slices.Equal(changes, want) {
		t.Errorf("changed: %q", changes)
	}
	f.ended(goes, 4001)
	f.ended(off, 4003)
	if a, b, c, d, e := f.publish("1", "uno", "secret-of-one"), f.publish("1", "uno", "another-of-one"), f.publish("2", "two", "secret-of-two"), f.publish("3", "three", "secret-of-three"), f.publish("4", "four", "secret-of-four"); a != 200 || b != 200 || c != 404 || d != 403 || e != 200 {
		t.Errorf("events: %d with the previous secret, %d with the new one, %d of none, %d of one that is off, %d of a new one", a, b, c, d, e)
	}
	for range 2 {
		f.hears(stays, `"event":"e"`)
	}
	f.join("four")
	late := f.join("uno")
	// What an application has signed with the previous secret lets a client in.
	var established struct{ Data string }
	private, _, err := websocket.DefaultDialer.Dial("ws://"+f.at+"/app/uno?protocol=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer private.Close()
	_ = private.SetReadDeadline(time.Now().Add(patience))
	if err := json.Unmarshal([]byte(f.hears(private, "connection_established")), &established); err != nil {
		t.Fatal(err)
	}
	var socket struct {
		ID string `json:"socket_id"`
	}
	if err := json.Unmarshal([]byte(established.Data), &socket); err != nil {
		t.Fatal(err)
	}
	f.says(private, fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"uno:%s"}}`, auth.PusherSign("secret-of-one", socket.ID+":private-x")))
	f.hears(private, "subscription_succeeded")
	var counted []string
	for _, m := range r.metrics() {
		if m.Name == "previous_secret_total" {
			for _, s := range m.Samples {
				counted = append(counted, fmt.Sprint(strings.Join(s.Labels, " "), " ", s.Value))
			}
		}
	}
	if !slices.Contains(counted, "pusher sender 1") || !slices.Contains(counted, "pusher client 1") {
		t.Errorf("counted: %q", counted)
	}
	select {
	case r := <-told:
		if r.Header.Get("X-Pusher-Key") != "uno" {
			t.Errorf("the webhook is told with the key %s", r.Header.Get("X-Pusher-Key"))
		}
	case <-time.After(patience):
		t.Error("the new webhook is told nothing")
	}

	f.write(app("1", "uno", "another-of-one", ""), app("2", "two", "secret-of-two-again", ""))
	r.reload(t)
	if a, b, c := f.publish("1", "uno", "secret-of-one"), f.publish("1", "uno", "another-of-one"), f.publish("2", "two", "secret-of-two-again"); a != 401 || b != 200 || c != 200 {
		t.Errorf("events: %d with the previous secret, %d with the new one, %d of one that is back", a, b, c)
	}
	f.hears(stays, `"event":"e"`)
	f.hears(late, `"event":"e"`)
}
