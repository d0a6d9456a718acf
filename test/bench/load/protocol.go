//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// A Protocol is how clients speak.
type Protocol int

// The protocols.
const (
	EIO3       Protocol = iota // socket.io 1 and 2 on a WebSocket
	EIO4                       // socket.io 3 and 4 on a WebSocket
	Centrifuge                 // Centrifuge's JSON protocol on a WebSocket
	Poll3                      // socket.io 1 and 2, XHR polling
	Poll4                      // socket.io 3 and 4, XHR polling
	Pusher                     // Pusher Channels on a WebSocket
)

func (p Protocol) String() string {
	return [...]string{"EIO3", "EIO4", "Centrifuge JSON", "EIO3 polling", "EIO4 polling", "Pusher"}[p]
}

// polling reports whether clients of p poll.
func (p Protocol) polling() bool { return p == Poll3 || p == Poll4 }

// engine is the number clients name in the query.
func (p Protocol) engine() string {
	if p == EIO3 || p == Poll3 {
		return "3"
	}
	return "4"
}

// What clients say, as frames of RFC 6455, masked as section 5.3 demands.
var (
	sayConnect      = maskedText("40")
	sayRoom         = maskedText(`42["room","` + Room + `"]`)
	sayPing         = maskedText("2")
	sayPong         = maskedText("3")
	centrifugeHello = maskedText(`{"id":1,"connect":{"name":"bench"}}`)
	centrifugeJoin  = maskedText(`{"id":2,"subscribe":{"channel":"` + Room + `"}}`)
	centrifugePong  = maskedText("{}")
)

const opText, opClose, opPing = 1, 8, 9

func maskedText(text string) []byte { return masked(opText, []byte(text)) }

// masked makes a client's frame of at most 125 bytes.
func masked(op byte, data []byte) []byte {
	if len(data) > 125 {
		panic("load: frame too long")
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	f := append([]byte{0x80 | op, 0x80 | byte(len(data))}, key[:]...)
	for i, c := range data {
		f = append(f, c^key[i&3])
	}
	return f
}

// headers are what a browser sends with every request, more or less: servers pay
// for reading and keeping them.
func headers(host netip.AddrPort) string {
	return "Host: " + host.String() +
		"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36" +
		"\r\nOrigin: http://" + host.String() +
		"\r\nAccept-Language: en-US,en;q=0.9\r\nCache-Control: no-cache\r\n"
}

// handshake is the request that a client begins with.
func (p Protocol) handshake(host netip.AddrPort) []byte {
	if p.polling() {
		return p.pollRequest(nil, host, "", "")
	}
	path := "/socket.io/?EIO=" + p.engine() + "&transport=websocket"
	switch p {
	case Centrifuge:
		path = "/connection/websocket"
	case Pusher:
		path = "/app/" + PusherKey + "?protocol=7&client=js&version=8.4.0&flash=false"
	}
	return []byte("GET " + path + " HTTP/1.1\r\n" + headers(host) +
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
}

// pollRequest appends a request of a polling client: one that fetches, or with a
// packet one that posts it. Without a session it asks for one.
func (p Protocol) pollRequest(b []byte, host netip.AddrPort, session, packet string) []byte {
	method := "GET"
	if packet != "" {
		method = "POST"
	}
	b = append(b, method+" /socket.io/?EIO="+p.engine()+"&transport=polling"...)
	if session != "" {
		b = append(b, "&sid="+session...)
	}
	b = append(b, " HTTP/1.1\r\n"...)
	b = append(b, headers(host)...)
	if packet != "" {
		if p == Poll3 {
			packet = fmt.Sprintf("%d:%s", len(packet), packet)
		}
		b = fmt.Appendf(b, "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n", len(packet))
	}
	b = append(b, "\r\n"...)
	return append(b, packet...)
}

// nextFrame takes one server frame off b. rest is what follows; ok is false when
// b holds no whole frame.
func nextFrame(b []byte) (op byte, data, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, b, false
	}
	size, head := int(b[1]), 2 // a server's frame is not masked
	switch {
	case size == 126 && len(b) >= 4:
		size, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 10:
		size, head = int(binary.BigEndian.Uint64(b[2:])), 10
	case size >= 126:
		return 0, nil, b, false
	}
	if len(b) < head+size {
		return 0, nil, b, false
	}
	return b[0] & 0xf, b[head : head+size], b[head+size:], true
}

// nextResponse takes one HTTP response with a Content-Length off b. need is how
// many bytes it has in all, or zero when that is not known yet.
func nextResponse(b []byte) (body []byte, need int, err error) {
	head, _, found := bytes.Cut(b, []byte("\r\n\r\n"))
	if !found {
		return nil, 0, nil
	}
	lines := strings.Split(string(head), "\r\n")
	if !strings.HasPrefix(lines[0], "HTTP/1.1 200") {
		return nil, 0, fmt.Errorf("server answered %q", lines[0])
	}
	size := -1
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Content-Length") {
			if _, err := fmt.Sscan(value, &size); err != nil {
				size = -1
			}
		}
	}
	if size < 0 {
		return nil, 0, fmt.Errorf("server answered without a length: %q", head)
	}
	need = len(head) + 4 + size
	if len(b) < need {
		return nil, need, nil
	}
	return b[len(head)+4 : need], need, nil
}
