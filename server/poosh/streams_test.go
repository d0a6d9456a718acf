package poosh

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/closed"
	"poosh/server/dialect"
	"poosh/server/http1/http1test"
	"poosh/server/hub"
	"poosh/server/hub/history"
	"poosh/server/loop"
	"poosh/server/quota"
	"poosh/server/socketio"
)

// An outlet is the client port with its streams.
type outlet struct {
	*place
	streams *streams
	ends    *closed.Source
	pages   *socketio.Server
	rooms   *quota.Quota
}

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

func newOutlet(t *testing.T, kept history.Config, outbox int, origins ...string) *outlet {
	t.Helper()
	return askingOutlet(t, kept, outbox, nil, origins...)
}

// askingOutlet is newOutlet with a registry.
func askingOutlet(t *testing.T, kept history.Config, outbox int, reg Registry, origins ...string) *outlet {
	t.Helper()
	p := &outlet{place: &place{t: t, hub: hub.New()}, ends: closed.New(10).Source(dialectName, appID), rooms: quota.New(1 << 20)}
	if kept.On() {
		p.hub = hub.NewWith(nil, history.New(kept, App))
	}
	log := slog.New(slog.DiscardHandler)
	p.clients = NewClients(ClientConfig{MaxRooms: 10, MaxRoomNameBytes: 100, Rooms: p.rooms, Registry: reg, Away: kept.Age, AwayBytes: 1 << 20}, p.hub, log)
	on := http1test.SocketsOn(t, loop.Config{Outbox: outbox})
	p.pages = socketio.New(on, socketio.Config{Origins: origins, Outbox: outbox}, p.clients, log)
	p.streams = newStreams(p.clients, on, p.pages, time.Second, p.ends, log)
	p.addr = http1test.Serve(t, on, clientRoutes(p.pages, p.streams, nil), clientWhere).Addr
	return p
}

// A reader reads a stream.
type reader struct {
	t    *testing.T
	nc   net.Conn
	in   *bufio.Reader
	resp *http.Response

	retry, comments int
}

// A said is an event of a stream.
type said struct{ id, event, data string }

// get asks for a stream; header lines end in CR LF.
func (p *outlet) get(query, header string) *reader { return p.ask("GET", query, "1.1", header) }

func (p *outlet) ask(method, query, version, header string) *reader {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "%s /events%s HTTP/%s\r\nHost: a\r\n%s\r\n", method, query, version, header)
	r := &reader{t: p.t, nc: nc, in: bufio.NewReader(nc)}
	if r.resp, err = http.ReadResponse(r.in, &http.Request{Method: method}); err != nil {
		p.t.Fatal(err)
	}
	r.in = bufio.NewReader(r.resp.Body)
	return r
}

// next returns the next event; ok is false at the end.
func (r *reader) next() (e said, ok bool) {
	r.t.Helper()
	for {
		line, err := r.in.ReadString('\n')
		if err == io.EOF {
			return e, false
		}
		if err != nil {
			r.t.Fatal(err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			e.id = value
			if !strings.Contains(line, ":") {
				e.id = "forget"
			}
		case "event":
			e.event = value
		case "data":
			e.data += value
		case "retry":
			r.retry, _ = strconv.Atoi(value)
		case "":
			if line != "\n" {
				r.comments++
			} else if e.event != "" || e.data != "" {
				return e, true
			}
		}
	}
}

// want reads the next event, which is to be this.
func (r *reader) want(event, data string) said {
	r.t.Helper()
	e, ok := r.next()
	if !ok || e.event != event || data != "" && e.data != data {
		r.t.Fatalf("%+v, %v, want %s %s", e, ok, event, data)
	}
	return e
}

// refused returns how many got no stream, by the reason.
func (p *outlet) refused() map[string]float64 {
	by := make(map[string]float64)
	for _, sample := range p.streams.Refused() {
		if sample.Value > 0 {
			by[sample.Labels[0]] = sample.Value
		}
	}
	return by
}

// connected reads what comes behind what was missed.
func (r *reader) connected() (at, session, recovered string, missed int) {
	r.t.Helper()
	e := r.want(ConnectedEvent, "")
	var m struct {
		Session   string
		Recovered *bool
		Missed    int
	}
	if err := json.Unmarshal([]byte(e.data), &m); err != nil {
		r.t.Fatal(err)
	}
	recovered = "null"
	if m.Recovered != nil {
		recovered = strconv.FormatBool(*m.Recovered)
	}
	return e.id, m.Session, recovered, m.Missed
}

// gone waits until all streams have ended and are counted: that their places are given back
// comes last.
func (p *outlet) gone() {
	p.t.Helper()
	for end := time.Now().Add(patience); p.streams.door.Inside() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%d streams are left", p.streams.Len())
		}
	}
}

