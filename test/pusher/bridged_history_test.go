package pusher_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
)

// What is sent to the rooms that two dialects share: by so many publishers each, and so many
// events each. The answer to a question for a channel's history holds them all.
const (
	bridgedPublishers = 2
	bridgedEvents     = 45 // of which three are in one batch
)

var bridgedRooms = []string{"r0", "r1"}

// A placedEvent is an event of one of these rooms as a reader got it.
type placedEvent struct {
	room, label string // its publisher and its number
	place       string // in the order of the reader's side, as text that sorts
}

// post sends a body with a method of the senders' own and wants it accepted.
func post(url, contentType, authorization, body string) error {
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return nil
}

// publishBridged has all publishers send at the same time: some by POST /send, others batches of
// the Pusher API. It counts what is accepted in count, and returns when all is.
func publishBridged(t *testing.T, s *server, count *atomic.Int64) {
	t.Helper()
	var all sync.WaitGroup
	send := func(f func() error, n int) {
		if err := f(); err != nil {
			t.Error(err)
		}
		count.Add(int64(n))
		time.Sleep(10 * time.Millisecond)
	}
	for p := range bridgedPublishers {
		all.Go(func() {
			for n := range bridgedEvents {
				payload := fmt.Sprintf(`"s%d %d"`, p, n)
				body := fmt.Sprintf(`{"room":%q,"event":"e","payload":%s}`, bridgedRooms[n%2], payload)
				send(func() error {
					return post(fmt.Sprintf("http://127.0.0.1:%d/send", s.sender), "application/json", auth.PooshSign(pooshKey, []byte(payload)), body)
				}, 1)
			}
		})
		all.Go(func() {
			for n := 0; n < bridgedEvents; n += 3 {
				var batch []map[string]any
				for i := n; i < n+3; i++ {
					batch = append(batch, map[string]any{"channel": bridgedRooms[i%2], "name": "e", "data": fmt.Sprintf("b%d %d", p, i)})
				}
				body, path := marshal(map[string]any{"batch": batch}), "/apps/"+appID+"/batch_events"
				send(func() error {
					query := auth.SignPusherQuery(appKey, appSecret, "POST", path, []byte(body), time.Now())
					return post(fmt.Sprintf("http://127.0.0.1:%d%s?%s", s.port, path, query), "application/json", "", body)
				}, 3)
			}
		})
	}
	all.Wait()
}

// dialIO connects a client of socket.io 4 that asks for its rooms with since, a position or null,
// and returns the position that the server answers.
func dialIO(t *testing.T, s *server, since string) (*raw, func() (placedEvent, string)) {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://127.0.0.1:%d/socket.io/?EIO=4&transport=websocket", s.client), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	c := &raw{t: t, ws: ws}
	c.read()
	c.send("40")
	c.read()
	c.send(`420["room","` + bridgedRooms[0] + `",{"since":` + since + `,"rooms":["` + bridgedRooms[1] + `"]}]`)
	// next returns an event, or the answer to the join.
	return c, func() (e placedEvent, answer string) {
		t.Helper()
		for {
			text := c.read()
			var args []string
			switch {
			case text == "2":
				c.send("3")
			case strings.HasPrefix(text, "430"):
				return e, text[3:]
			case !strings.HasPrefix(text, "42") || json.Unmarshal([]byte(text[2:]), &args) != nil || len(args) != 3 || args[0] != "e":
				t.Fatalf("the socket.io client received %s", text)
			default:
				return placedEvent{roomOf(t, args[1]), args[1], args[2]}, ""
			}
		}
	}
}

// roomOf is where an event goes.
func roomOf(t *testing.T, label string) string {
	t.Helper()
	var by string
	var n int
	if _, err := fmt.Sscanf(label, "%s %d", &by, &n); err != nil {
		t.Fatalf("an event %q: %v", label, err)
	}
	return bridgedRooms[n%2]
}

// checkBridged wants all events, each once, those of each publisher in its order, and all of them
// in that of their places.
func checkBridged(t *testing.T, who string, all []placedEvent) {
	t.Helper()
	next := make(map[string]int)
	for i, e := range all {
		by, number, _ := strings.Cut(e.label, " ")
		if want := fmt.Sprint(next[by]); number != want {
			t.Fatalf("%s: %s came where %s %s was due", who, e.label, by, want)
		}
		next[by]++
		if i > 0 && e.place <= all[i-1].place {
			t.Fatalf("%s: %s is at %s, and came behind %s", who, e.label, e.place, all[i-1].place)
		}
	}
	if want := 2 * bridgedPublishers * bridgedEvents; len(all) != want || len(next) != 2*bridgedPublishers {
		t.Fatalf("%s: %d events of %d publishers, want %d", who, len(all), len(next), want)
	}
}

// of are the events of a room.
func of(all []placedEvent, room string) []placedEvent {
	return slices.DeleteFunc(slices.Clone(all), func(e placedEvent) bool { return e.room != room })
}

