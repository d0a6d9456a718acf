package client

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poosh/server/closed"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/tally"
	"poosh/server/websocket"
)

// A refusal is why a connection is not taken.
type refusal struct {
	code int
	text string
}

// Connect answers a request for a WebSocket. One that is refused is refused on the
// open connection, with pusher:error and a close of the same code: a browser does
// not let its page see how a handshake failed. Too many connects are the exception:
// they are answered 429 and cost no connection.
func (s *Server) Connect(w http.ResponseWriter, r *http.Request, parts []string) {
	if !websocket.IsUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		s.answer.Fail(w, &answer.Error{Status: http.StatusUpgradeRequired, Code: "upgrade_required",
			Text: "this is a WebSocket address"})
		return
	}
	if err := s.answer.Limit(w, s.Limit(), r.RemoteAddr); err != nil {
		s.refuseHandshake(w, err)
		return
	}
	var a *app.App
	if len(parts) == 1 {
		a = s.apps.Key(parts[0])
	}
	if a != nil {
		if err := s.answer.Limit(w, a.ConnectLimit(), r.RemoteAddr); err != nil {
			s.refuseHandshake(w, err)
			return
		}
	}
	switch no := s.refuse(a, len(parts), r); {
	case no == nil:
		s.accept(w, r, a)
	case no.code == protocol.CodeFull && givesUp(r):
		s.answer.Count(tally.Refused(no.code), 1)
		s.answer.Log.Debug("connection refused", "remote", r.RemoteAddr, "status", http.StatusServiceUnavailable, "reason", no.text)
		s.answer.Fail(w, &answer.Error{Status: http.StatusServiceUnavailable, Code: "service_unavailable", Text: no.text, Retry: fullRetry})
	default:
		s.acceptRefused(w, r, no)
	}
}

const overQuota = "the app has as many connections as it may have"

// fullRetry is what a client is told to wait where it is told by HTTP that there is no place.
const fullRetry = 5 * time.Second

// givesUp reports whether a client is one that comes back for ever from a handshake that is
// refused, and that stays away for good from the second connection that ends soon after it
// was opened, whatever it is told there: pusher-js before 8.2 outside a browser. It counts
// ends that were not clean, and its WebSocket (faye-websocket) says of none that it was. All
// others come back after a second where they are told 4100, and much later from a handshake
// that failed: pusher-js after 15 seconds, then 30, then 60.
func givesUp(r *http.Request) bool {
	query := r.URL.Query()
	if query.Get("client") != "js" || strings.HasPrefix(r.UserAgent(), "Mozilla/") { // as of every browser
		return false
	}
	var major, minor int
	if n, _ := fmt.Sscanf(query.Get("version"), "%d.%d", &major, &minor); n < 2 {
		return false
	}
	return major < 8 || major == 8 && minor < 2
}

// refuse looks for a reason not to take a connection. If there is none, it counts
// the connection as one of the app's.
func (s *Server) refuse(a *app.App, parts int, r *http.Request) *refusal {
	query := r.URL.Query()
	version := protocol.NewestVersion // of who names none, as other servers do
	if text := query.Get("protocol"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return &refusal{protocol.CodeBadVersion, "protocol must be a number: want 4 to 7, or 2 (Sockudo's)"}
		}
		version = n
	}
	switch {
	case parts != 1:
		return &refusal{protocol.CodeNoPath, "path not found: want /app/ and the app's key"}
	case version != protocol.SockudoVersion && (version < protocol.OldestVersion || version > protocol.NewestVersion):
		return &refusal{protocol.CodeOldVersion, "unsupported protocol version: want 4 to 7, or 2 (Sockudo's)"}
	case a == nil || a.Removed():
		return &refusal{protocol.CodeNoApp, "no app has this key"}
	case a.Disabled():
		return &refusal{protocol.CodeDisabled, "the app is disabled"}
	case !a.Allows(r.Header.Get("Origin")):
		return &refusal{protocol.CodeUnauthorized, "the app does not allow this origin"}
	case s.apps.Draining():
		return &refusal{protocol.CodeFull, "the server is going away, try again"}
	}
	switch in, full := s.open.EnterUpTo(cmp.Or(s.cfg().MaxConnections, math.MaxInt)); {
	case full:
		return &refusal{protocol.CodeFull, "the server has as many connections as it takes, try again"}
	case !in:
		return &refusal{protocol.CodeFull, "the server is going away, try again"}
	}
	if !a.Admit() {
		s.open.Leave()
		return &refusal{protocol.CodeOverQuota, overQuota}
	}
	return nil
}

