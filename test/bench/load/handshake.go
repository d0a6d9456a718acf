//go:build linux

package load

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"poosh/test/heads"
)

// sessionCookie is what clients send where a crowd is not told more.
const sessionCookie = "io=0I7-vJ8e5Zo2cQkRAAAB"

// browsers are who the clients are, in turn.
var browsers = heads.Browsers()

// browserOf returns which browser a client is.
func browserOf(i int) heads.Browser { return browsers[i%len(browsers)] }

// A handshake is a browser's request for a WebSocket, in which the key of each
// client is still to be written.
type handshake struct {
	text []byte
	key  int // where the key begins
}

const keyHeader = "Sec-WebSocket-Key: "

// prepareHandshakes makes the request of each browser.
func (c *Crowd) prepareHandshakes() {
	if c.cfg.Protocol.polling() {
		return
	}
	for _, b := range browsers {
		text := b.WebSocket.Fill(c.values(c.cfg.Protocol.target()))
		at := bytes.Index(text, []byte(keyHeader))
		if at < 0 {
			panic("load: a handshake without a key")
		}
		c.handshakes = append(c.handshakes, handshake{text, at + len(keyHeader)})
	}
}

// hello sends the request that a client begins with.
func (c *Crowd) hello(i int) error {
	cl := &c.clients[i]
	if c.cfg.Protocol.polling() {
		if cl.target != "" { // it has moved
			return c.opened(i)
		}
		cl.target = c.cfg.Protocol.target()
		return c.fetch(i, askedSession)
	}
	h := c.handshakes[i%len(c.handshakes)]
	var key [16]byte
	_, _ = rand.Read(key[:]) // which never fails
	c.request = append(c.request[:0], h.text...)
	base64.StdEncoding.Encode(c.request[h.key:], key[:])
	return c.write(cl, c.request)
}

// values fill in a head. The page is one of the server's own host, because
// Centrifuge takes no other without being told.
func (c *Crowd) values(target string) heads.Values {
	scheme := "http://"
	if c.cfg.TLS {
		scheme = "https://"
	}
	return heads.Values{Target: target, Host: c.host, Origin: scheme + c.host, Cookie: c.cfg.Cookie}
}

// target is the path and query of what a client of p asks for first.
func (p Protocol) target() string {
	switch p {
	case Centrifuge:
		return "/connection/websocket"
	case Pusher:
		return "/app/" + PusherKey + "?protocol=7&client=js&version=8.4.0&flash=false"
	case Poll3:
		return "/socket.io/?EIO=3&transport=polling&t=1792112713125-7"
	case Poll4:
		return "/socket.io/?EIO=4&transport=polling&t=PezyK7Qd"
	case EIO3:
		return "/socket.io/?EIO=3&transport=websocket"
	}
	return "/socket.io/?EIO=4&transport=websocket"
}

// ErrExtension tells that a server has agreed to an extension of the WebSocket
// protocol, such as compression. Browsers offer one, and so do the clients here,
// but they do not speak it.
var ErrExtension = errors.New("the server has agreed to an extension, which the load generator does not speak: configure the server without")

// checkUpgraded looks at the head of the answer to a handshake.
func checkUpgraded(head []byte) error {
	lines := strings.Split(string(head), "\r\n")
	if !strings.HasPrefix(lines[0], "HTTP/1.1 101") {
		return fmt.Errorf("the handshake was answered %q", head[:min(len(head), 200)])
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if http.CanonicalHeaderKey(name) == "Sec-Websocket-Extensions" {
			return fmt.Errorf("%w (%s)", ErrExtension, strings.TrimSpace(value))
		}
	}
	return nil
}