// TestBridgedHistory has events come to the same rooms by POST /send and in batches of the Pusher
// API, by several publishers at once. Each side has one order of all of them: clients see it, with
// places that ascend, also those who were away meanwhile, and what is kept stands in it.
func TestBridgedHistory(t *testing.T) {
	s := start(t, "SERVER_SECRET="+pooshKey, "BRIDGE="+appID, "HISTORY=5m", "PUSHER_HISTORY=5m")
	d := drive(t, s)
	v2 := dialRaw(t, s, "?protocol=2")
	var pages []*client
	for _, w := range ways {
		c := d.open(s, w, w.name, "1", map[string]any{"resume": true})
		c.wait("connected", "", 1)
		c.join(bridgedRooms...)
		pages = append(pages, c)
	}
	for _, room := range bridgedRooms {
		v2.send(`{"event":"sockudo:subscribe","data":{"channel":"` + room + `"}}`)
		v2.read()
	}
	io, next := dialIO(t, s, "null")
	if _, answer := next(); answer == "" {
		t.Fatal("an event came before the answer")
	}
	var count atomic.Int64
	published := make(chan struct{})
	go func() {
		defer close(published)
		publishBridged(t, s, &count)
	}()
	defer func() { <-published }()
	const all = 2 * bridgedPublishers * bridgedEvents
	var heard []placedEvent
	for len(heard) < all/6 {
		e, _ := next()
		heard = append(heard, e)
	}
	_ = io.ws.Close() // whatever of it has come meanwhile
	for _, c := range pages {
		c.op("disconnect")
		c.wait("state", "disconnected", 1)
	}
	eventually(t, "more to be accepted", func() bool { return count.Load() > all/2 })
	_, next = dialIO(t, s, `"`+heard[len(heard)-1].place+`"`)
	for _, c := range pages {
		c.op("connect")
	}
	for len(heard) < all {
		e, answer := next()
		if answer != "" {
			if !strings.Contains(answer, `"recovered":true`) {
				t.Errorf("the socket.io client was told %s", answer)
			}
			continue
		}
		heard = append(heard, e)
	}
	checkBridged(t, "socket.io", heard)
	var placed []placedEvent
	for range all {
		var f struct {
			Channel, Data string
			Serial        uint64
			MessageID     string `json:"message_id"`
		}
		if text := v2.read(); json.Unmarshal([]byte(text), &f) != nil || f.Serial == 0 || f.MessageID == "" || f.Channel != roomOf(t, f.Data) {
			t.Fatalf("the client of protocol 2 received %s", text)
		}
		placed = append(placed, placedEvent{f.Channel, f.Data, fmt.Sprintf("%09d", f.Serial)})
	}
	checkBridged(t, "protocol 2", placed)
	t.Logf("both sides have them in the same order: %v", slices.EqualFunc(heard, placed, func(a, b placedEvent) bool { return a.label == b.label }))
	for _, room := range bridgedRooms {
		var want []string
		for _, e := range of(placed, room) {
			want = append(want, marshal(e.label))
		}
		for _, c := range pages {
			if got := c.events(room, "e", len(want)); !slices.Equal(got, want) {
				t.Errorf("%s has in %s %s, want %s", c.id, room, got, want)
			}
		}
		if got, want := keptOfPusher(d, room), of(placed, room); !slices.Equal(got, want) {
			t.Errorf("the Pusher API keeps of %s %v, want %v", room, got, want)
		}
		if got, want := keptOfPoosh(t, s, room), of(heard, room); !slices.Equal(got, want) {
			t.Errorf("GET /history keeps of %s %v, want %v", room, got, want)
		}
	}
	for _, c := range pages {
		if failed := d.seen(c.id, "channel", "pusher:resume_failed", ""); len(failed) > 0 {
			t.Errorf("%s is not resumed: %+v", c.id, failed)
		}
	}
}

// keptOfPusher asks the Pusher API for a channel's history with the npm library.
func keptOfPusher(d *driver, room string) (all []placedEvent) {
	d.t.Helper()
	r := d.call("get", map[string]any{"path": "/channels/" + room + "/history", "params": map[string]any{"direction": "oldest_first"}})
	var page struct {
		Items []struct {
			Serial  uint64
			Message struct{ Data string }
		}
		HasMore bool `json:"has_more"`
	}
	if json.Unmarshal([]byte(r.Text), &page) != nil || r.Name != "200" || page.HasMore {
		d.t.Fatalf("history: %.500s", r.Text)
	}
	for _, item := range page.Items {
		all = append(all, placedEvent{room, item.Message.Data, fmt.Sprintf("%09d", item.Serial)})
	}
	return all
}

// keptOfPoosh asks SERVER_PORT for a room's history.
func keptOfPoosh(t *testing.T, s *server, room string) (all []placedEvent) {
	t.Helper()
	path := "/history?limit=1000&since=all&room=" + room
	req, err := http.NewRequest("GET", fmt.Sprintf("http://127.0.0.1:%d%s", s.sender, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth.PooshSign(pooshKey, []byte(path)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct {
		Events         []struct{ ID, Payload string }
		Complete, More bool
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || !page.Complete || page.More {
		t.Fatalf("GET /history: %s, %+v, %v", resp.Status, page, err)
	}
	for _, e := range page.Events {
		all = append(all, placedEvent{room, e.Payload, e.ID})
	}
	return all
}
