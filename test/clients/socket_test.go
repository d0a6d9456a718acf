package clients_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opText  = 0x1
	opClose = 0x8
)

// A socket is a WebSocket connection whose handshake and frames a test says byte by
// byte.
type socket struct {
	net.Conn
	t      *testing.T
	in     *bufio.Reader
	header http.Header // of the answer to the handshake
}

// dial sends the head of a handshake and wants it taken. ADDR in it stands for the
// server.
func dial(t *testing.T, addr, head string) *socket {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, strings.ReplaceAll(head, "ADDR", addr)); err != nil {
		t.Fatal(err)
	}
	s := &socket{conn, t, bufio.NewReader(conn), nil}
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("the handshake was answered %s %s", resp.Status, text)
	}
	s.header = resp.Header
	return s
}

// say sends a text message in one masked frame.
func (s *socket) say(text string) {
	s.t.Helper()
	s.frame(opText, text)
}

func (s *socket) frame(op byte, text string) {
	s.t.Helper()
	b := []byte{0x80 | op, 0x80}
	switch n := len(text); {
	case n < 126:
		b[1] |= byte(n)
	case n < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		s.t.Fatalf("a frame of %d bytes", n)
	}
	mask := []byte("0528") // of digits, as one of the clients makes them
	b = append(b, mask...)
	for i := range len(text) {
		b = append(b, text[i]^mask[i%4])
	}
	if _, err := s.Write(b); err != nil {
		s.t.Fatalf("after the connection has ended: %v", err)
	}
}

// next reads one frame.
func (s *socket) next() (op byte, text string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, "", err
	}
	size := uint64(head[1])
	var ext [8]byte
	switch size {
	case 126:
		_, err = io.ReadFull(s.in, ext[6:])
		size = binary.BigEndian.Uint64(ext[:])
	case 127:
		_, err = io.ReadFull(s.in, ext[:])
		size = binary.BigEndian.Uint64(ext[:])
	}
	if err != nil || size > 1<<20 {
		return 0, "", fmt.Errorf("a frame of %d bytes: %w", size, err)
	}
	b := make([]byte, size)
	_, err = io.ReadFull(s.in, b)
	return head[0] & 0xf, string(b), err
}

// hear reads until a message with a prefix has come and returns it. A close frame
// and the end of the connection fail the test.
func (s *socket) hear(prefix string) string {
	s.t.Helper()
	var heard []string
	_ = s.SetReadDeadline(time.Now().Add(patience))
	for {
		op, text, err := s.next()
		if err != nil {
			s.t.Fatalf("waiting for %s: %v; heard %.300q", prefix, err, heard)
		}
		if op == opClose {
			s.t.Fatalf("waiting for %s: a close frame %x %q; heard %.300q", prefix, text[:min(2, len(text))], text[min(2, len(text)):], heard)
		}
		if strings.HasPrefix(text, prefix) {
			return text
		}
		heard = append(heard, text)
	}
}

// end sends a close frame, waits for the one that answers it, and closes.
func (s *socket) end(text string) {
	s.t.Helper()
	s.frame(opClose, text)
	_ = s.SetReadDeadline(time.Now().Add(patience))
	for {
		op, _, err := s.next()
		if err != nil {
			s.t.Fatalf("the close frame was answered with no other: %v", err)
		}
		if op == opClose {
			_ = s.Close()
			return
		}
	}
}

// takes sends each payload to a room and checks that it arrives.
func (s *socket) takes(server *server, room string) {
	s.t.Helper()
	for _, p := range payloads {
		server.send(s.t, room, "news", p.json)
		if got := s.hear(`42["news"`); !same(got[2:], `["news",`+p.json+`]`) {
			s.t.Errorf("%s payload arrived as %.200s", p.name, got)
		}
	}
}

// pings keeps a session by pings of the client, as clients before protocol 4 do, for
// longer than the silence that ends one.
func (s *socket) pings() {
	s.t.Helper()
	for range 7 {
		time.Sleep(pingInterval)
		s.say("2")
		s.hear("3")
	}
}
