package socktopus

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"time"

	"poosh/auth"
	"poosh/server/command"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/websocket"
)

// A client is one connection that joined under an id.
type client struct {
	dialect *Dialect
	app     *app
	id      string
	until   time.Time       // when its token expires, by the monotonic clock
	conn    *websocket.Conn // set before it is seated
	seat    *hub.Subscriber // set when it is seated; guarded by app.mu
	claimed bool            // the registry said yes; guarded by app.mu
	quiet   loop.Timer      // fires when no PING came in time
	line    command.Line    // what was said before the registry has answered

	mu    sync.Mutex // guards ended, and keeps CLOSE the last frame
	ended bool
}

// An end is a way in which a connection ends: its name among the counts, the code
// of the close frame, and whether the client is told CLOSE before.
type end struct {
	name string
	code int
	told bool
}

// The ways in which the server ends a connection. The original sent CLOSE for all
// but the last and no close frame for any.
var (
	endKicked   = end{"kicked", websocket.CloseNormal, true}
	endReplaced = end{"replaced", websocket.CloseNormal, true}
	endQuiet    = end{"no ping", websocket.CloseNormal, true}
	endAsked    = end{"asked to close", websocket.CloseNormal, true}
	endShutdown = end{"server shutdown", websocket.CloseGoingAway, false}
)

// receive lets a client join: GET /recieve?token=. The order of checks is the
// original's, with the page's origin before them.
func (d *Dialect) receive(w http.ResponseWriter, r *http.Request) {
	if !d.origins.allows(r) {
		d.refuse(w, r, http.StatusForbidden, "Origin not allowed")
		return
	}
	now := d.wall()
	token, a, status, message := d.admit(r, now)
	if status != 0 {
		d.refuse(w, r, status, message)
		return
	}
	if a.barred(token.ID, token.Time) {
		d.refuse(w, r, http.StatusForbidden, "Connection kicked")
		return
	}
	if !d.open.Enter() {
		d.refuse(w, r, http.StatusServiceUnavailable, "Server is shutting down")
		return
	}
	c := &client{dialect: d, app: a, id: token.ID}
	// Its token is in time, so this is within two lives of it.
	c.until = time.Now().Add(time.UnixMilli(token.Time).Sub(now) + auth.SocktopusLife)
	c.quiet.Fire = func() { c.end(endQuiet) }
	conn, err := d.loop.Accept(w, r, websocket.Options{MaxMessage: d.cfg.MaxMessage, Outbox: d.cfg.Outbox}, c)
	if err != nil {
		d.open.Leave()
		d.refuseUpgrade(w, r, err)
		return
	}
	c.conn = conn
	c.join(token.Time)
	conn.Start()
}

// admit checks a token at a time of the clock on the wall. A status of 0 means it is good.
func (d *Dialect) admit(r *http.Request, now time.Time) (token auth.SocktopusToken, a *app, status int, message string) {
	text := r.URL.Query().Get("token")
	if len(text) > d.cfg.MaxToken {
		return token, nil, http.StatusBadRequest, "Malformed token"
	}
	token, err := auth.ParseSocktopus(text)
	if err != nil {
		return token, nil, http.StatusBadRequest, "Malformed token"
	}
	switch err := token.InTime(now); {
	case errors.Is(err, auth.ErrEarly):
		return token, nil, http.StatusUnauthorized, "Token ahead of the clock"
	case err != nil:
		return token, nil, http.StatusUnauthorized, "Token expired"
	}
	a = d.apps[fold(token.Name)]
	if a == nil {
		return token, nil, http.StatusNotFound, "Secret not found"
	}
	if token.Check(a.secret) != nil {
		return token, nil, http.StatusUnauthorized, "Invalid signature"
	}
	return token, a, 0, ""
}

// refuse answers a client that may not join.
func (d *Dialect) refuse(w http.ResponseWriter, r *http.Request, status int, message string) {
	d.count("refused: "+message, 1)
	d.log.Debug("socktopus: join refused", "remote", r.RemoteAddr, "status", status, "reason", message)
	writeError(w, status, message)
}

