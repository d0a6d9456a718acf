package passing

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/netip"
	"time"

	"poosh/server/loop"
)

// greet takes a connection of another node, or refuses it.
func (n *Node) greet(a *arrival) {
	nc := a.Conn
	_ = nc.SetDeadline(time.Now().Add(n.opt.Timeout))
	r := bufio.NewReaderSize(nc, maxHelloHead)
	h, signature, err := readHello(r)
	why, ok := refusedRequest, false
	if err == nil {
		why, ok = n.judge(h, signature, time.Now())
	}
	var port Port
	var remote netip.AddrPort
	if ok && h.kind == kindWebSocket {
		why = refusedPort
		if port, ok = n.ports[h.port]; ok {
			if remote, err = netip.ParseAddrPort(h.remote); err != nil {
				why, ok = refusedRequest, false
			}
		}
	}
	switch there := n.arrivals.leave(a); {
	case !there: // it made room for another one
		n.count.refused.Add(refusedBusy, 1)
		return
	case !ok:
		n.refuse(nc, h, why)
		return
	}
	nonce := newNonce()
	secret := n.opt.Secret()
	if _, err := nc.Write(greeting(nonce, proof(secret, h.from, h.to, h.nonce, nonce))); err != nil {
		_ = nc.Close()
		return
	}
	_ = nc.SetDeadline(time.Time{})
	if h.kind == kindWebSocket {
		n.takeWebSocket(nc, &taken{node: n, name: h.from, taker: port.Taker, remote: remote, early: append(h.body, buffered(r)...)})
		return
	}
	asks, answers := keys(secret, h.from, h.to, h.nonce, nonce)
	n.takeLink(nc, h.from, asks, answers, buffered(r))
}

// buffered is what r has read already.
func buffered(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered()) // from memory
	return bytes.Clone(b)
}

// refuse answers somebody who may not ask.
func (n *Node) refuse(nc net.Conn, h *hello, why refusal) {
	n.count.refused.Add(why, 1)
	switch why { // of those that have the secret
	case refusedTime:
		n.warn("clock "+h.from, "another node's clock is too far from this one's for it to pass requests on", "node", h.from, "ahead", time.Until(time.UnixMilli(h.at)).Round(time.Second))
	case refusedFull:
		n.warn("full", "more processes say hello than can be nodes of this cluster: who has its secret?", "node", h.from, "processes", maxSenders)
	default:
		n.opt.Log.Debug("refused at the nodes' port", "remote", nc.RemoteAddr().String(), "why", refusalNames[why])
	}
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second)) // the other one may be over
	_, _ = nc.Write(refusalText(why))
	_ = nc.Close()
}

// takeLink begins a link that another node has asked for.
func (n *Node) takeLink(nc net.Conn, name string, asks, answers, early []byte) {
	l := &inLink{link: link{node: n, name: name, seal: newSeal(answers)}, calls: make(map[uint64]*call)}
	l.open, l.cut = context.WithCancel(n.over)
	l.unsealer.seal = newSeal(asks)
	l.heard.Store(int64(n.opt.Sockets.Now()))
	n.mu.Lock()
	over := n.over.Err() != nil
	if !over {
		n.in[l] = struct{}{}
	}
	n.mu.Unlock()
	if over {
		l.cut()
		_ = nc.Close()
		return
	}
	c, err := n.opt.Sockets.AttachConn(nc, loop.Options{Outbox: linkOutbox, Cork: true, Trusted: true}, l)
	if err != nil {
		n.mu.Lock()
		delete(n.in, l)
		n.mu.Unlock()
		l.cut()
		return
	}
	l.mu.Lock()
	l.conn = c
	l.mu.Unlock()
	l.early = early
	c.Start()
}

// A taken connection is a client's WebSocket that another node passes on, before the port's server has it.
type taken struct {
	node   *Node
	name   string
	taker  Taker
	remote netip.AddrPort
	early  []byte // the client's request
}

func (n *Node) takeWebSocket(nc net.Conn, t *taken) {
	c, err := n.opt.Sockets.AttachConn(nc, loop.Options{}, t)
	if err == nil {
		c.Start()
	}
}

// Data implements [loop.Protocol].
func (t *taken) Data(c *loop.Conn, data []byte) {
	if len(data) > 0 { // it was refused
		return
	}
	t.node.count.served.Add(servedWebSocket, 1)
	if t.taker == nil || !t.taker.Take(c, t.remote, t.early) {
		c.End(loop.HalfClose, []byte(noPlace), loop.ErrClosed)
	}
}

// noPlace is for a client for whose WebSocket there is no place.
const noPlace = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n" +
	"Retry-After: 5\r\nContent-Length: 32\r\n\r\n" + `{"error":"too many connections"}`

// Closed implements [loop.Protocol].
func (*taken) Closed(*loop.Conn, error) {}

// RemoteAddr implements [loop.Protocol].
func (t *taken) RemoteAddr() string { return t.remote.String() }
