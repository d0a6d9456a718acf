package server

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poosh/server/sends"
)

// TestSendsAreWatched sends in every dialect: who watches is told of each event, to each
// of its rooms, in the order of the sends.
func TestSendsAreWatched(t *testing.T) {
	r := run(t, map[string]string{
		"PUSHER_PORT": "0", "PUSHER_APP_ID": "1", "PUSHER_APP_KEY": pusherKey, "PUSHER_APP_SECRET": pusherSecret,
		"SOCKTOPUS_PORT": "0", "DEMO_SOCKTOPUS_SECRET": testSecret,
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(t.TempDir(), "x.db"),
	}, nil)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &pushDevice{"http://" + r.Addrs()["PUSH_SOCKET_PORT"].String(), base64.StdEncoding.EncodeToString(public) + "|1", private}
	if status, answer := d.ask(t, "POST", "/api/v1/key/initial", `{"lastResortKey":{},"prekeys":[{}]}`, ""); status != 200 {
		t.Fatal(status, answer)
	}
	r.listen(t, "news")
	watcher, err := r.sends.Watch(sends.Filter{Payload: true})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()

	var ids []string
	sent := func(res *http.Response, _ string) { ids = append(ids, res.Header.Get("X-Poosh-Id")) }
	sent(r.pooshSend(t, "", "news", "e", `{"a":1}`))
	sent(r.pooshSend(t, "?explain=1", "*", "e", "2"))
	sent(r.pusherCall(t, "/events", `{"name":"e","channels":["c","d"],"data":"x\"y"}`))
	sent(r.pusherCall(t, "/batch_events", `{"batch":[{"name":"e","channel":"c","data":"1"},{"name":"f","channel":"d","data":"2"}]}`))
	sent(post(t, "http://"+r.Addrs()["SOCKTOPUS_PORT"].String()+"/send",
		`{"secretName":"demo","secret":"`+testSecret+`","messages":[{"recipient":"5","content":"a\"b"}]}`, nil))
	if status, answer := d.ask(t, "POST", "/api/v1/message", fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%q}],"body":"bbb"}]}`, d.username), ""); status != 200 {
		t.Fatal(status, answer)
	}
	var got []string
	list, dropped := watcher.Take()
	for _, s := range list {
		for i, id := range ids {
			s.ID = strings.Replace(s.ID, id, fmt.Sprint(i), 1)
		}
		if s.Dialect == "push socket" { // whose id its sender alone was told
			s.ID = s.ID[len(s.ID)-2:]
		}
		got = append(got, fmt.Sprintf("%s %s %s %q %v %s %d %d %s", s.ID, s.Dialect, s.App, s.Room, s.Everyone, s.Event, s.Size, s.Handed, s.Payload))
	}
	want := []string{
		`0 socket.io  "news" false e 7 1 {"a":1}`,
		`1 socket.io  "" true e 1 1 2`,
		`2 pusher 1 "c" false e 3 0 "x\"y"`,
		`2 pusher 1 "d" false e 3 0 "x\"y"`,
		`3.1 pusher 1 "c" false e 1 0 "1"`,
		`3.2 pusher 1 "d" false f 1 0 "2"`,
		`4.1 socktopus demo "5" false  3 0 "a\"b"`,
		`.1 push socket  "1" false message 7 0 `,
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w || dropped != 0 {
		t.Errorf("told of\n%s\nwant\n%s", g, w)
	}
	http.DefaultClient.CloseIdleConnections()
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	select {
	case <-watcher.Over():
	case <-time.After(patience):
		t.Error("the watching did not end with the server")
	}
}