// refuseUpgrade answers a request with a good token whose handshake is not taken (RFC
// 6455, section 4.4, RFC 9110, section 15.5.22, and RFC 6585, section 4).
func (d *Dialect) refuseUpgrade(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case !errors.Is(err, websocket.ErrHandshake): // the connection is gone
		d.count("ended: transport error", 1)
		d.log.Debug("socktopus: join failed", "remote", r.RemoteAddr, "error", err)
	case errors.Is(err, websocket.ErrBadKey):
		d.refuse(w, r, http.StatusBadRequest, "Bad WebSocket handshake")
	case errors.Is(err, websocket.ErrNotUpgrade), errors.Is(err, websocket.ErrVersion):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		d.refuse(w, r, http.StatusUpgradeRequired, "WebSocket upgrade required")
	default: // nothing is wrong with it, but there is no place
		w.Header().Set("Retry-After", "5")
		d.refuse(w, r, http.StatusTooManyRequests, "Too many connections")
	}
}

// seatIn makes c the connection of its id and ends the one that was. In the
// original the old one, on ending, took the new one with it.
func (c *client) seatIn(made int64) {
	a, d := c.app, c.dialect
	c.heard()
	a.mu.Lock()
	if a.isBarred(c.id, made) { // since it was asked before the handshake
		a.mu.Unlock()
		c.end(endKicked)
		return
	}
	old := a.clients[c.id]
	a.clients[c.id] = c
	c.seat = d.hub.Register(a.room, c.id, 1, encoder{}, c)
	var err error
	if old != nil {
		err = d.hub.Replace(old.seat, c.seat, c.id)
	} else {
		err = d.hub.Join(c.seat, c.id)
	}
	a.mu.Unlock()
	if err != nil {
		panic(err) // a new subscriber may be in one room
	}
	if old != nil {
		old.end(endReplaced)
	}
	// A Shutdown that began in between may not have seen it.
	if d.open.Closed() {
		c.end(endShutdown)
	}
}

// heard renews the read deadline. The loop's timers may be a tenth of a second
// early, and clients leave themselves no more than one second.
func (c *client) heard() {
	c.dialect.loop.Schedule(&c.quiet, c.dialect.cfg.ReadTimeout+100*time.Millisecond)
}

// leave gives up the id, unless another connection has it already. It may be called more
// than once.
func (c *client) leave() {
	a := c.app
	c.dialect.loop.Cancel(&c.quiet)
	a.mu.Lock()
	if a.clients[c.id] == c {
		delete(a.clients, c.id)
	}
	seat, claimed := c.seat, c.claimed
	c.seat, c.claimed = nil, false
	a.mu.Unlock()
	if seat != nil {
		c.dialect.hub.Unregister(seat)
	}
	if claimed {
		c.dialect.cfg.Registry.Release(a.name, c.id)
	}
}

// end closes the connection behind what waits for it. Only the first call does
// anything.
func (c *client) end(how end) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	if how.told {
		c.conn.Push(closeFrame)
	}
	c.conn.Close(how.code, how.name)
	c.mu.Unlock()
	c.dialect.count("ended: "+how.name, 1)
	c.leave()
}

// Deliver queues a frame; it implements [hub.Receiver].
func (c *client) Deliver(frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended && c.conn.Push(frame)
}

// Message takes a client's message. What comes before the client is seated waits.
func (c *client) Message(_ *websocket.Conn, binary bool, data []byte) {
	if c.line.Busy() {
		switch c.wait(binary, bytes.Clone(data)) {
		case command.Waits:
			return
		case command.TooMuch:
			c.conn.Abort(loop.ErrTooMuch)
			return
		}
	}
	c.handle(binary, data)
}

// handle handles a message. Only the exact text PING renews the deadline; any binary
// message means CLOSE; other text is ignored (the original's read loop).
func (c *client) handle(binary bool, data []byte) {
	switch {
	case binary || string(data) == closeText:
		c.end(endAsked)
	case string(data) == pingText:
		if c.Deliver(pongFrame) {
			c.heard()
		}
	}
}

// Closed gives up what the connection had.
func (c *client) Closed(_ *websocket.Conn, reason error) {
	c.mu.Lock()
	first := !c.ended
	c.ended = true
	c.mu.Unlock()
	if first {
		c.dialect.count("ended: "+reason.Error(), 1)
	}
	c.line.Close()
	c.leave()
	c.dialect.open.Leave()
}

// all returns the clients of this moment.
func (a *app) all() []*client {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*client, 0, len(a.clients))
	for _, c := range a.clients {
		list = append(list, c)
	}
	return list
}
