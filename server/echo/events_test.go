package echo

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/echo/api"
	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/presence/presencetest"
	"poosh/server/sends"
)

// withKey has the HTTP API answer who asks by [place.post].
func withKey(c *Config) { c.API = api.Config{Apps: []api.App{{ID: "a1b2", Key: "key"}}} }

// post sends an event by the HTTP API.
func (p *place) post(query, body string) (status int, answer string, head http.Header) {
	p.t.Helper()
	res, err := http.Post("http://"+p.addr+"/apps/a1b2/events?auth_key=key"+query, "application/json", strings.NewReader(body))
	if err != nil {
		p.t.Error(err)
		return 0, "", nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Error(err)
	}
	return res.StatusCode, string(text), res.Header
}

// explained is post of an event that is sent, and what became of it.
func (p *place) explained(body string) (a sends.Account, head http.Header) {
	p.t.Helper()
	status, answer, head := p.post("&explain=1", body)
	var ok struct{ Message string }
	if json.Unmarshal([]byte(answer), &a) != nil || json.Unmarshal([]byte(answer), &ok) != nil || status != 200 || ok.Message != "ok" {
		p.t.Errorf("%s: %d %s", body, status, answer)
	}
	if a.ID == "" || head.Get("X-Poosh-Id") != a.ID {
		p.t.Errorf("the id is %q, in the header %q", a.ID, head.Get("X-Poosh-Id"))
	}
	return a, head
}

// causes are those of one room.
func causes(r sends.RoomAccount) (list []string) {
	for _, l := range r.LeftOut {
		list = append(list, string(l.Cause)+" "+strconv.Itoa(l.Count))
	}
	return list
}

// Who sends by the HTTP API is told by headers which event it was and who took it, and what became of
// it for each channel if it asks. Everybody else has what the original answered, to the byte.
func TestExplain(t *testing.T) {
	p := newPlace(t, withKey)
	w, other, old := p.page("40"), p.page("40"), p.old(3)
	for i, page := range []*page{w, other, old} {
		page.join("orders", "", i)
	}
	other.join("news", "", 0)

	const event = `{"channels":["orders","news","nobody"],"name":"e","data":1,"socket_id":`
	status, answer, head := p.post("", event+`"`+w.sid+`"}`)
	if status != 200 || answer != `{"message":"ok"}` || head.Get("X-Poosh-Delivered") != "3" || head.Get("X-Poosh-Id") == "" {
		t.Errorf("%d %s %v", status, answer, head)
	}
	a, head := p.explained(event + `"` + w.sid + `"}`)
	if a.Event != "e" || a.Matched != 4 || a.Handed != 3 || len(a.Rooms) != 3 || a.Uncounted || head.Get("X-Poosh-Delivered") != "3" {
		t.Fatalf("%+v, %v", a, head)
	}
	if got := p.traffic.Totals(); got.Published != 6 || got.Delivered != 6 {
		t.Errorf("the traffic is %+v", got)
	}
	for i, want := range []struct {
		room            string
		matched, handed int
		by              []sends.By
		causes          []string
	}{
		{"orders", 3, 2, []sends.By{{Dialect: "echo", Kind: "EIO3 websocket", Matched: 1, Handed: 1}, {Dialect: "echo", Kind: "EIO4 websocket", Matched: 2, Handed: 1}}, []string{"excluded 1"}},
		{"news", 1, 1, []sends.By{{Dialect: "echo", Kind: "EIO4 websocket", Matched: 1, Handed: 1}}, nil},
		{"nobody", 0, 0, []sends.By{}, []string{"no_such_room 0"}},
	} {
		if r := a.Rooms[i]; *r.Room != want.room || r.Matched != want.matched || r.Handed != want.handed || !slices.Equal(r.By, want.by) || !slices.Equal(causes(r), want.causes) {
			t.Errorf("%s: %+v %v, want %+v", *r.Room, r, causes(r), want)
		}
	}
	for range 2 {
		other.wants(`42["e","orders",1]`, `42["e","news",1]`)
		old.wants(`42["e","orders",1]`)
	}
	w.quiet()
	for _, body := range []string{`{"channel":"orders","name":"disconnect","data":1}`, `{"channel":"` + strings.Repeat("x", 1000) + `","name":"e","data":1}`} {
		_, plain, _ := p.post("", body)
		status, answer, head := p.post("&explain=1", body)
		if status != 400 || answer != strings.TrimSuffix(plain, "}")+`,"cause":"refused_name"}` || head["X-Poosh-Id"] != nil {
			t.Errorf("%d %s, and without an explanation %s", status, answer, plain)
		}
	}
}

