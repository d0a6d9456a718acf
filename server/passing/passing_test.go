package passing

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"poosh/server/socketio"
)

// namespaceID is what differs from one client of protocol 4 to another.
var namespaceID = regexp.MustCompile(`sid\\?":\\?"[^"\\]+`)

// dialog is what a client of a form says at a site, from its handshake at first on: the answers.
func dialog(t *testing.T, first, then *site, form string) []answer {
	t.Helper()
	origin := []string{"Origin: https://example.com", "User-Agent: Mozilla/5.0 (Trident/7.0)", "Cookie: io=x"}
	got := []answer{first.ask("GET", form, "", origin...)}
	sid := got[0].body[strings.Index(got[0].body, first.name):][:26]
	query := form + "&sid=" + sid
	said := func(packet string) string {
		switch {
		case strings.Contains(form, "EIO=4&j="):
			return "d=" + packet
		case strings.Contains(form, "EIO=4"):
			return packet
		case strings.Contains(form, "j="):
			return fmt.Sprintf("d=%d%%3A%s", len(packet), packet)
		}
		return fmt.Sprintf("%d:%s", len(packet), packet)
	}
	post := func(packet string) {
		h := origin
		if strings.Contains(form, "j=") {
			h = append(h, "Content-Type: application/x-www-form-urlencoded")
		}
		got = append(got, then.ask("POST", query, said(packet), h...))
	}
	get := func() { got = append(got, then.ask("GET", query, "", origin...)) }
	if strings.Contains(form, "EIO=4") {
		post("40")
	}
	session := take(t, first.connected, "the client")
	get()
	session.Deliver(event("one"))
	session.Deliver(event("two"))
	get()
	post(`42["hello",1]`)
	if e := take(t, first.events, "the event"); e != "hello1" {
		t.Errorf("heard %q", e)
	}
	got = append(got, then.ask("POST", query, "nonsense"))
	got = append(got, then.ask("GET", query, ""))
	for i := range got {
		got[i].body = strings.ReplaceAll(got[i].body, sid, "SID")
		got[i].body = namespaceID.ReplaceAllString(got[i].body, "sid:SID")
		if c := got[i].header["Set-Cookie"]; c != nil {
			c[0] = strings.ReplaceAll(c[0], sid, "SID")
		}
	}
	return got
}

// TestPassed: what a client hears at another node than its session's is what it hears at that
// one: status, header and body.
func TestPassed(t *testing.T) {
	a, b := pair(t)
	forms := []string{"EIO=3&b64=1", "EIO=3", "EIO=2&j=0", "EIO=3&j=7", "EIO=4", "EIO=4&j=2"}
	for _, form := range forms {
		local, passed := dialog(t, b, b, form), dialog(t, b, a, form)
		for i := range local {
			l, p := local[i], passed[i]
			if l.status != p.status || l.body != p.body || !maps.EqualFunc(l.header, p.header, func(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
				t.Errorf("%s: answer %d is\n%d %v %q, there\n%d %v %q", form, i, p.status, p.header, p.body, l.status, l.header, l.body)
			}
		}
	}
	if got := a.node.reading("cluster_passed_requests_total", "answered"); got < 30 {
		t.Errorf("%v were passed", got)
	}
	if got := b.node.reading("cluster_passed_requests_total", "answered"); got != 0 {
		t.Errorf("%v were passed by the session's own node", got)
	}
}

// TestWaits: a GET waits until there is something, and no goroutine with it.
func TestWaits(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	for i := range 50 {
		waits := a.waiting(t.Context(), query)
		text := fmt.Sprint("event ", i)
		session.Deliver(event(text))
		if got := take(t, waits, "the answer"); !strings.Contains(got.body, text) {
			t.Fatalf("got %d %q", got.status, got.body)
		}
	}
}

// TestLarge: bodies of all sizes come whole either way, and what is too large is refused as it is
// there.
func TestLarge(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	for _, size := range []int{10, 60_000, 70_000, 102_000} {
		text := strings.Repeat("x", size)
		if got := a.ask("POST", query, `42["`+text+`"]`); got.status != 200 {
			t.Fatalf("%d: %d %q", size, got.status, got.body)
		}
		if e := take(t, b.events, "the event"); e != text {
			t.Errorf("%d bytes, heard %d", size, len(e))
		}
		session.Deliver(event(strings.Repeat("y", 3*size)))
		if got := a.ask("GET", query, ""); strings.Count(got.body, "y") != 3*size {
			t.Errorf("got %d of %d", len(got.body), 3*size)
		}
	}
	for _, size := range []int{103_000, 300_000} { // on the loop, and by net/http
		query, _ := b.open()
		if got := a.ask("POST", query, `42["`+strings.Repeat("x", size)+`"]`); got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%d: %d %q", size, got.status, got.body)
		}
		eventually(t, "the session is over", func() bool { return a.ask("GET", query, "").status == 400 })
	}
}

// TestUnknown: who is for nobody is told so at once, in the words of engine.io.
func TestUnknown(t *testing.T) {
	a, _ := pair(t)
	for _, sid := range []string{"nodeCCxxxxxxxxxxxxxxxxxxxx", "nodeBBxxxxxxxxxxxxxxxxxxxx", "nodeBB", "x"} {
		got := a.ask("GET", "EIO=4&sid="+sid, "")
		if got.status != 400 || !strings.Contains(got.body, "Session ID unknown") {
			t.Errorf("%s: %d %q", sid, got.status, got.body)
		}
	}
}

