package passing

import (
	"bytes"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"poosh/server/loop"
	"poosh/server/peers"
	"poosh/server/websocket"
)

// A pipe carries a client's WebSocket to another node and back, byte for byte.
type pipe struct {
	node   *Node // that carries
	to     string
	client pipeEnd
	inner  pipeEnd

	unknown time.Duration // the loop's time since which nobody knows of the other node; owned by look

	mu   sync.Mutex // guards what follows
	over bool       // one end has closed
}

// A pipeEnd is one of a pipe's connections. It implements [loop.Protocol].
type pipeEnd struct {
	pipe   *pipe
	other  *pipeEnd
	remote string
	conn   *loop.Conn // guarded by the pipe's mu; nil before it is there
	early  []byte     // what came before; owned by the connection's reader
	timer  loop.Timer // looks whether the other end has room again
}

const (
	// pipeOutbox bounds what waits at one end. What comes is read no more when pipeFull wait, until
	// it is less than half of that.
	pipeOutbox = 1 << 20
	pipeFull   = 256 << 10
	pipePause  = 100 * time.Millisecond
)

// carry has a WebSocket carried to its session's node.
func (p *Passer) carry(w http.ResponseWriter, r *http.Request, name, addr string) bool {
	n := p.node
	if n.carriesNone() { // the client stays on polling, and comes to its WebSocket elsewhere
		n.count.passed.Add(passedFull, 1)
		w.Header()["Connection"] = []string{"close"}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	n.run()
	h := &hello{kind: kindWebSocket, from: n.opt.Name, to: name, port: p.port, remote: r.RemoteAddr, nonce: n.numbers.nonce()}
	head := upgradeHead(r)
	c := &pipe{node: n, to: name}
	c.client = pipeEnd{pipe: c, other: &c.inner, remote: r.RemoteAddr}
	c.inner = pipeEnd{pipe: c, other: &c.client, remote: "node " + name}
	for _, e := range []*pipeEnd{&c.client, &c.inner} {
		e.timer.Fire = e.look
	}
	conn, early, err := n.opt.Sockets.TakeOver(w, &c.client, loop.Options{Outbox: pipeOutbox}, func() []byte { return []byte(noPlace) })
	switch {
	case errors.Is(err, websocket.ErrTooMany): // or loop.ErrTooMany, which has been answered
		n.count.passed.Add(passedFull, 1)
		w.Header()["Retry-After"] = []string{"5"}
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	case err != nil:
		return true // there is nothing to answer on
	}
	h.body = append(head, early...)
	c.client.conn = conn
	n.mu.Lock()
	n.pipes[c] = struct{}{}
	late := n.leaving // and so in no list of those who are sent away
	n.mu.Unlock()
	conn.Pause() // until the other end is there
	conn.Start()
	if late || !n.start(func() { c.begin(h, addr) }) { // has Timeout
		n.count.passed.Add(passedFull, 1)
		conn.End(loop.HalfClose, []byte(noPlace), loop.ErrClosed)
	}
	return true
}

// carriesNone reports whether the node goes away.
func (n *Node) carriesNone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leaving
}

// upgradeHead is a client's request as it is passed on: no other one may follow where it is refused.
func upgradeHead(r *http.Request) []byte {
	var b bytes.Buffer
	b.WriteString("GET " + target(r) + " HTTP/1.1\r\nHost: " + r.Host + "\r\nConnection: Upgrade, close\r\n")
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if ofHop(name) && name != "Upgrade" || name == "Expect" { // which this node has met
			continue
		}
		for _, v := range r.Header[name] {
			b.WriteString(name + ": " + v + "\r\n")
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// begin connects the inner end.
func (p *pipe) begin(h *hello, addr string) {
	n := p.node
	g, err := n.greeted(h, addr)
	if err != nil {
		n.count.passed.Add(passedFailed, 1)
		n.opt.Log.Debug("a WebSocket cannot be passed on", "node", p.to, "addr", addr, "err", err)
		p.client.conn.End(loop.HalfClose, []byte(noGateway), loop.ErrClosed)
		return
	}
	inner, err := n.opt.Sockets.AttachConn(g.conn, loop.Options{Outbox: pipeOutbox}, &p.inner)
	if err != nil {
		n.count.passed.Add(passedFailed, 1)
		p.client.conn.End(loop.HalfClose, []byte(noGateway), loop.ErrClosed)
		return
	}
	n.count.passed.Add(passedUpgraded, 1)
	p.inner.early = g.early
	p.mu.Lock()
	p.inner.conn = inner
	over := p.over
	p.mu.Unlock()
	inner.Start()
	if over {
		inner.Finish()
		return
	}
	p.client.conn.Resume()
}

const noGateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nConnection: close\r\n" +
	"Content-Length: 57\r\n\r\n" + `{"code":3,"message":"The session's node is out of reach"}`

func (p *pipe) abort(why loop.Reason) {
	p.mu.Lock()
	client, inner := p.client.conn, p.inner.conn
	p.mu.Unlock()
	client.Abort(why)
	if inner != nil {
		inner.Abort(why)
	}
}

// peer returns the other end's connection; nil before it is there.
func (e *pipeEnd) peer() *loop.Conn {
	e.pipe.mu.Lock()
	defer e.pipe.mu.Unlock()
	return e.other.conn
}

// Data implements [loop.Protocol].
func (e *pipeEnd) Data(c *loop.Conn, data []byte) {
	to := e.peer()
	if len(data) == 0 {
		data, e.early = e.early, nil
	}
	if len(data) == 0 {
		return
	}
	if to == nil || !to.Push(bytes.Clone(data)) {
		c.Abort(loop.ErrReset)
		return
	}
	if to.Waiting() > pipeFull {
		c.Pause()
		e.pipe.node.opt.Sockets.Schedule(&e.timer, pipePause)
	}
}

// look reads on when the other end has room.
func (e *pipeEnd) look() {
	e.pipe.mu.Lock()
	c, to := e.conn, e.other.conn
	e.pipe.mu.Unlock()
	if to.Waiting() > pipeFull/2 {
		e.pipe.node.opt.Sockets.Schedule(&e.timer, pipePause)
		return
	}
	c.Resume()
}

// Closed implements [loop.Protocol]: what came from here still leaves at the other end, and then that closes.
func (e *pipeEnd) Closed(*loop.Conn, error) {
	p := e.pipe
	p.node.opt.Sockets.Cancel(&e.timer)
	p.mu.Lock()
	p.over = true
	to := e.other.conn
	p.mu.Unlock()
	if e == &p.client {
		p.node.opt.Sockets.Released(peers.Of(e.remote))
		p.node.mu.Lock()
		delete(p.node.pipes, p)
		p.node.mu.Unlock()
	}
	if to != nil {
		p.node.opt.Sockets.Cancel(&e.other.timer)
		to.Resume()
		to.Finish()
	}
}

// RemoteAddr implements [loop.Protocol].
func (e *pipeEnd) RemoteAddr() string { return e.remote }
