package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"poosh/test/heads"
)

// WebSocket opcodes, RFC 6455 section 5.2.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// A rawSocket is a WebSocket connection written by hand, so that tests say each
// byte of it, broken ones too, and thousands of them cost little.
type rawSocket struct {
	net.Conn
	in *bufio.Reader
}

// dialSocket opens a WebSocket to /socket.io/ with a query such as
// "EIO=3&transport=websocket", from the local address given, if any.
func dialSocket(port int, query, from string, header ...string) (*rawSocket, error) {
	c, err := dialFrom(port, from)
	if err != nil {
		return nil, err
	}
	ws := &rawSocket{c, bufio.NewReaderSize(c, 512)}
	if err := ws.handshake(query, header...); err != nil {
		c.Close()
		return nil, err
	}
	return ws, nil
}

// dialFrom connects by TCP from a local address; empty leaves it to the system.
func dialFrom(port int, from string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.Dial("tcp", addr(port))
}

// upgradeRequest is the HTTP part of a WebSocket handshake, as Chromium sends it,
// with more headers at its end.
func upgradeRequest(query string, header ...string) string {
	head := heads.ChromiumWebSocket.Fill(heads.Values{Target: "/socket.io/?" + query, Host: "e2e", Origin: "http://e2e.example"})
	return strings.TrimSuffix(string(head), "\r\n") + strings.Join(append(header, ""), "\r\n") + "\r\n"
}

func (ws *rawSocket) handshake(query string, header ...string) error {
	ws.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(ws, upgradeRequest(query, header...)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(ws.in, nil)
	if err != nil {
		return fmt.Errorf("answer to the handshake: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("answer to the handshake: %s %s", resp.Status, text)
	}
	return nil
}

// frame is one masked client frame; the mask is zero, which leaves the bytes as
// they are and is as good as any.
func frame(fin bool, op byte, payload string) []byte {
	b := []byte{op, 0x80}
	if fin {
		b[0] |= 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b[1] |= byte(n)
	case n < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// say sends text messages in one write, so that they travel together.
func (ws *rawSocket) say(messages ...string) error {
	var b []byte
	for _, m := range messages {
		b = append(b, frame(true, opText, m)...)
	}
	_, err := ws.Write(b)
	return err
}

// next reads one frame from the server.
func (ws *rawSocket) next() (op byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(ws.in, head[:]); err != nil {
		return 0, "", err
	}
	size := uint64(head[1] & 0x7f)
	if head[1]&0x80 != 0 {
		return 0, "", fmt.Errorf("a server must not mask its frames")
	}
	var ext [8]byte
	switch size {
	case 126:
		_, err = io.ReadFull(ws.in, ext[6:])
	case 127:
		_, err = io.ReadFull(ws.in, ext[:])
	}
	if err != nil {
		return 0, "", err
	}
	if size >= 126 {
		size = binary.BigEndian.Uint64(ext[:])
	}
	if size > 64<<20 {
		return 0, "", fmt.Errorf("a frame of %d bytes", size)
	}
	b := make([]byte, size)
	_, err = io.ReadFull(ws.in, b)
	return head[0] & 0xf, string(b), err
}

// hear reads until a text message for which want says true and returns it. It
// answers pings of the server like any client, EIO 4's too.
func (ws *rawSocket) hear(d time.Duration, what string, want func(string) bool) (string, error) {
	ws.SetReadDeadline(time.Now().Add(d))
	var heard []string
	for {
		op, text, err := ws.next()
		if err == nil && op == opClose {
			err = io.EOF
		}
		if err != nil {
			return "", fmt.Errorf("waiting for %s: %w; heard %.300q", what, err, heard)
		}
		if op != opText {
			continue
		}
		if want(text) {
			return text, nil
		}
		if text == "2" {
			ws.say("3")
		}
		heard = append(heard, text)
	}
}

// hearPrefix is hear for a message that starts so.
func (ws *rawSocket) hearPrefix(prefix string) (string, error) {
	return ws.hear(patience, "a message "+prefix+"...", func(m string) bool { return strings.HasPrefix(m, prefix) })
}

// hearEnd reads until the connection ends and returns what came before; a
// server that keeps it open for d is an error. It answers a close frame, as any
// client does.
func (ws *rawSocket) hearEnd(d time.Duration) (messages []string, closeFrame string, err error) {
	ws.SetReadDeadline(time.Now().Add(d))
	for {
		op, text, err := ws.next()
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			return messages, closeFrame, fmt.Errorf("still open after %v; heard %.300q", d, messages)
		}
		if err != nil {
			return messages, closeFrame, nil
		}
		switch op {
		case opText:
			messages = append(messages, text)
		case opClose:
			closeFrame = text
			ws.Write(frame(true, opClose, text))
		}
	}
}

// joinSocket opens a session over WebSocket alone, joins a room in the first
// packets it sends, and waits to be in the namespace.
func joinSocket(port, eio int, room, from string) (*rawSocket, error) {
	ws, err := joinAtOnce(port, eio, room, from)
	if err == nil {
		if _, err = ws.hearPrefix("40"); err != nil {
			ws.Close()
			err = fmt.Errorf("session over websocket: %w", err)
		}
	}
	return ws, err
}

// joinAtOnce is joinSocket that waits for nothing: all packets leave in one write
// as soon as the connection is a WebSocket, before the server has said anything.
func joinAtOnce(port, eio int, room, from string) (*rawSocket, error) {
	ws, err := dialSocket(port, fmt.Sprintf("EIO=%d&transport=websocket", eio), from)
	if err != nil {
		return nil, err
	}
	packets := []string{`42["room",` + quote(room) + `]`}
	if eio == 4 {
		packets = append([]string{"40"}, packets...)
	}
	if err := ws.say(packets...); err != nil {
		ws.Close()
		return nil, err
	}
	return ws, nil
}