// Without history a stream has events of its rooms, to everyone and to itself, and no ids, on
// the loop, whatever version of HTTP asks for it.
func TestStream(t *testing.T) {
	p := newOutlet(t, history.Config{}, 0)
	for _, version := range []string{"1.1", "1.0"} {
		r := p.ask("GET", "?room=a&room=b%20c&room=a", version, "")
		if r.resp.StatusCode != 200 || r.resp.Header.Get("Content-Type") != "text/event-stream" || r.resp.ContentLength != -1 || len(r.resp.TransferEncoding) > 0 {
			t.Fatalf("%s: %v", version, r.resp)
		}
		at, session, recovered, _ := r.connected()
		if at != "" || recovered != "null" || r.retry < 1000 || r.retry > 3000 {
			t.Errorf("%s: at %q, recovered %s, retry %d", version, at, recovered, r.retry)
		}
		if s := p.streams.list(); len(s) != 1 || !s[0].conn.OnLoop() || s[0].id != session {
			t.Errorf("%s: it is not on the loop: %v", version, s)
		}
		p.send("a", "x", `{"n":1}`)
		p.send("c", "x", `2`)
		p.send("b c", "y", `"é"`)
		p.send("a", "y\nz", `4`)
		p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "all", Data: []byte("[5]")})
		p.hub.Publish(&hub.Publication{App: App, Room: "a", Event: "x", Data: []byte("6"), Except: session})
		p.send(session, "own", `7`)
		for _, want := range []said{{"", "x", `{"n":1}`}, {"", "y", `"é"`}, {"", "all", "[5]"}, {"", "own", "7"}} {
			if e, ok := r.next(); !ok || e != want {
				t.Fatalf("%s: %+v, %v, want %+v", version, e, ok, want)
			}
		}
		for r.comments == 0 {
			if line, err := r.in.ReadString('\n'); err != nil {
				t.Fatal(err)
			} else if line == ": \n" {
				r.comments++
			}
		}
		r.nc.Close()
		p.gone()
	}
	if p.ends.OpenedCount() != 2 || p.ends.ClosedAll() != 2 {
		t.Errorf("opened %d, closed %v", p.ends.OpenedCount(), p.ends.By())
	}
	if open, entered, left := p.clients.rooms(); open != 0 || entered != 4 || left != 4 {
		t.Errorf("rooms: %d open, %d entered, %d left", open, entered, left)
	}
	if p.rooms.Used() != 0 {
		t.Errorf("rooms still take %d", p.rooms.Used())
	}
	// Who asks for what was missed is told that nobody knows, and asks no more.
	r := p.get("?room=a", "Last-Event-ID: 0000000001-0000000001\r\n")
	if at, _, recovered, _ := r.connected(); recovered != "false" || at != "forget" && at != "" {
		t.Errorf("without history: %q, recovered %s", at, recovered)
	}
}

