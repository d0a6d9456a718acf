package passing

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/socketio"
)

// A wire is between a node and another one's listener, and can be cut.
type wire struct {
	addr string
	ln   net.Listener
	to   string

	mu    sync.Mutex // guards what follows
	conns []net.Conn
	deaf  bool // what comes is taken and goes nowhere
}

// wireTo begins one to a node, which the table then has at its near end.
func wireTo(t *testing.T, s *site, nodes *table) *wire {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: ln.Addr().String(), ln: ln, to: s.inner}
	var work sync.WaitGroup
	work.Go(func() { // ends with ln
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, near, far)
			w.mu.Unlock()
			work.Go(func() { w.carry(far, near) }) // end with their connections
			work.Go(func() { w.carry(near, far) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		w.cut()
		work.Wait()
	})
	nodes.set(s.name, w.addr)
	return w
}

func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		deaf := w.deaf
		w.mu.Unlock()
		if deaf {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *wire) setDeaf(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf = yes
}

// incoming is a link to here; nil for none.
func (s *site) incoming() *inLink {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	for l := range s.node.in {
		return l
	}
	return nil
}

// takesOver has a GET here take the place of one that waits on a link which is over, and hear what is new.
func (s *site) takesOver(was *inLink, query string, session *socketio.Session) {
	s.Helper()
	again := make(chan answer, 1)
	go func() { // ends with the answer
		got, _ := s.try(s.Context(), "GET", query, "")
		again <- got
	}()
	eventually(s, "it has taken the other's place", func() bool { return !was.busy() })
	session.Deliver(event("news"))
	if got := take(s, again, "the answer to the next"); !strings.Contains(got.body, "news") {
		s.Errorf("got %d %q", got.status, got.body)
	}
}

// TestCut: the client of a GET that waits is told when the way to its session's node is cut, and a
// balancer that asks elsewhere at once finds the session with nothing lost.
func TestCut(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	w := wireTo(t, b, nodes)
	query, session := b.open()
	waits := a.waiting(t.Context(), query)
	eventually(t, "it waits there", b.node.busy)
	was := b.incoming()
	w.cut()
	if got := take(t, waits, "the answer"); got.status != http.StatusBadGateway {
		t.Errorf("got %d %q", got.status, got.body)
	}
	b.takesOver(was, query, session)
	// And by the same way, once that is whole.
	eventually(t, "another link", func() bool {
		session.Deliver(event("more"))
		got := a.ask("GET", query, "")
		if got.status == http.StatusBadGateway {
			time.Sleep(50 * time.Millisecond)
			return false
		}
		return strings.Contains(got.body, "more")
	})
}

// TestCutAcked: a cut link ends no session whose client has read what it was answered.
func TestCutAcked(t *testing.T) {
	for range 5 {
		nodes := newTable()
		a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
		w := wireTo(t, b, nodes)
		query, session := b.open()
		first := a.waiting(t.Context(), query)
		session.Deliver(event("got"))
		if got := take(t, first, "the answer"); !strings.Contains(got.body, "got") {
			t.Fatalf("got %d %q", got.status, got.body)
		}
		a.waiting(t.Context(), query)
		eventually(t, "it waits there", b.node.busy)
		was := b.incoming()
		w.cut()
		eventually(t, "the link is over there", func() bool { return b.incoming() == nil })
		b.takesOver(was, query, session)
	}
}

// TestUnlisted: when the table of nodes is lost for a moment, what is open goes on, and a session is found
// by way of an open link.
func TestUnlisted(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	query, session := b.open()
	socket, other := b.open()
	c := a.moved(socket)
	waits := a.waiting(t.Context(), query)
	eventually(t, "it waits there", b.node.busy)
	nodes.set("nodeBB", "")
	var looks int
	eventually(t, "somebody has looked", func() bool {
		looks++ // one a millisecond at the most
		return looks > 600
	})
	session.Deliver(event("news"))
	if got := take(t, waits, "the answer"); !strings.Contains(got.body, "news") {
		t.Errorf("got %d %q", got.status, got.body)
	}
	session.Deliver(event("more"))
	if got := a.ask("GET", query, ""); !strings.Contains(got.body, "more") {
		t.Errorf("then %d %q", got.status, got.body)
	}
	other.Deliver(event("on it"))
	a.hears(c, `42["e","on it"]`)
	if d := a.moved(query); d == nil {
		t.Error("no way to a WebSocket")
	}
}

// TestCutAndNobodyComes: a session whose GET was cut off and that nobody asks for again ends soon.
func TestCutAndNobodyComes(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	w := wireTo(t, b, nodes)
	query, _ := b.open()
	waits := a.waiting(t.Context(), query)
	eventually(t, "it waits there", b.node.busy)
	w.cut()
	take(t, waits, "the answer")
	take(t, b.closed, "the end of the session")
}

// TestCutAnswer: what was answered and did not arrive is lost, and the session's client finds out.
func TestCutAnswer(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	w := wireTo(t, b, nodes)
	query, session := b.open()
	waits := a.waiting(t.Context(), query)
	eventually(t, "it waits there", b.node.busy)
	w.setDeaf(true)
	session.Deliver(event("lost"))
	eventually(t, "it is answered", func() bool { return !b.node.busy() })
	w.cut()
	if got := take(t, waits, "the answer"); got.status != http.StatusBadGateway {
		t.Errorf("got %d %q", got.status, got.body)
	}
	take(t, b.closed, "the end of the session")
	if got := b.ask("GET", query, ""); got.status != 400 {
		t.Errorf("then %d %q", got.status, got.body)
	}
}

// TestCutWebSocket: both ends see a WebSocket close that is cut between the nodes, and the handshake of
// one whose answer is cut off ends.
func TestCutWebSocket(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	w := wireTo(t, b, nodes)
	query, session := b.open()
	c := a.moved(query)
	session.Deliver(event("on it"))
	a.hears(c, `42["e","on it"]`)
	w.cut()
	if _, _, err := c.ReadMessage(); err == nil {
		t.Error("it goes on")
	}
	take(t, b.closed, "the end of the session")
	query, _ = b.open()
	w.setDeaf(true)
	refused := make(chan *http.Response, 1)
	go func() { // ends with the answer
		_, resp, _ := a.upgrade(query)
		refused <- resp
	}()
	if resp := take(t, refused, "the answer"); resp == nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %v", resp)
	}
}

// TestDeaf: a node that takes everything and says nothing is out of reach within the time for it.
func TestDeaf(t *testing.T) {
	nodes := newTable()
	a, b := serve(t, "nodeAA", nodes), serve(t, "nodeBB", nodes)
	w := wireTo(t, b, nodes)
	query, _ := b.open()
	waits := a.waiting(t.Context(), query)
	w.setDeaf(true)
	if got := take(t, waits, "the answer"); got.status != http.StatusBadGateway {
		t.Errorf("got %d %q", got.status, got.body)
	}
}
