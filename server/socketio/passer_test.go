package socketio

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"poosh/server/http1"
	"poosh/server/latency"
)

// passer hands on to the server of a node what is for its sessions, and notes what it is asked.
type passer struct {
	node string
	to   http.Handler

	mu    sync.Mutex // guards asked
	asked []string
}

func (p *passer) Pass(w http.ResponseWriter, r *http.Request, session string) bool {
	p.mu.Lock()
	p.asked = append(p.asked, session)
	p.mu.Unlock()
	if !strings.HasPrefix(session, p.node) {
		return false
	}
	http1.AnswerLater(w, r, func(answer func(int, http.Header, []byte)) {
		far := &farWriter{answer: answer, header: make(http.Header)}
		p.to.ServeHTTP(wrapped{far}, r.Clone(context.Background()))
		if !far.later {
			answer(far.status, far.header, far.body)
		}
	})
	return true
}

// farWriter is what the node that has a session answers to, as one that is elsewhere does.
type farWriter struct {
	answer func(int, http.Header, []byte)
	header http.Header
	status int
	body   []byte
	later  bool
}

func (w *farWriter) Header() http.Header    { return w.header }
func (w *farWriter) WriteHeader(status int) { w.status = status }
func (w *farWriter) Later(http1.Waiter) Answerer {
	w.later = true
	return w
}
func (w *farWriter) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	return len(b), nil
}
func (w *farWriter) Answer(body []byte, marks ...*latency.Mark) {
	latency.Marks(marks).Pass()
	w.answer(w.status, w.header, body)
}

// wrapped is another ResponseWriter around one, as handlers in between make them.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestPassed: a session is served whichever of two nodes its requests come to; what is unknown to
// all is unknown at once, and nobody is asked for sessions that were this node's own.
func TestPassed(t *testing.T) {
	b := serve(t, Config{Node: "nodeBB"})
	asked := &passer{node: "nodeBB", to: b.server}
	a := serve(t, Config{Node: "nodeAA", Passer: asked})
	a.server.Change(Config{MaxPayload: 2048}) // of which neither is a part
	for i, query := range []string{"EIO=3&b64=1", "EIO=3", "EIO=2&j=0", "EIO=4"} {
		p := b.poll(query)
		if len(p.sid) != 26 || !strings.HasPrefix(p.sid, "nodeBB") {
			t.Fatalf("the id is %q", p.sid)
		}
		p.site = a
		if p.eio == 4 {
			if got := p.post("40"); got.status != 200 {
				t.Fatalf("%s: the POST was answered %d %q", query, got.status, got.body)
			}
		}
		session := take(t, b.connected, "the client")
		p.want("40...")
		waits := make(chan []string, 1)
		n, _ := b.polls.of(session)
		go func() { // ends with the GET
			_, packets := p.get()
			waits <- packets
		}()
		b.await(session, n, nil)
		if got := p.post(`42["hello",1]`); got.status != 200 || got.body != "ok" {
			t.Errorf("%s: the POST was answered %d %q", query, got.status, got.body)
		}
		eventually(t, "the event", func() bool { return len(b.heard()) == i+1 })
		session.Deliver(frames(`42["news"]`)[0])
		if got := take(t, waits, "the answer to the GET"); len(got) != 1 || got[0] != `42["news"]` {
			t.Errorf("%s: the GET was answered %q", query, got)
		}
	}
	if got := a.ask("OPTIONS", "transport=polling&sid=nodeBBx", ""); got.status != 200 {
		t.Errorf("OPTIONS: %d", got.status)
	}
	for _, id := range []string{"nodeCCxxxxxxxxxxxxxxxxxxxx", "nodeAAxxxxxxxxxxxxxxxxxxxx", "nodeBBxxxxxxxxxxxxxxxxxxxx", "x"} {
		if got := a.ask("GET", "transport=polling&sid="+id, ""); got.status != 400 || !strings.Contains(got.body, unknownSession.Message) {
			t.Errorf("%s: %d %q", id, got.status, got.body)
		}
	}
	asked.mu.Lock()
	defer asked.mu.Unlock()
	for _, id := range asked.asked {
		if strings.HasPrefix(id, "nodeAA") || id == "nodeBBx" {
			t.Errorf("somebody was asked for %s", id)
		}
	}
}
