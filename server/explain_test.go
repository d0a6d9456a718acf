package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/sends"
)

const pusherKey, pusherSecret = "app-key", "app-secret-of-the-test"

// explained runs Poosh and a Pusher app, 1, which share their rooms if bridge says so.
func explained(t *testing.T, bridge bool) *running {
	t.Helper()
	env := map[string]string{"PUSHER_PORT": "0", "PUSHER_APP_ID": "1", "PUSHER_APP_KEY": pusherKey, "PUSHER_APP_SECRET": pusherSecret,
		"PUSHER_CLIENT_EVENTS": "on", "PUSHER_MAX_EVENT_BYTES": "100000"}
	if bridge {
		env["BRIDGE"] = "1"
	}
	r := run(t, env, nil)
	r.hub.Remember()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		r.stop()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	})
	return r
}

// post sends a request and returns its answer, with the body.
func post(t *testing.T, url, body string, header map[string]string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// pooshSend is POST /send, with a query.
func (r *running) pooshSend(t *testing.T, query, room, event, payload string) (*http.Response, string) {
	t.Helper()
	body := `{"room":"` + room + `","event":"` + event + `","payload":` + payload + `}`
	if room == "*" {
		body = `{"event":"` + event + `","payload":` + payload + `}`
	}
	return post(t, "http://"+r.sender+"/send"+query, body, map[string]string{
		"Content-Type": "application/json", "Authorization": auth.PooshSign(testSecret, []byte(payload))})
}

// pusherCall is a signed POST to app 1, with parameters beside those that sign it.
func (r *running) pusherCall(t *testing.T, path, body string, more ...string) (*http.Response, string) {
	t.Helper()
	path = "/apps/1" + path
	query := auth.SignPusherQuery(pusherKey, pusherSecret, http.MethodPost, path, []byte(body), time.Now(), more...)
	return post(t, "http://"+r.Addrs()["PUSHER_PORT"].String()+path+"?"+query, body, nil)
}

// subscribe connects a Pusher client and returns its socket id.
func (r *running) subscribe(t *testing.T, channel string) (*websocket.Conn, string) {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.Addrs()["PUSHER_PORT"].String()+"/app/"+pusherKey+"?protocol=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	var hello struct{ Data string }
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := ws.ReadJSON(&hello); err != nil || json.Unmarshal([]byte(hello.Data), &data) != nil {
		t.Fatal(err, hello)
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"event":"pusher:subscribe","data":{"channel":"`+channel+`"}}`)); err != nil {
		t.Fatal(err)
	}
	r.hear(t, ws, `{"event":"pusher_internal:subscription_succeeded"`)
	return ws, data.SocketID
}

// four connects a client of Engine.IO protocol 4 that joins a room.
func (r *running) four(t *testing.T, room string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.client+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	r.hear(t, ws, "0{")
	for _, text := range []string{"40", `42["room","` + room + `"]`} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	r.hear(t, ws, "40{")
	r.joined(t, room, 1)
	return ws
}

// poller connects a client of protocol 3 that polls, joins a room and then does not poll.
func (r *running) poller(t *testing.T, room string) (url string) {
	t.Helper()
	url = "http://" + r.client + "/socket.io/?EIO=3&transport=polling&b64=1"
	get := func() string {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return string(text)
	}
	_, open, _ := strings.Cut(get(), ":0")
	var hello struct{ Sid string }
	if err := json.NewDecoder(strings.NewReader(open)).Decode(&hello); err != nil {
		t.Fatal(err, open)
	}
	url += "&sid=" + hello.Sid
	get() // the connect packet
	packet := `42["room","` + room + `"]`
	if res, body := post(t, url, fmt.Sprintf("%d:%s", len(packet), packet), map[string]string{"Content-Type": "text/plain;charset=UTF-8"}); res.StatusCode != 200 {
		t.Fatal(res.Status, body)
	}
	r.joined(t, room, 1)
	return url
}

// joined waits until so many are in a room.
func (r *running) joined(t *testing.T, room string, n int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if got, _ := r.hub.Count("", room); got >= n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody joined %s", room)
		}
	}
}

// account reads the account in an answer, whose headers must say the same.
func account(t *testing.T, res *http.Response, body string) *sends.Account {
	t.Helper()
	a := new(sends.Account)
	if err := json.Unmarshal([]byte(body), a); err != nil || res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %v: %s", res.Status, res.Header, body)
	}
	if a.ID == "" || res.Header.Get("X-Poosh-Id") != a.ID {
		t.Errorf("id %q, in the header %q", a.ID, res.Header.Get("X-Poosh-Id"))
	}
	return a
}

// sum is an account in a line: who was there by kind, and the causes with their counts.
func sum(a *sends.Account) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d/%d", a.Handed, a.Matched)
	for _, room := range a.Rooms {
		for _, by := range room.By {
			fmt.Fprintf(&b, " %s%s %s %d/%d", by.Dialect, by.App, by.Kind, by.Handed, by.Matched)
			if by.Waiting > 0 {
				fmt.Fprintf(&b, " (%d waiting)", by.Waiting)
			}
		}
		for _, left := range room.LeftOut {
			fmt.Fprintf(&b, ", %s %d", left.Cause, left.Count)
		}
	}
	return b.String()
}

// explain sends with Poosh and returns the account.
func (r *running) explain(t *testing.T, room, event, payload string) *sends.Account {
	t.Helper()
	res, body := r.pooshSend(t, "?explain=1", room, event, payload)
	a := account(t, res, body)
	if got := res.Header.Get("X-Poosh-Delivered"); got != fmt.Sprint(a.Handed) {
		t.Errorf("X-Poosh-Delivered %s, handed %d", got, a.Handed)
	}
	return a
}

// trigger sends with Pusher and returns the account.
func (r *running) trigger(t *testing.T, body string) *sends.Account {
	t.Helper()
	res, text := r.pusherCall(t, "/events", body, "explain=1")
	return account(t, res, text)
}

func expect(t *testing.T, a *sends.Account, want string) {
	t.Helper()
	if got := sum(a); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Each of the seven causes of an event that did not arrive has its own explanation.
func TestWhyItDidNotArrive(t *testing.T) {
	r := explained(t, false)
	expect(t, r.explain(t, "news", "e", "1"), "0/0, nobody_there 0")
	expect(t, r.explain(t, "*", "e", "1"), "0/0, nobody_there 0")

	there := r.listen(t, "there")
	expect(t, r.explain(t, "News", "e", "1"), "0/0, no_such_room 0")

	_, socket := r.subscribe(t, "news")
	expect(t, r.explain(t, "news", "e", "1"), "0/0, other_app 0")
	expect(t, r.trigger(t, `{"name":"e","channel":"there","data":"1"}`), "0/0, other_app 0")

	expect(t, r.trigger(t, `{"name":"e","channel":"news","data":"1","socket_id":"`+socket+`"}`), "0/1 pusher1 protocol 7 0/1, excluded 1")

	r.four(t, "four")
	expect(t, r.explain(t, "four", "disconnect", "1"), "0/1 socket.io EIO4 websocket 0/1, refused_name 1")
	if res, body := r.pooshSend(t, "?explain=1", "four", "connect", "1"); res.StatusCode != 400 || !strings.HasSuffix(body, `,"cause":"refused_name"}`) {
		t.Errorf("a name that is refused to all: %s %s", res.Status, body)
	}
	if res, body := r.pusherCall(t, "/events", `{"name":"pusher:e","channel":"news","data":"1"}`, "explain=1"); res.StatusCode != 400 || !strings.Contains(body, `"cause":"refused_name"`) {
		t.Errorf("a name of Pusher's own: %s %s", res.Status, body)
	}

	_ = there.Close()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		a := r.explain(t, "there", "e", "1")
		if a.Matched > 0 && time.Now().Before(end) {
			continue // the server has not seen the end yet
		}
		expect(t, a, "0/0, closed 0")
		if left := a.Rooms[0].Left; len(left) != 1 || left[0].Why != "transport close" || left[0].Client == "" {
			t.Errorf("who left: %+v", left)
		}
		break
	}
}

// Who does not read is closed as it is handed one event too many: that one says so, and
// those behind it that it is gone.
func TestWhySlow(t *testing.T) {
	payload := `"` + strings.Repeat("x", 90_000) + `"`
	for name, connect := range map[string]func(*running, *testing.T){
		"EIO3 websocket": func(r *running, t *testing.T) { r.listen(t, "r") },
		"EIO3 polling":   func(r *running, t *testing.T) { r.poller(t, "r") },
		"protocol 7":     func(r *running, t *testing.T) { r.subscribe(t, "r") },
	} {
		t.Run(name, func(t *testing.T) {
			r := explained(t, false)
			connect(r, t)
			send := func() *sends.Account { return r.explain(t, "r", "e", payload) }
			by := "socket.io " + name
			if name == "protocol 7" {
				by = "pusher1 " + name
				send = func() *sends.Account { return r.trigger(t, `{"name":"e","channel":"r","data":`+payload+`}`) }
			}
			a := send()
			for i := 0; a.Handed == 1 && i < 2000; i++ {
				if waits := a.Rooms[0].By[0].Waiting; waits != 0 != strings.Contains(name, "polling") {
					t.Fatalf("%d waiting", waits)
				}
				a = send()
			}
			expect(t, a, "0/1 "+by+" 0/1, too_slow 1")
			for end := time.Now().Add(patience); a.Matched > 0 && time.Now().Before(end); a = send() {
				time.Sleep(time.Millisecond)
			}
			expect(t, a, "0/0, closed 0")
			if left := a.Rooms[0].Left; len(left) != 1 || left[0].Why != "slow consumer" {
				t.Errorf("who left: %+v", left)
			}
		})
	}
}

// Over the bridge both dialects' clients are there, by kind; what one of them cannot have
// is left out there alone.
func TestExplainBothDialects(t *testing.T) {
	r := explained(t, true)
	r.listen(t, "news")
	r.four(t, "news")
	_, socket := r.subscribe(t, "news")
	r.poller(t, "news")
	r.joined(t, "news", 3)
	const all = "pusher1 protocol 7 1/1 socket.io EIO3 polling 1/1 (1 waiting) socket.io EIO3 websocket 1/1 socket.io EIO4 websocket 1/1"
	expect(t, r.explain(t, "news", "e", "1"), "4/4 "+all)
	expect(t, r.trigger(t, `{"name":"e","channel":"news","data":"1"}`), "4/4 "+all)
	expect(t, r.trigger(t, `{"name":"e","channel":"news","data":"1","socket_id":"`+socket+`"}`),
		"3/4 "+strings.Replace(all, "protocol 7 1/1", "protocol 7 0/1", 1)+", excluded 1")
	expect(t, r.explain(t, "news", "pusher:e", "1"), "3/4 "+strings.Replace(all, "protocol 7 1/1", "protocol 7 0/1", 1)+", refused_name 1")
	expect(t, r.explain(t, "*", "e", "1"), "3/3 "+strings.TrimPrefix(all, "pusher1 protocol 7 1/1 "))
}

// What an answer has without explain is what it had, and one header more.
func TestAnswersHaveAnID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-v]{8}-[0-9]{12}$`)
	r := explained(t, false)
	before := ""
	for _, query := range []string{"", "?explain", "?explain=0", "?x=1"} {
		res, body := r.pooshSend(t, query, "r", "e", "1")
		id := res.Header.Get("X-Poosh-Id")
		if res.StatusCode != 200 || body != "" || res.ContentLength != 0 || !form.MatchString(id) || id <= before || res.Header.Get("Content-Type") != "" {
			t.Errorf("%s: %s %v %q", query, res.Status, res.Header, body)
		}
		before = id
	}
	for path, body := range map[string]string{
		"/events":         `{"name":"e","channel":"c","data":"1"}`,
		"/users/7/events": `{"name":"e","data":"1"}`,
		"/batch_events":   `{"batch":[{"name":"e","channel":"c","data":"1"},{"name":"f","channel":"c","data":"1"}]}`,
	} {
		if res, text := r.pusherCall(t, path, body); res.StatusCode != 200 || text != "{}" || !form.MatchString(res.Header.Get("X-Poosh-Id")) {
			t.Errorf("%s: %s %v %s", path, res.Status, res.Header, text)
		}
	}
	// What is refused, and what is no send, has none; nor is a wrong token explained.
	if res, body := r.pusherCall(t, "/events", `{"channel":"c","data":"1"}`); res.StatusCode != 400 || res.Header.Get("X-Poosh-Id") != "" {
		t.Errorf("refused: %s %v %s", res.Status, res.Header, body)
	}
	res, body := post(t, "http://"+r.sender+"/send?explain=1", `{"room":"r","event":"e","payload":1}`,
		map[string]string{"Content-Type": "application/json", "Authorization": strings.Repeat("0", 40)})
	if res.StatusCode != 401 || body != "" || res.Header.Get("X-Poosh-Id") != "" {
		t.Errorf("a wrong token: %s %v %s", res.Status, res.Header, body)
	}
	unsigned := "http://" + r.Addrs()["PUSHER_PORT"].String() + "/apps/1/events?explain=1&auth_key=" + pusherKey
	if res, body := post(t, unsigned, `{"name":"e","channel":"c","data":"1"}`, nil); res.StatusCode != 401 || strings.Contains(body, "matched") {
		t.Errorf("unsigned: %s %s", res.Status, body)
	}
}