// In a cluster an account is of all nodes, or says that nobody counts.
func TestExplainAcross(t *testing.T) {
	engine := presencetest.New()
	t.Cleanup(engine.Close)
	a, b := nodePlace(t, engine.Node("a", nil), withKey), nodePlace(t, engine.Node("b", nil), withKey)
	w, other := a.page("40"), b.page("40")
	w.join("orders", "", 0)
	other.join("orders", "", 0)
	const event = `{"channel":"orders","name":"e","data":1}`
	if got, head := a.explained(event); got.Matched != 2 || got.Handed != 2 || head.Get("X-Poosh-Delivered") != "2" {
		t.Errorf("%+v %v", got, head)
	}
	if got := a.traffic.Totals(); got.Published != 1 || got.Delivered != 0 {
		t.Errorf("each node counts its own, and the one that published has counted %+v", got)
	}
	w.wants(`42["e","orders",1]`)
	other.wants(`42["e","orders",1]`)
	status, answer, head := a.post("", event)
	if status != 200 || answer != `{"message":"ok"}` || head["X-Poosh-Delivered"] != nil || head.Get("X-Poosh-Id") == "" {
		t.Errorf("%d %s %v", status, answer, head)
	}

	for _, row := range []struct {
		handed hub.Handed
		status int
	}{{hub.Handed{Took: -1, Nodes: 3}, 200}, {hub.Handed{Err: hub.ErrAway}, 503}, {hub.Handed{Err: hub.ErrUncertain}, 503}} {
		far := servePlace(t, hub.NewWith(answering{row.handed}, nil), withKey)
		if row.status != 200 {
			if status, answer, head := far.post("&explain=1", event); status != row.status || answer != `{"error":`+strconv.Quote(row.handed.Err.Error())+`}` || head["X-Poosh-Id"] != nil {
				t.Errorf("%v: %d %s %v", row.handed.Err, status, answer, head)
			}
			continue
		}
		got, head := far.explained(event)
		if !got.Uncounted || got.Nodes != 3 || got.Text == "" || got.Matched != 0 || len(got.Rooms) != 1 || len(got.Rooms[0].LeftOut) != 0 || head["X-Poosh-Delivered"] != nil {
			t.Errorf("%+v %v", got, head)
		}
	}
}

// Where the time is over the rest is published without asking, and the account does not pass for one of all.
func TestExplainOutOfTime(t *testing.T) {
	p := servePlace(t, hub.NewWith(answering{hub.Handed{Took: 2, Nodes: 3}}, nil), withKey)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	sent, err := door{p.Dialect}.Publish(over, api.Event{Channels: []string{"orders", "news"}, Name: "e", Data: []byte("1")}, true)
	if a := sent.Account; err != nil || !a.Uncounted || a.Text == "" || len(a.Rooms) != 2 || *a.Rooms[0].Room != "orders" || *a.Rooms[1].Room != "news" {
		t.Errorf("%+v, %v", sent.Account, err)
	}
}

// Who is answered 503 may try again only where nothing was published: of several channels one may have been.
func TestPartlySent(t *testing.T) {
	for _, row := range []struct {
		became []hub.Handed
		retry  string
		err    error
	}{
		{[]hub.Handed{{Err: hub.ErrAway}, {Err: hub.ErrAway}}, "1", hub.ErrAway},
		{[]hub.Handed{{Err: hub.ErrUncertain}, {Err: hub.ErrAway}}, "", hub.ErrUncertain},
		{[]hub.Handed{{Err: hub.ErrAway}, {Err: hub.ErrUncertain}}, "", hub.ErrUncertain},
		{[]hub.Handed{{Took: -1, Nodes: 1}, {Err: hub.ErrAway}}, "", hub.ErrUncertain},
		{[]hub.Handed{{Err: hub.ErrAway}, {Took: -1, Nodes: 1}}, "", hub.ErrUncertain},
	} {
		for _, query := range []string{"", "&explain=1"} {
			p := servePlace(t, hub.NewWith(&inTurn{left: row.became}, nil), withKey)
			status, answer, head := p.post(query, `{"channels":["a","b"],"name":"e","data":1}`)
			if status != 503 || head.Get("Retry-After") != row.retry || answer != `{"error":`+strconv.Quote(row.err.Error())+`}` || head["X-Poosh-Id"] != nil {
				t.Errorf("%v%s: %d %s %v", row.became, query, status, answer, head)
			}
		}
	}
}

// inTurn joins processes, and has an answer for each publication.
type inTurn struct {
	answering
	left []hub.Handed // one request after the other takes of it
}

// Publish implements [hub.Broker].
func (a *inTurn) Publish(_ *hub.Publication, done func(hub.Handed)) {
	became := a.left[0]
	a.left = a.left[1:]
	done(became)
}

// answering joins processes, and answers the same to all.
type answering struct{ handed hub.Handed }

// Publish implements [hub.Broker].
func (a answering) Publish(_ *hub.Publication, done func(hub.Handed)) { done(a.handed) }

// Occupied and Vacated implement [hub.Broker].
func (answering) Occupied(string, string, bool) {}
func (answering) Vacated(string, string, bool)  {}

