package doctor

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/websocketclient"
)

// maxMessage bounds a message that is read, in bytes.
const maxMessage = 1 << 20

// connect opens a WebSocket. The answer is what came in its place.
func (x *exam) upgradeTo(ctx context.Context, at *url.URL, h http.Header) (*websocket.Conn, answer) {
	d := websocket.Dialer{NetDialContext: x.dial, TLSClientConfig: x.blind(), HandshakeTimeout: oneStep}
	to := *at
	to.Scheme = strings.Replace(to.Scheme, "http", "ws", 1)
	if h = h.Clone(); h == nil {
		h = make(http.Header)
	}
	h.Set("User-Agent", x.Agent)
	conn, res, err := websocketclient.Dial(ctx, &d, to.String(), h)
	if err == nil {
		conn.SetReadLimit(maxMessage)
		return conn, answer{status: http.StatusSwitchingProtocols}
	}
	if res == nil {
		return nil, answer{err: err}
	}
	defer res.Body.Close()
	text := make([]byte, 1024) // as much as the library has kept
	n, _ := res.Body.Read(text)
	return nil, answer{status: res.StatusCode, header: res.Header, body: string(text[:n])}
}

// askedAnother says why a refusal means nothing where one server of several is away.
const askedAnother = "some requests come to a server that is not there"

// webSocket looks whether a client may begin with a WebSocket.
func (x *exam) webSocket(ctx context.Context) bool {
	x.progress("WebSocket")
	if x.has("unsteady") {
		x.skip("a WebSocket", askedAnother)
		return false
	}
	conn, a := x.upgradeTo(ctx, x.at(url.Values{"transport": {"websocket"}}), nil)
	if conn == nil {
		id, why := x.noUpgrade(ctx, a)
		x.fault(id, "a WebSocket: "+a.what()+location(a)+why)
		return false
	}
	defer conn.Close()
	text, err := read(conn, oneStep)
	if err == nil && !strings.HasPrefix(text, "0{") {
		err = errors.New("it begins as no socket.io does: " + clip(text))
	}
	if err != nil {
		x.fault("websocket-broken", "a WebSocket opened, and then: "+lastWord(err))
		return false
	}
	say(conn, "41")
	x.good("WebSocket at once")
	return true
}

// noUpgrade finds out why there is no WebSocket: what of the request arrives.
func (x *exam) noUpgrade(ctx context.Context, a answer) (id, why string) {
	if a.err == nil && a.status >= 300 && a.status < 400 {
		return "redirect", ""
	}
	if _, ours := a.ours(); !ours {
		return "no-upgrade", ""
	}
	// Who polls and asks for a WebSocket is refused, unless nobody hears of the latter.
	asks := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	if probe := x.ask(ctx, request{header: asks}); probe.err != nil || probe.status == http.StatusOK {
		return "no-upgrade", "; the headers Upgrade and Connection do not arrive"
	}
	// Of a handshake in HTTP/1.1 whose version is wrong the server says which is right.
	asks.Set("Sec-WebSocket-Version", "99")
	asks.Set("Sec-WebSocket-Key", "cG9vc2gtZG9jdG9yLWtleQ==")
	if probe := x.ask(ctx, request{query: url.Values{"transport": {"websocket"}}, header: asks}); probe.header.Get("Sec-WebSocket-Version") != "" {
		return "no-upgrade", "; headers that begin with Sec-WebSocket do not arrive"
	}
	return "http-1.0", "; the headers Upgrade and Connection arrive, in a request of HTTP/1.0"
}

// upgrade looks whether a client that polls may change to a WebSocket, as most do.
func (x *exam) upgrade(ctx context.Context) {
	s, err := x.joined(ctx)
	if err != nil {
		x.skip("change from polling to WebSocket", err.Error())
		return
	}
	conn, a := x.upgradeTo(ctx, x.at(url.Values{"transport": {"websocket"}, "sid": {s.id}}), x.withCookies(nil, s.cookies))
	if conn == nil {
		id := "upgrade-after-polling"
		if a.hasCode(codeSession) {
			id = "not-sticky"
		}
		x.fault(id, "a WebSocket for a session that polls: "+a.what())
		return
	}
	defer conn.Close()
	say(conn, "2probe")
	text, err := read(conn, oneStep)
	if err == nil && text != "3probe" {
		err = errors.New("it answered " + clip(text))
	}
	if err != nil {
		x.fault("upgrade-after-polling", "a WebSocket for a session that polls opened, and then: "+lastWord(err))
		return
	}
	say(conn, "5")
	say(conn, "41")
	x.good("WebSocket after polling")
}

// say writes a message. That it fails shows when something is read.
func say(conn *websocket.Conn, text string) {
	_ = conn.SetWriteDeadline(time.Now().Add(oneStep)) // it never fails
	_ = conn.WriteMessage(websocket.TextMessage, []byte(text))
}

func read(conn *websocket.Conn, wait time.Duration) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(wait)) // it never fails
	_, text, err := conn.ReadMessage()
	return string(text), err
}
