package passing

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"poosh/server/socketio"
	"poosh/server/websocket"
)

// Passer returns what passes on the requests that came to the port of a setting.
func (n *Node) Passer(port string) *Passer { return &Passer{n, port} }

// A Passer passes on what came to one port. It implements the Passer of package socketio, and may be
// used from any goroutine.
type Passer struct {
	node *Node
	port string
}

var _ socketio.Passer = (*Passer)(nil)

// nameSize is how long the name of a node is, by which the ids of its sessions begin.
func (n *Node) nameSize() int { return len(n.opt.Name) }

// Pass passes a request on, if its session's node is there and this node is the first to which it
// comes. It returns at once for a request on the loop, and else with the answer.
func (p *Passer) Pass(w http.ResponseWriter, r *http.Request, session string) bool {
	n := p.node
	if wasPassed(w) || len(session) <= n.nameSize() {
		return false
	}
	name := session[:n.nameSize()]
	if name == n.opt.Name {
		return false
	}
	addr, there := n.where(name)
	if !there {
		n.count.passed.Add(passedUnknown, 1)
		return false
	}
	if status := unfit(r); status != 0 {
		n.count.passed.Add(passedUnfit, 1)
		answerFailed(w, status, unfitBody)
		return true
	}
	switch {
	case websocket.IsUpgrade(r) && r.Method == http.MethodGet:
		return p.carry(w, r, name, addr)
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		return false
	}
	body, err := readBody(r)
	if err != nil { // there was no room for it, or it was cut off; it cannot be read again
		n.count.passed.Add(passedFull, 1)
		answerFailed(w, http.StatusServiceUnavailable, busy)
		return true
	}
	n.link(name, addr).pass(w, r, requestFrame(p.port, r, body))
	return true
}

// unfit is the status for a request that has no form between nodes, where net/http takes more than
// package http1 does; 0 for one that has.
func unfit(r *http.Request) int {
	lines := 0
	for _, values := range r.Header {
		lines += len(values)
	}
	switch {
	case lines > maxHeaders:
		return http.StatusRequestHeaderFieldsTooLarge
	case !strings.HasPrefix(target(r), "/"):
		return http.StatusBadRequest
	}
	return 0
}

// target is what a request asks for, without the server that a target in absolute form names too.
func target(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// answerFailed answers at once what is not passed on.
func answerFailed(w http.ResponseWriter, status int, body []byte) {
	whole{status, failedHeader, body}.write(w)
}

// wasPassed reports whether another node has passed a request on.
func wasPassed(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case *writer:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

// readBody reads a body, which package socketio bounds.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 || r.Method == http.MethodGet {
		return nil, nil
	}
	return io.ReadAll(r.Body)
}

// A peer is another node, as this one asks it.
type peer struct {
	dials chan struct{} // has room for the WebSockets that are begun at a time

	// Guarded by the node's mu.
	link    *outLink
	addr    string    // of the link
	until   time.Time // its last link failed: no other one before
	dialing int       // WebSockets that are begun, or wait for their turn
}

// peer returns what is known of a node. n.mu is held.
func (n *Node) peer(name string) *peer {
	p := n.peers[name]
	if p == nil {
		p = &peer{dials: make(chan struct{}, maxDials)}
		n.peers[name] = p
	}
	return p
}

// where is where a node is reached. One to which a link is open is there, whatever is known of it at
// this moment: a table that the engine has lost fills again one by one.
func (n *Node) where(name string) (addr string, there bool) {
	if addr, there = n.opt.Nodes.Addr(name); there {
		return addr, true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.peers[name]; p != nil && p.link != nil && p.link.open() {
		return p.addr, true
	}
	return "", false
}

// forget drops what is known of nodes that are gone.
func (n *Node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.peers, func(name string, p *peer) bool {
		_, there := n.opt.Nodes.Addr(name)
		return !there && p.link == nil && p.dialing == 0
	})
}

// pause is how long a node that is out of reach is not asked again.
const pause = 500 * time.Millisecond

// link returns that to a node, which is begun if there is none.
func (n *Node) link(name, addr string) *outLink {
	n.run()
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peer(name)
	if p.link != nil && p.link.alive() {
		return p.link
	}
	l := &outLink{link: link{node: n, name: name}, calls: make(map[uint64]*passing)}
	if time.Now().Before(p.until) || n.over.Err() != nil {
		l.dead = true
		return l
	}
	p.link, p.addr = l, addr
	n.work.Go(func() { n.begin(l, addr) }) // has Timeout
	return l
}

// lost notes that a link is over.
func (n *Node) lost(l *outLink, failed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[l.name]
	if p == nil || p.link != l {
		return
	}
	p.link = nil
	if failed {
		p.until = time.Now().Add(pause)
	}
}
