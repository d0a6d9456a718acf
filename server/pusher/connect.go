package pusher

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"time"

	"poosh/server/websocket"
)

// Codes of errors and closes (Pusher Channels protocol, "Error Codes"). pusher-js
// stays away after 4000 to 4099, returns after a second from 4100 to 4199 and at
// once from 4200 to 4299; 4300 and above are never a close, only an error.
const (
	codeNoApp        = 4001
	codeDisabled     = 4003
	codeOverQuota    = 4004
	codeNoPath       = 4005
	codeBadVersion   = 4006
	codeOldVersion   = 4007
	codeUnauthorized = 4009
	codeFull         = 4100
	codeReconnect    = 4200
	codeNoPong       = 4201
	codeInactive     = 4202
	codeClientEvent  = 4301
	codeWatchlist    = 4302
)

// Versions of the protocol that are spoken. Version 4 knows no pusher:ping.
const (
	oldestVersion = 4
	newestVersion = 7
)

// A refusal is why a connection is not taken.
type refusal struct {
	code int
	text string
}

// connect answers a request for a WebSocket. One that is refused is refused on the
// open connection, with pusher:error and a close of the same code: a browser does
// not let its page see how a handshake failed. Too many connects are the exception:
// they are answered 429 and cost no connection.
func (d *Dialect) connect(w http.ResponseWriter, r *http.Request, parts []string) {
	if !websocket.IsUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		d.fail(w, &apiError{status: http.StatusUpgradeRequired, code: "upgrade_required",
			text: "this is a WebSocket address"})
		return
	}
	if err := d.limit(w, d.connectLimit, "connect address", r.RemoteAddr); err != nil {
		d.refuseHandshake(w, err)
		return
	}
	var a *app
	if len(parts) == 1 {
		a = d.byKey[parts[0]]
	}
	if a != nil {
		if err := d.limit(w, a.connectLimit, "connect app", r.RemoteAddr); err != nil {
			d.refuseHandshake(w, err)
			return
		}
	}
	no := d.refuse(a, len(parts), r)
	if no != nil {
		d.acceptRefused(w, r, no)
		return
	}
	d.accept(w, r, a)
}

// refuse looks for a reason not to take a connection. If there is none, it counts
// the connection as one of the app's.
func (d *Dialect) refuse(a *app, parts int, r *http.Request) *refusal {
	query := r.URL.Query()
	version := newestVersion // of who names none, as other servers do
	if text := query.Get("protocol"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return &refusal{codeBadVersion, "protocol must be a number from 4 to 7"}
		}
		version = n
	}
	switch {
	case parts != 1:
		return &refusal{codeNoPath, "path not found: want /app/ and the app's key"}
	case version < oldestVersion || version > newestVersion:
		return &refusal{codeOldVersion, "unsupported protocol version: want 4 to 7"}
	case a == nil:
		return &refusal{codeNoApp, "no app has this key"}
	case a.disabled:
		return &refusal{codeDisabled, "the app is disabled"}
	case !a.allows(r.Header.Get("Origin")):
		return &refusal{codeUnauthorized, "the app does not allow this origin"}
	case d.draining.Load():
		return &refusal{codeFull, "the server is going away, try again"}
	}
	if n := d.conns.Add(1); d.cfg.MaxConnections > 0 && n > int64(d.cfg.MaxConnections) {
		d.conns.Add(-1)
		return &refusal{codeFull, "the server has as many connections as it takes, try again"}
	}
	if !a.admit() {
		d.conns.Add(-1)
		return &refusal{codeOverQuota, "the app has as many connections as it may have"}
	}
	return nil
}

// acceptRefused opens a connection to say that it is not taken.
func (d *Dialect) acceptRefused(w http.ResponseWriter, r *http.Request, no *refusal) {
	d.counts.add("connect refused "+strconv.Itoa(no.code), 1)
	conn, err := d.loop.Accept(w, r, websocket.Options{MaxMessage: d.cfg.MaxMessageBytes, FirstProtocol: true}, deaf{})
	if err != nil {
		d.handshakeFailed(w, err)
		return
	}
	d.log.Debug("connection refused", "remote", r.RemoteAddr, "code", no.code, "reason", no.text)
	conn.Push(errorFrame(no.code, "", no.text))
	conn.Close(no.code, no.text)
	conn.Start()
}

// deaf is the handler of a connection that is only told why it ends.
type deaf struct{}

func (deaf) Message(*websocket.Conn, bool, []byte) {}
func (deaf) Closed(*websocket.Conn, error)         {}

// handshakeFailed answers for a handshake that the loop did not take. Too many
// connections of one network are answered as connects that come too fast are.
func (d *Dialect) handshakeFailed(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, websocket.ErrTooMany):
		d.refuseHandshake(w, &apiError{status: http.StatusTooManyRequests, code: "rate_limited",
			text: "too many connections", retry: tooManyRetry})
	case errors.Is(err, websocket.ErrHandshake):
		d.refuseHandshake(w, &apiError{status: http.StatusBadRequest, code: "invalid_input", text: err.Error()})
	default:
		d.counts.add("connect failed", 1) // the connection is closed already
		d.log.Debug("handshake failed", "err", err)
	}
}

// tooManyRetry is what a client is told to wait for others to go.
const tooManyRetry = 5 * time.Second

// refuseHandshake answers a request for a WebSocket that becomes none.
func (d *Dialect) refuseHandshake(w http.ResponseWriter, err error) {
	d.counts.add("connect refused "+strconv.Itoa(asAPIError(err).status), 1)
	d.fail(w, err)
}

// accept opens a connection that has been admitted.
func (d *Dialect) accept(w http.ResponseWriter, r *http.Request, a *app) {
	c := &client{d: d, app: a, socketID: newSocketID(), version: newestVersion, opened: d.now()}
	if n, err := strconv.Atoi(r.URL.Query().Get("protocol")); err == nil {
		c.version = uint8(n)
	}
	c.seen.Store(int64(c.opened))
	c.timer.Fire = c.tick
	conn, err := d.loop.Accept(w, r, websocket.Options{MaxMessage: d.cfg.MaxMessageBytes, FirstProtocol: true}, c)
	if err != nil {
		a.release()
		d.conns.Add(-1)
		d.handshakeFailed(w, err)
		return
	}
	d.counts.add("connect", 1)
	d.log.Debug("connection", "app", a.conf.ID, "remote", r.RemoteAddr, "socket", c.socketID)
	conn.Push(establishedFrame(c.socketID, activitySeconds(a.conf)))
	c.attach(conn)
	if d.draining.Load() { // since it was admitted
		c.expel(codeReconnect, goingAway)
	}
	conn.Start()
}

// activitySeconds is the activity timeout as clients are told it, never 0.
func activitySeconds(a App) int {
	return max(1, int(time.Duration(a.ActivityTimeout)/time.Second))
}

// newSocketID returns the id of a new connection, here and in the hub: two random
// numbers below 10^10 that nobody can guess.
func newSocketID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	const limit = 10_000_000_000
	b := strconv.AppendUint(make([]byte, 0, 24), binary.LittleEndian.Uint64(raw[:8])%limit, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, binary.LittleEndian.Uint64(raw[8:])%limit, 10)
	return string(b)
}