// TestExplainHoldsNoPlace has a node not say what became of an event whose sender wants to know. That
// one waits, and keeps no place from other senders.
func TestExplainHoldsNoPlace(t *testing.T) {
	gate := admission.New(neverLate{}, time.Second)
	engine := presencetest.New()
	t.Cleanup(engine.Close)
	slow := engine.Node("b", nil)
	p := nodePlace(t, engine.Node("a", nil), func(c *Config) { withKey(c); c.Gate = gate })
	w := p.page("40")
	w.join("orders", "", 0)
	release := make(chan struct{})
	slow.Enter(presence.Entry{App: "other", Room: "r", Socket: "s", Counted: true}, func(presence.Seated, error) { <-release })
	answer := make(chan sends.Account, 1)
	go func() { // ends with release
		a, _ := p.explained(`{"channel":"orders","name":"e","data":1}`)
		answer <- a
	}()
	w.wants(`42["e","orders",1]`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := gate.Close(ctx); err != nil {
		t.Error("a place is held while nodes are waited for: ", err)
	}
	select {
	case a := <-answer:
		t.Errorf("answered with %+v before all nodes were", a)
	default:
	}
	close(release)
	if a := <-answer; a.Handed != 1 {
		t.Errorf("%+v", a)
	}
}

// TestSendHoldsNoPlace has the engine not say what became of an event. Its sender waits, and keeps no
// place from other senders.
func TestSendHoldsNoPlace(t *testing.T) {
	gate := admission.New(neverLate{}, time.Second)
	published := make(asking, 1)
	p := servePlace(t, hub.NewWith(published, nil), func(c *Config) { withKey(c); c.Gate = gate })
	answer := make(chan int, 1)
	go func() { // ends with done
		status, _, _ := p.post("", `{"channel":"orders","name":"e","data":1}`)
		answer <- status
	}()
	done := <-published
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := gate.Close(ctx); err != nil {
		t.Error("a place is held while the engine is waited for: ", err)
	}
	select {
	case status := <-answer:
		t.Errorf("answered with %d before the engine was there", status)
	default:
	}
	done(hub.Handed{Took: -1, Nodes: 2})
	if status := <-answer; status != 200 {
		t.Error(status)
	}
}

// asking joins processes, and has a test say what became of a publication.
type asking chan func(hub.Handed)

// Publish implements [hub.Broker].
func (a asking) Publish(_ *hub.Publication, done func(hub.Handed)) { a <- done }

// Occupied and Vacated implement [hub.Broker].
func (asking) Occupied(string, string, bool) {}
func (asking) Vacated(string, string, bool)  {}

// TestChannelsAtOnce has an event go to all its channels before the engine says what became of any:
// a hundred take as long as one.
func TestChannelsAtOnce(t *testing.T) {
	const channels = 100
	published := make(asking, channels)
	p := servePlace(t, hub.NewWith(published, nil), withKey)
	names := make([]string, channels)
	for i := range names {
		names[i] = strconv.Quote("c" + strconv.Itoa(i))
	}
	answer := make(chan int, 1)
	go func() { // ends with done
		status, _, _ := p.post("", `{"channels":[`+strings.Join(names, ",")+`],"name":"e","data":1}`)
		answer <- status
	}()
	var waiting []func(hub.Handed)
	for len(waiting) < channels {
		select {
		case done := <-published:
			waiting = append(waiting, done)
		case <-time.After(patience):
			t.Errorf("%d of %d are with the engine, which is yet to answer", len(waiting), channels)
			go func() { // ends with the sender
				for done := range published {
					done(hub.Handed{})
				}
			}()
			defer close(published)
			for _, done := range waiting {
				done(hub.Handed{})
			}
			<-answer
			return
		}
	}
	for i, done := range waiting {
		select {
		case status := <-answer:
			t.Errorf("answered with %d when %d were there", status, i)
		default:
		}
		done(hub.Handed{Took: -1, Nodes: 2})
	}
	if status := <-answer; status != 200 {
		t.Error(status)
	}
}

// TestPartlyCounted has an event for several channels, of one of which nobody knows who took it, as where
// the engine is away for a moment. Then nobody knows of all.
func TestPartlyCounted(t *testing.T) {
	for _, became := range [][]hub.Handed{{{Took: -1, Nodes: 2}, {Took: 5, Nodes: 1}}, {{Took: 5, Nodes: 1}, {Took: -1, Nodes: 2}}} {
		for _, query := range []string{"", "&explain=1"} {
			p := servePlace(t, hub.NewWith(&inTurn{left: became}, nil), withKey)
			status, answer, head := p.post(query, `{"channels":["a","b"],"name":"e","data":1}`)
			if status != 200 || head["X-Poosh-Delivered"] != nil {
				t.Errorf("%v%s: %d %s %v", became, query, status, answer, head)
			}
		}
	}
}

// neverLate is a server that keeps up.
type neverLate struct{}

// Late implements [admission.Backlog].
func (neverLate) Late() bool { return false }

// CaughtUp implements [admission.Backlog].
func (neverLate) CaughtUp() <-chan struct{} { return nil }