// What came while a client was away is given to it when it is back.
func TestStreamRecovery(t *testing.T) {
	p := newOutlet(t, history.Config{Age: time.Hour, Bytes: 1 << 20, Events: 100}, 0)
	p.send("a", "x", "0")
	r := p.get("?room=a&room=b", "")
	start, _, recovered, missed := r.connected()
	if start == "" || recovered != "null" || missed != 0 {
		t.Fatalf("at %q, recovered %s, missed %d", start, recovered, missed)
	}
	r.nc.Close()
	p.gone()
	p.send("a", "x", "1")
	p.send("c", "x", "2")
	p.send("b", "x", "3")
	for _, again := range []string{start, "1", "all"} { // it had had nothing yet
		query, header := "?room=a&room=b&since="+again, ""
		want := []string{"1", "3"}
		switch again {
		case start: // the address is the first one still
			query, header = "?room=a&room=b&since=all", "Last-Event-ID: "+start+"\r\n"
		case "all":
			want = []string{"0", "1", "3"}
		}
		r = p.get(query, header)
		last := ""
		for _, data := range want {
			if e := r.want("x", data); e.id <= last {
				t.Errorf("since %s: id %q behind %q", again, e.id, last)
			} else {
				last = e.id
			}
		}
		at, _, recovered, missed := r.connected()
		if recovered != "true" || missed != len(want) || at != last {
			t.Errorf("since %s: at %q, recovered %s, missed %d", again, at, recovered, missed)
		}
		r.nc.Close()
	}
	if n := &p.clients.recovered; n.whole.Load() != 3 || n.not.Load() != 0 || n.events.Load() != 7 {
		t.Errorf("counted are %d recoveries, %d others, %d events", n.whole.Load(), n.not.Load(), n.events.Load())
	}
	for _, wrong := range []string{"x", "-1", "0", "00000000zz-0000000001", start[:11] + "vvvvvvvvvv", strings.Repeat("9", 30)} {
		r := p.get("?room=a&since="+url.QueryEscape(wrong), "")
		if at, _, recovered, missed := r.connected(); at == "" || recovered != "false" || missed != 0 {
			t.Errorf("since %s: at %q, recovered %s, missed %d", wrong, at, recovered, missed)
		}
		r.nc.Close()
	}
}