// A list of events has an account of each, beside what else was asked for.
func TestExplainLists(t *testing.T) {
	r := explained(t, false)
	r.subscribe(t, "c")
	_, text := r.pusherCall(t, "/batch_events", `{"batch":[{"name":"e","channel":"c","data":"1","info":"subscription_count"},{"name":"f","channel":"d","data":"1"}]}`, "explain=1")
	var batch struct {
		ID     string
		Events []sends.Account
		Batch  []json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &batch); err != nil || len(batch.Events) != 2 || len(batch.Batch) != 2 {
		t.Fatal(err, text)
	}
	expect(t, &batch.Events[0], "1/1 pusher1 protocol 7 1/1")
	expect(t, &batch.Events[1], "0/0, no_such_room 0")
	if batch.Events[1].ID != batch.ID+".2" || batch.Events[1].Event != "f" {
		t.Errorf("%+v", batch.Events[1])
	}
	res, text := r.pusherCall(t, "/events", `{"name":"e","channels":["c","d"],"data":"1","info":"subscription_count"}`, "explain=1")
	a := account(t, res, text)
	expect(t, a, "1/1 pusher1 protocol 7 1/1, no_such_room 0")
	if !strings.HasSuffix(text, `,"channels":{"c":{"subscription_count":1},"d":{"subscription_count":0}}}`) || len(a.Rooms) != 2 || *a.Rooms[1].Room != "d" {
		t.Error(text)
	}
}
