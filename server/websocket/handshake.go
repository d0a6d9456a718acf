package websocket

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"poosh/server/loop"
)

// ErrHandshake is what all errors of a refused handshake wrap, RFC 6455 section
// 4.2.1: the request has not been answered.
var ErrHandshake = errors.New("WebSocket handshake")

// What a handshake is refused for.
var (
	ErrNotUpgrade = fmt.Errorf("%w: not an upgrade request", ErrHandshake)
	ErrVersion    = fmt.Errorf("%w: version is not 13", ErrHandshake)
	ErrBadKey     = fmt.Errorf("%w: Sec-WebSocket-Key is not 16 bytes in base64", ErrHandshake)
	// ErrTooMany says that there are too many connections, in all or of one network:
	// 429 or 503 is the answer.
	ErrTooMany = fmt.Errorf("%w: %w", ErrHandshake, loop.ErrTooMany)
)

// IsUpgrade reports whether a request asks for a WebSocket.
func IsUpgrade(r *http.Request) bool {
	return hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// maxKey bounds a key that is not what RFC 6455 asks for.
const maxKey = 128

// checkHandshake returns the Sec-WebSocket-Accept for a good request.
func checkHandshake(r *http.Request, anyKey bool) (string, error) {
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || !IsUpgrade(r) {
		return "", ErrNotUpgrade
	}
	if v := r.Header.Get("Sec-WebSocket-Version"); v != "13" && v != "8" {
		return "", ErrVersion
	}
	key := r.Header.Get("Sec-WebSocket-Key")
	raw, err := base64.StdEncoding.DecodeString(key)
	if good := err == nil && len(raw) == 16; !good && !(anyKey && key != "" && len(key) <= maxKey) {
		return "", ErrBadKey
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// protocol returns the subprotocol to choose, or "".
func (o *Options) protocol(r *http.Request) string {
	if !o.FirstProtocol {
		return ""
	}
	first, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
	return strings.TrimSpace(first)
}

func switching(accept, protocol string, extra http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	b.WriteString(accept)
	b.WriteString("\r\n")
	if protocol != "" {
		b.WriteString("Sec-WebSocket-Protocol: " + protocol + "\r\n")
	}
	_ = extra.Write(&b) // to memory
	b.WriteString("\r\n")
	return b.Bytes()
}