// A client that is cut off again and again sees each event of its rooms once, in order.
func TestStreamIsCutAnywhere(t *testing.T) {
	p := newOutlet(t, history.Config{Age: time.Hour, Bytes: 8 << 20, Events: 10000}, 0)
	const events = 600
	rooms := []string{"a", "b", "", "c"} // the third is everyone
	r := p.get("?room=a&room=b", "")
	last, _, _, _ := r.connected()
	done := make(chan struct{})
	var want []string
	for n := range events {
		if rooms[n%4] != "c" {
			want = append(want, strconv.Itoa(n))
		}
	}
	go func() { // ends when all are sent
		defer close(done)
		for n := range events {
			room := rooms[n%4]
			p.hub.Publish(&hub.Publication{App: App, Room: room, Everyone: room == "", Event: "x", Data: []byte(strconv.Itoa(n))})
			if n%7 == 0 {
				time.Sleep(time.Millisecond / 2)
			}
		}
	}()
	var got []string
	for cut := 1; len(got) < len(want); cut++ {
		for range cut % 5 {
			e, ok := r.next()
			if !ok {
				t.Fatalf("ended behind %d", len(got))
			}
			if e.id != "" {
				last = e.id
			}
			switch e.event {
			case "x":
				got = append(got, e.data)
			case ConnectedEvent:
				if strings.Contains(e.data, `"recovered":false`) {
					t.Fatalf("not recovered from %q: %s", last, e.data)
				}
			}
			if len(got) == len(want) {
				break
			}
		}
		r.nc.Close()
		r = p.get("?room=a&room=b", "Last-Event-ID: "+last+"\r\n")
	}
	<-done
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// The log cuts what is oldest of all. A client that is given all of its rooms is told so though
// there is nothing in the log of the room of its own, which is as new as itself.
func TestStreamRecoveryFromALogThatWasCut(t *testing.T) {
	cfg := history.Config{Age: time.Hour, Bytes: 64 << 10, Events: 100}
	kilobyte := `"` + strings.Repeat("x", 1<<10) + `"`
	for _, registry := range []bool{false, true} {
		begin := func() (*outlet, func(query, header string, want ...string)) {
			p, reg := newOutlet(t, cfg, 0), &heldRegistry{inside: make(map[string]int)}
			if registry {
				p = askingOutlet(t, cfg, 0, reg)
			}
			return p, func(query, header string, want ...string) {
				t.Helper()
				r := p.get(query, header)
				if registry {
					reg.wait(t)(nil)
				}
				for _, data := range want {
					r.want("x", data)
				}
				if at, _, recovered, missed := r.connected(); at == "" || recovered != "true" || missed != len(want) {
					t.Errorf("registry %v, %s %s: at %q, recovered %s, missed %d", registry, query, header, at, recovered, missed)
				}
			}
		}

		p, wants := begin()
		for range 100 {
			p.send("other", "x", kilobyte)
		}
		for _, data := range []string{"1", "2", "3"} {
			p.send("a", "x", data)
		}
		wants("?room=a&since=2", "", "2", "3")

		p, wants = begin()
		p.send("a", "x", "1")
		seen := p.hub.Page(App, hub.PageAsk{Room: "a", Limit: 1}).Head
		for range 40 {
			p.send("other", "x", kilobyte)
		}
		p.send("a", "x", "2")
		for n := 0; p.hub.Page(App, hub.PageAsk{Room: "other", Limit: 1, Since: true, After: seen}).Whole; n++ {
			if n > 100 {
				t.Fatal("the log is not cut")
			}
			p.send("other", "x", kilobyte)
		}
		if left := p.hub.Page(App, hub.PageAsk{Room: "a", Limit: 10}); len(left.List) != 1 {
			t.Fatalf("%d events of the room are left", len(left.List))
		}
		wants("?room=a", "Last-Event-ID: "+seen.String()+"\r\n", "2")
	}
}

// What is too much to be given at once is told, and does not end the stream.
func TestStreamTooMuchToRecover(t *testing.T) {
	p := newOutlet(t, history.Config{Age: time.Hour, Bytes: 1 << 20, Events: 100}, 8<<10)
	for range 20 {
		p.send("a", "x", `"`+strings.Repeat("x", 500)+`"`)
	}
	r := p.get("?room=a&since=all", "")
	if _, _, recovered, missed := r.connected(); recovered != "false" || missed != 0 {
		t.Errorf("recovered %s, missed %d", recovered, missed)
	}
	p.send("a", "x", "1")
	r.want("x", "1")
}

func TestStreamRefusals(t *testing.T) {
	p := newOutlet(t, history.Config{}, 0, "https://good.example")
	for _, tt := range []struct {
		method, query, header string
		status                int
		has                   string
	}{
		{"GET", "?room=" + strings.Join(strings.Split("0123456789a", ""), "&room="), "", 400, "MAX_ROOMS"},
		{"GET", "?room=" + strings.Repeat("x", 101), "", 400, "MAX_ROOM_NAME_BYTES"},
		{"GET", "?room=%zz", "", 400, "query"},
		{"GET", "?room=a", "Origin: https://bad.example\r\n", 403, "origin"},
		{"POST", "?room=a", "Content-Length: 0\r\n", 405, "GET"},
		{"PUT", "?room=a", "Content-Length: 0\r\n", 405, "GET"},
		{"OPTIONS", "?room=a", "Origin: https://good.example\r\nAccess-Control-Request-Headers: last-event-id\r\n", 200, ""},
		{"HEAD", "?room=a", "", 200, ""},
		{"HEAD", "?room=" + strings.Repeat("x", 101), "", 400, ""},
	} {
		r := p.ask(tt.method, tt.query, "1.1", tt.header+"Connection: close\r\n")
		body, err := io.ReadAll(r.in)
		if err != nil || r.resp.StatusCode != tt.status || !strings.Contains(string(body), tt.has) {
			t.Errorf("%s %.30s: %d %s %v, want %d %s", tt.method, tt.query, r.resp.StatusCode, body, err, tt.status, tt.has)
		}
	}
	if got, want := p.refused(), map[string]float64{"bad request for a stream": 6}; !maps.Equal(got, want) {
		t.Errorf("refused for %v, want %v", got, want)
	}
	r := p.get("?room=a", "Origin: https://good.example\r\n")
	if r.connected(); r.resp.Header.Get("Access-Control-Allow-Origin") != "https://good.example" || r.resp.Header.Get("Vary") != "Origin" {
		t.Errorf("a page's answer: %v", r.resp.Header)
	}
	if p.ends.OpenedCount() != 1 {
		t.Errorf("%d were opened", p.ends.OpenedCount())
	}
}

// Where rooms take as much as they may, the stream ends with the reason, and what it took
// is given back.
func TestStreamRoomsFull(t *testing.T) {
	p := newOutlet(t, history.Config{}, 0)
	for n := 4096; n > 0; n /= 2 { // by many, each with little
		for i := 0; i < 1<<12 && p.rooms.Take(netip.AddrFrom4([4]byte{10, byte(n % 251), byte(i >> 8), byte(i)}), 0, n); i++ {
		}
	}
	if left := 1<<20 - p.rooms.Used(); left > 1000 {
		t.Fatalf("%d bytes are left", left)
	}
	before := p.rooms.Used()
	r := p.get("?room=a&room=b&room=c&room=d", "")
	r.want(ClosedEvent, `{"reason":"`+errRoomsFull.Error()+`"}`)
	if e, ok := r.next(); ok {
		t.Errorf("and goes on: %+v", e)
	}
	p.gone()
	if p.rooms.Used() != before {
		t.Errorf("it took %d", p.rooms.Used()-before)
	}
	if n := p.ends.ClosedCount(closed.RoomsFull); n != 1 || p.clients.Stats().Refused != 1 {
		t.Errorf("%v, %+v", p.ends.By(), p.clients.Stats())
	}
}

// Who is kicked is told; who comes when the server goes is told to come again, in words that
// an EventSource takes.
func TestStreamEnds(t *testing.T) {
	p := newOutlet(t, history.Config{}, 0)
	a, b := p.get("?room=a", ""), p.get("?room=b", "")
	a.connected()
	_, id, _, _ := b.connected()
	room := "a"
	if n := kick(p.hub, p.pages, p.streams, dialect.Whom{Room: &room}); n != 1 {
		t.Errorf("%d of a room were kicked", n)
	}
	a.want(ClosedEvent, `{"reason":"kicked"}`)
	who, seat := find(p.hub, p.pages, id)
	if seat == nil || who == nil || who.Standing().Transport != "sse" {
		t.Errorf("found %v, %v", who, seat)
	}
	if e := p.hub.Explain(&hub.Publication{App: App, Room: "b", Event: "x", Data: []byte("1")}); e.Took != 1 || e.Parts[0].Tallies[0].Kind != "sse" {
		t.Errorf("explained as %+v", e)
	}
	for _, s := range p.streams.Leave() {
		s.Leave()
	}
	b.want("x", "1")
	b.want(ClosedEvent, `{"reason":"server shutdown"}`)
	p.gone()
	r := p.get("?room=a", "Accept: text/event-stream\r\n")
	if _, ok := r.next(); ok || r.resp.StatusCode != 200 || r.retry != 5000 {
		t.Errorf("an EventSource that comes then: %d, retry %d", r.resp.StatusCode, r.retry)
	}
	if r := p.get("?room=a", ""); r.resp.StatusCode != 503 || r.resp.Header.Get("Retry-After") != "5" {
		t.Errorf("another one: %v", r.resp)
	}
	if got, want := p.refused(), map[string]float64{"a stream while the server goes away": 2}; !maps.Equal(got, want) {
		t.Errorf("refused for %v, want %v", got, want)
	}
	if by := p.ends.By(); by["kicked"] != 1 || by["server shutdown"] != 1 || len(by) != 2 {
		t.Errorf("ended by %v", by)
	}
}

// Who does not read is closed as slow, and its place is given back.
func TestStreamSlow(t *testing.T) {
	p := newOutlet(t, history.Config{}, 64<<10)
	r := p.get("?room=a", "")
	r.connected()
	data := `"` + strings.Repeat("x", 8<<10) + `"`
	for end := time.Now().Add(patience); p.ends.ClosedAll() == 0; {
		if p.send("a", "x", data); time.Now().After(end) {
			t.Fatal("it is there still")
		}
	}
	if p.ends.ClosedCount(closed.Slow) != 1 {
		t.Errorf("ended by %v", p.ends.By())
	}
	p.gone()
}

// Who goes on to talk is closed.
func TestStreamTalks(t *testing.T) {
	p := newOutlet(t, history.Config{}, 0)
	r := p.get("?room=a", "")
	r.connected()
	go func() { // ends when the connection does
		for {
			if _, err := r.nc.Write(make([]byte, 4<<10)); err != nil {
				return
			}
		}
	}()
	p.gone()
	if p.ends.ClosedCount(closed.Malformed) != 1 {
		t.Errorf("ended by %v", p.ends.By())
	}
}

// A stream that is asked for behind a poll that waits is served once that is answered, on
// the loop: a connection is not answered by its reader then.
func TestStreamBehindAPoll(t *testing.T) {
	p := newOutlet(t, history.Config{}, 0)
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(nc)
	ask := func(path string) { fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path) }
	hear := func() *http.Response {
		t.Helper()
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	poll := func() string {
		t.Helper()
		body, err := io.ReadAll(hear().Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	const polling = "/socket.io/?EIO=3&transport=polling&b64=1"
	ask(polling)
	var hello struct{ SID string }
	_, text, _ := strings.Cut(poll(), "{")
	text, _, _ = strings.Cut(text, "}")
	if err := json.Unmarshal([]byte("{"+text+"}"), &hello); err != nil || hello.SID == "" {
		t.Fatalf("%q: %v", text, err)
	}
	polls := polling + "&sid=" + hello.SID
	if ask(polls); poll() != "2:40" {
		t.Fatal("it is not connected")
	}
	ask(polls)
	ask("/events?room=a")
	time.Sleep(20 * time.Millisecond) // most often both have arrived then; it is to be served either way
	p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "x", Data: []byte("1")})
	if body := poll(); !strings.Contains(body, `"x",1`) {
		t.Fatalf("the poll is answered %q", body)
	}
	r := &reader{t: t, nc: nc, resp: hear()}
	if r.resp.StatusCode != 200 || r.resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream is answered %v", r.resp)
	}
	r.in = bufio.NewReader(r.resp.Body)
	r.connected()
	p.send("a", "x", "2")
	r.want("x", "2")
	if s := p.streams.list(); len(s) != 1 || !s[0].conn.OnLoop() {
		t.Errorf("it is not on the loop: %v", s)
	}
}

