package socktopus

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"time"

	"poosh/auth"
	"poosh/server/closed"
	"poosh/server/command"
	"poosh/server/hub"
	"poosh/server/latency"
	"poosh/server/loop"
	"poosh/server/peers"
	"poosh/server/rotation"
	"poosh/server/websocket"
)

// A client is one connection that joined under an id.
type client struct {
	dialect *Dialect
	app     *app
	id      string
	opened  time.Duration   // on the loop's clock
	until   time.Time       // when its token expires, by the monotonic clock
	conn    *websocket.Conn // set before it is seated
	seat    *hub.Subscriber // set when it is seated; guarded by app.mu
	claimed bool            // the registry said yes; guarded by app.mu
	quiet   loop.Timer      // fires when no PING came in time
	line    command.Line    // what was said before the registry has answered

	mu    sync.Mutex // guards what follows, and keeps CLOSE the last frame
	ended bool
	why   closed.Reason // it ended for, once ended
}

// An end is a way in which a connection ends: what it counts as, the text and the code of
// the close frame, and whether the client is told CLOSE before.
type end struct {
	why  closed.Reason
	name string
	code int
	told bool
}

// The ways in which the server ends a connection. The original sent CLOSE for all
// but the last and no close frame for any.
var (
	endKicked   = end{closed.Kicked, "kicked", websocket.CloseNormal, true}
	endReplaced = end{closed.Replaced, "replaced", websocket.CloseNormal, true}
	endQuiet    = end{closed.PingTimeout, "no ping", websocket.CloseNormal, true}
	endAsked    = end{closed.Asked, "asked to close", websocket.CloseNormal, true}
	endShutdown = end{closed.Shutdown, "server shutdown", websocket.CloseGoingAway, false}
	endMissed   = end{closed.Missed, closed.Missed.String(), websocket.CloseGoingAway, false}
)

// receive lets a client join: GET /recieve?token=. The order of checks is the
// original's, with the page's origin before them.
func (d *Dialect) receive(w http.ResponseWriter, r *http.Request) {
	if !d.rules.Load().origins.allows(r) {
		d.refuse(w, r, badOrigin)
		return
	}
	now := d.wall()
	token, a, why := d.admit(r, now)
	if why != notRefused {
		d.refuse(w, r, why)
		return
	}
	if a.barred(token.ID, token.Time) {
		d.refuse(w, r, kicked)
		return
	}
	if !d.open.Enter() {
		d.refuse(w, r, shuttingDown)
		return
	}
	c := &client{dialect: d, app: a, id: token.ID, opened: d.loop.Now()}
	// Its token is in time, so this is within two lives of it.
	c.until = time.Now().Add(time.UnixMilli(token.Time).Sub(now) + auth.SocktopusLife)
	c.quiet.Fire = func() { c.conn.Guard(c.expire) }
	by := d.cfg()
	conn, err := d.loop.Accept(w, r, websocket.Options{MaxMessage: by.MaxMessage, Outbox: by.Outbox}, c)
	if err != nil {
		d.open.Leave()
		d.refuseUpgrade(w, r, err)
		return
	}
	c.conn = conn
	a.ends.Opened()
	c.join(token.Time)
	conn.Start()
}

// admit checks a token at a time of the clock on the wall.
func (d *Dialect) admit(r *http.Request, now time.Time) (token auth.SocktopusToken, a *app, why refusal) {
	text := r.URL.Query().Get("token")
	if len(text) > d.cfg().MaxToken {
		return token, nil, malformedToken
	}
	token, err := auth.ParseSocktopus(text)
	if err != nil {
		return token, nil, malformedToken
	}
	switch err := token.InTime(now); {
	case errors.Is(err, auth.ErrEarly):
		return token, nil, earlyToken
	case err != nil:
		return token, nil, oldToken
	}
	a = d.rules.Load().apps[fold(token.Name)]
	if a == nil {
		return token, nil, noSecret
	}
	good, old := a.secrets.Load().good(token.Check)
	if !good {
		return token, nil, badSignature
	}
	if old {
		a.old.Used(rotation.Client, r.RemoteAddr)
	}
	return token, a, notRefused
}

// refuse answers a client that may not join.
func (d *Dialect) refuse(w http.ResponseWriter, r *http.Request, why refusal) {
	d.refused.Add(why, 1)
	status, message := d.answer(why)
	d.log.Debug("socktopus: join refused", "remote", r.RemoteAddr, "status", status, "reason", message)
	writeError(w, status, message)
}

