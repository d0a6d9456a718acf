package passing

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"poosh/server/loop"
)

// begin connects a link and has what waits for it leave.
func (n *Node) begin(l *outLink, addr string) {
	h := &hello{kind: kindLink, from: n.opt.Name, to: l.name, nonce: n.numbers.nonce()}
	g, err := n.greeted(h, addr)
	if err != nil {
		n.warn("reach "+l.name, "another node is out of reach: requests for its sessions fail", "node", l.name, "addr", addr, "err", err)
		l.over(true)
		return
	}
	asks, answers := keys(g.secret, h.from, h.to, h.nonce, g.nonce)
	l.unsealer.seal = newSeal(answers)
	l.heard.Store(int64(n.opt.Sockets.Now()))
	c, err := n.opt.Sockets.AttachConn(g.conn, loop.Options{Outbox: linkOutbox, Cork: true, Trusted: true}, l)
	if err != nil {
		l.over(true)
		return
	}
	l.mu.Lock()
	l.early = g.early
	l.conn, l.seal = c, newSeal(asks)
	for _, frame := range l.queue {
		l.send(frame)
	}
	l.queue, l.queued = nil, 0
	l.mu.Unlock()
	c.Start()
	if n.over.Err() != nil { // Close may have come before the connection
		c.Abort(loop.ErrShutdown)
	}
}

// Bounds of the WebSockets that are begun to one node, so that one that hangs costs the others nothing.
const (
	maxDials   = 64   // at a time
	maxDialing = 1024 // and with those that wait for their turn
)

var errDialing = errors.New("too many WebSockets to the node are begun at once")

// turn waits for the turn of a WebSocket to a node; done ends it.
func (n *Node) turn(ctx context.Context, name string) (done func(), err error) {
	n.mu.Lock()
	p := n.peer(name)
	full := p.dialing >= maxDialing
	if !full {
		p.dialing++
	}
	n.mu.Unlock()
	if full {
		return nil, errDialing
	}
	leave := func() {
		n.mu.Lock()
		p.dialing--
		n.mu.Unlock()
	}
	select {
	case p.dials <- struct{}{}:
		return func() { <-p.dials; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, errDialing
	}
}

// A greeted connection is one that another node has taken.
type greeted struct {
	conn   net.Conn
	secret string
	nonce  string // of the other node's
	early  []byte // what came behind
}

// greeted says hello to a node and hears its answer.
func (n *Node) greeted(h *hello, addr string) (*greeted, error) {
	ctx, cancel := context.WithTimeout(n.over, n.opt.Timeout)
	defer cancel()
	if h.kind == kindWebSocket { // the link's is one, and waits for none of them
		done, err := n.turn(ctx, h.to)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	until, _ := ctx.Deadline()
	_ = nc.SetDeadline(until)
	g, err := n.greetedOn(nc, h)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return g, nil
}

func (n *Node) greetedOn(nc net.Conn, h *hello) (*greeted, error) {
	secret := n.opt.Secret()
	h.at = time.Now().UnixMilli()
	if _, err := nc.Write(h.write(nil, secret)); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(nc, maxHelloHead)
	head, err := readHead(r)
	if err != nil {
		return nil, errors.New("no answer of a node")
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return nil, errors.New("no answer of a node")
	}
	_ = res.Body.Close()
	nonce := res.Header.Get("Poosh-Nonce")
	switch {
	case res.StatusCode != http.StatusSwitchingProtocols:
		return nil, fmt.Errorf("it refused: %d", res.StatusCode)
	case !hmac.Equal([]byte(res.Header.Get("Poosh-Proof")), []byte(proof(secret, h.from, h.to, h.nonce, nonce))):
		return nil, errors.New("it does not have the cluster's secret")
	}
	_ = nc.SetDeadline(time.Time{})
	return &greeted{nc, secret, nonce, buffered(r)}, nil
}