// Before a registry has answered, what comes has no ids: who is cut off then is to come back
// to where it was, not behind what it has missed.
func TestStreamThatAsksRegistryHasNoIDsBefore(t *testing.T) {
	reg := &heldRegistry{inside: make(map[string]int)}
	p := askingOutlet(t, history.Config{Age: time.Hour, Bytes: 1 << 20, Events: 100}, 0, reg)
	p.send("a", "x", "1")
	r := p.get("?room=a&since=all", "")
	answer := reg.wait(t)
	p.hub.Publish(&hub.Publication{App: App, Everyone: true, Event: "all", Data: []byte("2")})
	if e := r.want("all", "2"); e.id != "" {
		t.Errorf("an event has the id %q before what was missed", e.id)
	}
	answer(nil)
	missed := r.want("x", "1")
	at, _, recovered, n := r.connected()
	if missed.id == "" || at <= missed.id || recovered != "true" || n != 1 {
		t.Errorf("%+v was missed; at %q, recovered %s, missed %d", missed, at, recovered, n)
	}
	p.send("a", "x", "3")
	if e := r.want("x", "3"); e.id <= at {
		t.Errorf("behind %q comes %+v", at, e)
	}
}

// Where a registry is asked, a stream is in its rooms once all are granted, and gives them
// back; one that is refused ends with the reason.
func TestStreamAsksRegistry(t *testing.T) {
	reg := &heldRegistry{inside: make(map[string]int)}
	p := askingOutlet(t, history.Config{}, 0, reg)
	take := func() func(error) { return reg.wait(t) }
	r := p.get("?room=a&room=b", "")
	take()(nil)
	p.send("a", "x", "1") // it is in none yet
	take()(nil)
	r.connected()
	p.send("a", "x", "2")
	r.want("x", "2")
	r.nc.Close()
	p.gone()
	refused := p.get("?room=a&room=b", "")
	take()(nil)
	take()(errors.New("no"))
	refused.want(ClosedEvent, `{"reason":"no"}`)
	p.gone()
	reg.mu.Lock()
	defer reg.mu.Unlock()
	if len(reg.inside) != 0 {
		t.Errorf("the registry has %v", reg.inside)
	}
}