// TestAbandoned: when who waits goes, the session's node hears of it as of its own client.
func TestAbandoned(t *testing.T) {
	a, b := pair(t)
	query, _ := b.open()
	ctx, cancel := context.WithCancel(t.Context())
	waits := a.waiting(ctx, query)
	cancel()
	take(t, waits, "the end of the GET")
	take(t, b.closed, "the end of the session")
	if got := a.ask("GET", query, ""); got.status != 400 {
		t.Errorf("then %d %q", got.status, got.body)
	}
	if got := a.node.reading("cluster_passed_requests_total", "abandoned"); got != 1 {
		t.Errorf("%v were abandoned", got)
	}
}

// TestTwoAtOnce: a GET that comes at another node while one waits takes its place.
func TestTwoAtOnce(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	first := a.waiting(t.Context(), query)
	second := make(chan answer, 1)
	go func() { // ends with the answer
		got, _ := a.try(t.Context(), "GET", query, "")
		second <- got
	}()
	if got := take(t, first, "the first answer"); got.status != 200 || got.body != "6" {
		t.Errorf("the first got %d %q", got.status, got.body)
	}
	session.Deliver(event("news"))
	if got := take(t, second, "the second answer"); !strings.Contains(got.body, "news") {
		t.Errorf("the second got %d %q", got.status, got.body)
	}
}

// TestDrain: who waits by way of a node that goes away is answered, and finds its session elsewhere.
func TestDrain(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	waits := a.waiting(t.Context(), query)
	a.node.Drain()
	if got := take(t, waits, "the answer"); got.status != 200 || got.body != "6" {
		t.Errorf("got %d %q", got.status, got.body)
	}
	if got := take(t, a.waiting(t.Context(), query), "the answer to who came later"); got.status != 200 || got.body != "6" {
		t.Errorf("got %d %q", got.status, got.body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := a.node.Close(ctx); err != nil {
		t.Errorf("closing: %v", err)
	}
	session.Deliver(event("news"))
	if got := b.ask("GET", query, ""); !strings.Contains(got.body, "news") {
		t.Errorf("elsewhere %d %q", got.status, got.body)
	}
}

// TestLeave: from when clients are sent away on no WebSocket is carried that would be in no list of them,
// and polls are passed on.
func TestLeave(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	socket, _ := b.open()
	c := a.moved(socket)
	leavers := a.node.Leave()
	if len(leavers) != 1 {
		t.Fatalf("%d leave", len(leavers))
	}
	if _, resp, err := a.upgrade(query); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("an upgrade got %v, %v", resp, err)
	}
	session.Deliver(event("news"))
	if got := a.ask("GET", query, ""); !strings.Contains(got.body, "news") {
		t.Errorf("got %d %q", got.status, got.body)
	}
	leavers[0].Leave()
	if _, _, err := c.ReadMessage(); err == nil {
		t.Error("who leaves is still there")
	}
}

// TestCutOffBody: a POST whose body cannot be read is not one of an unknown session.
func TestCutOffBody(t *testing.T) {
	a, b := pair(t)
	query, _ := b.open()
	got := a.raw("POST " + socketio.Path + "?transport=polling&" + query + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	if got != http.StatusServiceUnavailable {
		t.Errorf("got %d", got)
	}
}

// TestGoneBeforeAsked: what nobody waits for any more before it was sent is not sent.
func TestGoneBeforeAsked(t *testing.T) {
	l := &outLink{link: link{node: New(Options{Name: "nodeAA"})}, calls: make(map[uint64]*passing)}
	p := &passing{link: l}
	p.Abandoned()
	if why, ok := l.ask(p, newFrame(frameRequest, 0, 0)); !ok || len(l.queue)+len(l.calls) != 0 {
		t.Errorf("%v %v, %d are queued", why, ok, len(l.queue))
	}
}

// TestCloseWaits: what is under way when a node closes is still answered.
func TestCloseWaits(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	waits := a.waiting(t.Context(), query)
	eventually(t, "it waits there", b.node.busy)
	closed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { closed <- b.node.Close(ctx) }() // ends with the answer
	select {
	case err := <-closed:
		t.Fatalf("closed with a GET that waits: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	session.Deliver(event("last"))
	if got := take(t, waits, "the answer"); !strings.Contains(got.body, "last") {
		t.Errorf("got %d %q", got.status, got.body)
	}
	if err := take(t, closed, "the end"); err != nil {
		t.Error(err)
	}
}

// TestPanic: a handler that panics costs its own request and no other.
func TestPanic(t *testing.T) {
	a, b := pair(t)
	query, session := b.open()
	waits := a.waiting(t.Context(), query)
	broken := socketio.New(a.node.opt.Sockets, socketio.Config{Node: "nodeAA", Passer: a.node.Passer("BROKEN")}, a, a.node.opt.Log)
	strange := socketio.New(a.node.opt.Sockets, socketio.Config{Node: "nodeAA", Passer: a.node.Passer("NOBODYS")}, a, a.node.opt.Log)
	for srv, want := range map[*socketio.Server]int{broken: 500, strange: 403} {
		s := &site{TB: t, name: "nodeAA", node: a.node, http: another(t, a, srv)}
		if got := s.ask("GET", query, ""); got.status != want {
			t.Errorf("got %d %q, want %d", got.status, got.body, want)
		}
	}
	session.Deliver(event("news"))
	if got := take(t, waits, "the answer"); !strings.Contains(got.body, "news") {
		t.Errorf("got %d %q", got.status, got.body)
	}
}

// A node that is closed as it begins to serve ends with all that it began, and without an error.
func TestCloseAsItServes(t *testing.T) {
	for i := range 300 {
		n := New(Options{Name: "nodeAA", Secret: func() string { return "secret" }, Log: slog.New(slog.DiscardHandler)})
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- n.Serve(ln) }()
		if i%2 == 0 { // or with somebody who says hello
			if nc, err := net.Dial("tcp", ln.Addr().String()); err == nil {
				_ = nc.Close()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // at once
		_ = n.Close(ctx)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}
