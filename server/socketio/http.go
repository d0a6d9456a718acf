package socketio

import (
	"net/http"
	"strings"
	"time"

	"poosh/server/respond"
	"poosh/server/websocket"
)

// Path is where the server is mounted; what follows it does not matter, as in
// engine.io 1.5.1.
const Path = "/socket.io/"

// scriptPath is the client script; any ending is taken for it, as in socket.io
// 1.3.5.
const scriptPath = Path + "socket.io.js"

// isScript reports whether a path is the client script's.
func isScript(path string) bool { return strings.HasPrefix(path, scriptPath) }

// refusalForm is how answers that are no packets are written.
var refusalForm = respond.Form{Type: "application/json", Line: true}

// refusal is the body of an error, engine.io 1.5.1, server.js, sendErrorMessage.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	unknownTransport = refusal{0, "Transport unknown"}
	unknownSession   = refusal{1, "Session ID unknown"}
	badMethod        = refusal{2, "Bad handshake method"}
	badRequest       = refusal{3, "Bad request"}
	// Not in the original, whose bounds were none.
	tooMany    = refusal{3, "Too many sessions from this address"}
	overloaded = refusal{3, "Too many sessions"}
	heldUp     = refusal{3, "Too many requests are under way"}
	tooLarge   = refusal{3, "Payload too large"}
	goingAway  = refusal{3, "Server is shutting down"}
)

// query is what matters of a request's query.
type query struct {
	session string
	jsonp   bool
	index   string
}

// ServeHTTP serves handshakes, polling, WebSockets and the client script.
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, scriptPath) {
		srv.rules.Load().script.ServeHTTP(w, r)
		return
	}
	var space [usual]parameter
	values := parseQuery(space[:0], r.URL.RawQuery)
	if srv.turnsAway(w, r, values.has("j")) {
		return
	}
	q := query{session: values.get("sid"), jsonp: values.has("j"), index: values.get("j")}
	transport, ok := values.single("transport")
	if !ok || transport != "polling" && transport != "websocket" {
		srv.fail(w, r, unknownTransport)
		return
	}
	if q.session == "" {
		srv.handshake(w, r, transport, q)
		return
	}
	s := srv.find(q.session)
	switch {
	case s == nil && srv.passes(w, r, q.session):
	case s == nil:
		if srv.draining.Load() { // its next handshake is for another process: not on this connection
			w.Header().Set("Connection", "close")
		}
		srv.fail(w, r, unknownSession)
	case transport == "websocket" && websocket.IsUpgrade(r):
		srv.openProbe(w, r, s)
	case transport == "websocket" || websocket.IsUpgrade(r):
		srv.fail(w, r, badRequest)
	case r.Method == http.MethodGet:
		srv.servePoll(w, r, q, s)
	case r.Method == http.MethodPost:
		srv.servePost(w, r, q, s)
	default:
		srv.fail(w, r, badRequest)
	}
}

// handshake opens a session.
func (srv *Server) handshake(w http.ResponseWriter, r *http.Request, transport string, q query) {
	switch {
	case r.Method != http.MethodGet:
		srv.fail(w, r, badMethod)
	case transport == "polling" && !websocket.IsUpgrade(r):
		srv.openPolling(w, r, q)
	case transport == "websocket" && websocket.IsUpgrade(r):
		srv.openWebSocket(w, r)
	default:
		srv.fail(w, r, badRequest)
	}
}

// refuseHandshake answers a handshake that comes during a shutdown.
func (srv *Server) refuseHandshake(w http.ResponseWriter, r *http.Request) bool {
	if !srv.draining.Load() {
		return false
	}
	w.Header().Set("Connection", "close")
	srv.failStatus(w, r, http.StatusServiceUnavailable, goingAway)
	return true
}

// Values of headers; they are shared.
var (
	anyOrigin   = []string{"*"}
	credentials = []string{"true"}
	varyOrigin  = []string{"Origin"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// crossOrigin lets pages of any allowed origin read the answer. The origin is echoed:
// 1.x browsers poll with credentials, for which a browser refuses "*".
func (srv *Server) crossOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["X-Content-Type-Options"] = noSniff
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h["Access-Control-Allow-Credentials"] = credentials
		h["Vary"] = varyOrigin
	} else {
		h["Access-Control-Allow-Origin"] = anyOrigin
	}
	// Old Internet Explorers take a polling answer for an attack.
	if ua := r.UserAgent(); strings.Contains(ua, ";MSIE") || strings.Contains(ua, "Trident/") {
		h.Set("X-XSS-Protection", "0")
	}
}

// CrossOrigin is for what else there is on the server's port: pages of the same origins may
// read it. It has answered the request where it reports true: one of a page that may not,
// and OPTIONS, by which a browser asks before.
func (srv *Server) CrossOrigin(w http.ResponseWriter, r *http.Request) (answered bool) {
	if srv.turnsAway(w, r, false) {
		return true
	}
	srv.crossOrigin(w, r)
	return false
}

// turnsAway answers a request of a page that may not, and OPTIONS.
func (srv *Server) turnsAway(w http.ResponseWriter, r *http.Request, jsonp bool) bool {
	switch {
	case !srv.rules.Load().origins.allow(r, jsonp):
		srv.refuseOrigin(w, r)
	case r.Method == http.MethodOptions:
		srv.preflight(w, r)
	default:
		return false
	}
	return true
}

// Heartbeat is how often the server says something to clients that are silent.
func (srv *Server) Heartbeat() time.Duration { return srv.cfg().PingInterval }

// preflight answers OPTIONS, which browsers send before a binary POST and before
// requests with headers of the page's own.
func (srv *Server) preflight(w http.ResponseWriter, r *http.Request) {
	srv.crossOrigin(w, r)
	h := w.Header()
	allow := "Content-Type"
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		allow = asked
	}
	h.Set("Access-Control-Allow-Headers", allow)
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

func (srv *Server) fail(w http.ResponseWriter, r *http.Request, why refusal) {
	srv.failStatus(w, r, http.StatusBadRequest, why)
}

func (srv *Server) failStatus(w http.ResponseWriter, r *http.Request, status int, why refusal) {
	srv.crossOrigin(w, r)
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	refusalForm.JSON(w, status, why)
}