// acceptRefused opens a connection to say that it is not taken.
func (s *Server) acceptRefused(w http.ResponseWriter, r *http.Request, no *refusal) {
	s.answer.Count(tally.Refused(no.code), 1)
	conn, err := s.loop.Accept(w, r, websocket.Options{MaxMessage: s.cfg().MaxMessageBytes, FirstProtocol: true}, refused{})
	if err != nil {
		s.handshakeFailed(w, err)
		return
	}
	s.answer.Log.Debug("connection refused", "remote", r.RemoteAddr, "code", no.code, "reason", no.text)
	version, _ := strconv.Atoi(r.URL.Query().Get("protocol")) // 0 for what is none
	conn.Push(protocol.OwnFrame(version, protocol.ErrorFrame(no.code, "", no.text)))
	conn.Close(no.code, no.text)
	conn.Start()
}

// refused is the handler of a connection that is only told why it ends.
type refused struct{}

func (refused) Message(*websocket.Conn, bool, []byte) {}
func (refused) Closed(*websocket.Conn, error)         {}

// handshakeFailed answers for a handshake that the loop did not take. Too many
// connections of one network are answered as connects that come too fast are.
func (s *Server) handshakeFailed(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, websocket.ErrTooMany):
		s.refuseHandshake(w, &answer.Error{Status: http.StatusTooManyRequests, Code: "rate_limited",
			Text: "too many connections", Retry: tooManyRetry})
	case errors.Is(err, websocket.ErrHandshake):
		s.refuseHandshake(w, &answer.Error{Status: http.StatusBadRequest, Code: "invalid_input", Text: err.Error()})
	default:
		s.answer.Count(tally.ConnectFailed, 1) // the connection is closed already
		s.answer.Log.Debug("handshake failed", "err", err)
	}
}

// tooManyRetry is what a client is told to wait for others to go.
const tooManyRetry = 5 * time.Second

// refuseHandshake answers a request for a WebSocket that becomes none.
func (s *Server) refuseHandshake(w http.ResponseWriter, err error) {
	s.answer.Count(tally.Refused(answer.As(err).Status), 1)
	s.answer.Fail(w, err)
}

// accept opens a connection that has been admitted.
func (s *Server) accept(w http.ResponseWriter, r *http.Request, a *app.App) {
	c, id := s.newClient(a), app.NewSocketID()
	if n, err := strconv.Atoi(r.URL.Query().Get("protocol")); err == nil {
		c.version = uint8(n)
	}
	conn, err := s.loop.Accept(w, r, websocket.Options{MaxMessage: s.cfg().MaxMessageBytes, FirstProtocol: true}, c)
	if err != nil {
		a.Release()
		s.open.Leave()
		s.handshakeFailed(w, err)
		return
	}
	s.answer.Count(tally.Connect, 1)
	a.Clients.Opened()
	s.answer.Log.Debug("connection", "app", a.ID(), "remote", r.RemoteAddr, "socket", id)
	established := c.own(protocol.EstablishedFrame(id, activitySeconds(*a.Conf())))
	counts := a.Limited()
	if counts {
		c.line.Begin() // nothing is handled before the first frame
	} else {
		conn.Push(established)
	}
	c.attach(conn, id)
	c.place.Count(func(may bool) {
		switch {
		case !may:
			s.answer.Count(tally.Refused(protocol.CodeOverQuota), 1)
			c.Expel(closed.Forced, protocol.CodeOverQuota, overQuota)
		case counts:
			conn.Push(established)
		}
		if counts {
			c.line.End(c)
		}
	})
	switch { // since it was admitted
	case s.open.Closed():
		c.Expel(closed.Shutdown, protocol.CodeReconnect, goingAway)
	case a.Removed():
		c.Expel(closed.Kicked, protocol.CodeNoApp, "no app has this key any more")
	case a.Disabled():
		c.Expel(closed.Kicked, protocol.CodeDisabled, "the app is disabled")
	}
	conn.Start()
}

// activitySeconds is the activity timeout as clients are told it, never 0.
func activitySeconds(a app.Config) int {
	return max(1, int(time.Duration(a.ActivityTimeout)/time.Second))
}