// refuseUpgrade answers a request with a good token whose handshake is not taken (RFC
// 6455, section 4.4, RFC 9110, section 15.5.22, and RFC 6585, section 4).
func (d *Dialect) refuseUpgrade(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case !errors.Is(err, websocket.ErrHandshake): // the connection is gone
		d.lost.Add(1)
		d.log.Debug("socktopus: join failed", "remote", r.RemoteAddr, "error", err)
	case errors.Is(err, websocket.ErrBadKey):
		d.refuse(w, r, badHandshake)
	case errors.Is(err, websocket.ErrNotUpgrade), errors.Is(err, websocket.ErrVersion):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		d.refuse(w, r, noUpgrade)
	default: // nothing is wrong with it, but there is no place
		w.Header().Set("Retry-After", "5")
		d.refuse(w, r, tooManyConnections)
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
	d.cut(a, time.Now())
	missed := a.away.returns(c.id)
	var err error
	if old != nil && missed == nil {
		err = d.hub.Replace(old.seat, c.seat, c.id)
	} else { // one that is there still where something was missed has ended
		err = d.hub.Join(c.seat, c.id, missed...)
	}
	a.mu.Unlock()
	if err != nil {
		panic(err) // a new subscriber may be in one room
	}
	if old != nil {
		old.end(endReplaced)
	}
	switch { // what began in between may not have seen it
	case d.open.Closed():
		c.Leave()
	case a.removed.Load():
		c.end(endKicked)
	}
}

// heard renews the read deadline. The loop's timers may be a tenth of a second
// early, and clients leave themselves no more than one second.
func (c *client) heard() {
	c.dialect.loop.Schedule(&c.quiet, c.dialect.cfg().ReadTimeout+100*time.Millisecond)
}

// expire ends the connection for want of a PING, unless one may wait unread. It runs on the
// goroutine of timers.
func (c *client) expire() {
	c.mu.Lock()
	ended, unheard := c.ended, c.conn.Unheard()
	if !ended && unheard {
		c.heard() // with mu held: who ends it cancels behind this
	}
	c.mu.Unlock()
	if !ended && !unheard {
		c.end(endQuiet)
	}
}

// leave gives up the id, unless another connection has it already. It may be called more
// than once.
func (c *client) leave() {
	a, by := c.app, c.dialect.cfg()
	c.dialect.loop.Cancel(&c.quiet)
	a.mu.Lock()
	if a.clients[c.id] == c {
		delete(a.clients, c.id)
		if ended, why := c.ending(); by.Keep && ended && comesBack(why) && !a.removed.Load() {
			now := time.Now()
			c.dialect.cut(a, now)
			a.away.leaves(c.id, now, by.KeepBytes)
		}
	}
	seat, claimed := c.seat, c.claimed
	c.seat, c.claimed = nil, false
	a.mu.Unlock()
	if seat != nil {
		c.dialect.hub.Unregister(seat)
	}
	if claimed {
		by.Registry.Release(a.name, c.id)
	}
}

// end closes the connection behind what waits for it. Only the first call does
// anything, and reports so.
func (c *client) end(how end) bool {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return false
	}
	c.ended, c.why = true, how.why
	if how.told {
		c.conn.Push(closeFrame)
	}
	c.conn.Close(how.code, how.name)
	c.mu.Unlock()
	c.leave()
	return true
}

// Leave closes the connection since the server goes away: a close frame without CLOSE,
// after which clients join again as after any end. It implements [dialect.Leaver].
func (c *client) Leave() { c.end(endShutdown) }

// Missed closes the connection since messages may have passed it by; it implements [hub.Misser].
func (c *client) Missed() { c.end(endMissed) }

// Deliver queues a frame; it implements [hub.Receiver].
func (c *client) Deliver(frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended && c.conn.Push(frame)
}

// answer queues a frame that the client has asked for.
func (c *client) answer(frame []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended && c.conn.Answer(frame)
}

// DeliverMarked queues a frame that carries a mark; it implements [hub.Marker].
func (c *client) DeliverMarked(frame []byte, k *latency.Mark) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.ended && c.conn.PushMarked(frame, k)
}

// Message takes a client's message. What comes before the client is seated waits.
func (c *client) Message(_ *websocket.Conn, binary bool, data []byte) {
	c.app.traffic.Received(len(data))
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
		if c.answer(pongFrame) {
			c.heard()
		}
	}
}

// Outbox implements [websocket.Grower]. Without a bound of its own it is the loop's.
func (c *client) Outbox() int { return c.dialect.cfg().Outbox }

// Closed gives up what the connection had.
func (c *client) Closed(conn *websocket.Conn, reason error) {
	c.mu.Lock()
	if !c.ended {
		c.ended, c.why = true, closed.ReasonOf(reason)
	}
	why := c.why
	c.mu.Unlock()
	d := c.dialect
	d.log.Debug("socktopus: connection closed", "remote", conn.RemoteAddr(), "app", c.app.name, "reason", why)
	c.app.ends.Closed(why, c.id, peers.Of(conn.RemoteAddr()), d.loop.Now()-c.opened, conn.Waiting())
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
