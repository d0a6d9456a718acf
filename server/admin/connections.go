package admin

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections bound what is open on the port. One more than the most takes the place of
// another: of those who have shown no token before those who have, of those who ask
// nothing before those who do, of the one for whom that has been so for longest. So
// strangers who reach the port cannot keep an operator out.
type connections struct {
	most int // set once

	mu   sync.Mutex // guards what follows
	open map[net.Conn]*connection
}

// A connection is what is known of one. connections.mu guards it.
type connection struct {
	all   *connections // set once
	known bool         // it has shown the token
	busy  bool         // it asks something
	since time.Time    // that busy is so
}

func (cs *connections) init(most int) { cs.most, cs.open = most, make(map[net.Conn]*connection) }

// connKey finds a request's connection in its context.
type connKey struct{}

// context implements [http.Server].ConnContext.
func (cs *connections) context(ctx context.Context, nc net.Conn) context.Context {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := &connection{all: cs, since: time.Now()}
	cs.open[nc] = c
	if len(cs.open) > cs.most {
		if one := cs.dispensable(c); one != nil {
			delete(cs.open, one)
			_ = one.Close()
		}
	}
	return context.WithValue(ctx, connKey{}, c)
}

// dispensable is the one whose place a newcomer takes. cs.mu is held.
func (cs *connections) dispensable(newcomer *connection) (least net.Conn) {
	for nc, c := range cs.open {
		if c != newcomer && (least == nil || c.less(cs.open[least])) {
			least = nc
		}
	}
	return least
}

// less reports whether c ends rather than d.
func (c *connection) less(d *connection) bool {
	switch {
	case c.known != d.known:
		return d.known
	case c.busy != d.busy:
		return d.busy
	}
	return c.since.Before(d.since)
}

// changed implements [http.Server].ConnState.
func (cs *connections) changed(nc net.Conn, state http.ConnState) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.open[nc]
	if c == nil {
		return // it is not known yet, or not any more
	}
	switch state {
	case http.StateActive, http.StateIdle:
		c.busy, c.since = state == http.StateActive, time.Now()
	case http.StateHijacked, http.StateClosed:
		delete(cs.open, nc)
	}
}

// showedToken says that a request came with the token.
func showedToken(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*connection); ok {
		c.all.mu.Lock()
		defer c.all.mu.Unlock()
		c.known = true
	}
}
