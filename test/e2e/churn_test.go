package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A leaving is one way in which a connection of a client ends.
type leaving struct {
	name string
	do   func(s *server, from string) error
}

// leavings are all of them that a server sees: well behaved, cut anywhere, and
// left alone.
var leavings = []leaving{
	{"close frame", func(s *server, from string) error {
		ws, err := joinSocket(s.clientPort, 3, "churn", from)
		if err != nil {
			return err
		}
		defer ws.Close()
		ws.say("41")
		ws.Write(frame(true, opClose, "\x03\xe8"))
		_, _, err = ws.hearEnd(patience)
		return err
	}},
	{"FIN", func(s *server, from string) error {
		ws, err := joinSocket(s.clientPort, 4, "churn", from)
		if err != nil {
			return err
		}
		return ws.Close()
	}},
	{"RST", func(s *server, from string) error {
		ws, err := joinSocket(s.clientPort, 3, "churn", from)
		if err != nil {
			return err
		}
		return reset(ws.Conn)
	}},
	{"RST before the first packet", func(s *server, from string) error {
		ws, err := dialSocket(s.clientPort, "EIO=4&transport=websocket", from)
		if err != nil {
			return err
		}
		return reset(ws.Conn)
	}},
	{"FIN behind a join nobody waits for", func(s *server, from string) error {
		ws, err := joinAtOnce(s.clientPort, 4, "churn", from)
		if err != nil {
			return err
		}
		return ws.Close()
	}},
	{"in the middle of a frame", func(s *server, from string) error {
		ws, err := joinSocket(s.clientPort, 3, "churn", from)
		if err != nil {
			return err
		}
		defer ws.Close()
		half := frame(true, opText, `42["room","never"]`)
		_, err = ws.Write(half[:len(half)/2])
		return err
	}},
	{"in the middle of a message", func(s *server, from string) error {
		ws, err := joinSocket(s.clientPort, 3, "churn", from)
		if err != nil {
			return err
		}
		defer ws.Close()
		_, err = ws.Write(frame(false, opText, `42["room",`))
		return err
	}},
	{"in the middle of the handshake", func(s *server, from string) error {
		return partly(s, from, upgradeRequest("EIO=3&transport=websocket"), 60)
	}},
	{"right behind the handshake", func(s *server, from string) error {
		text := upgradeRequest("EIO=3&transport=websocket")
		return partly(s, from, text, len(text))
	}},
	{"in the middle of an upgrade", func(s *server, from string) error {
		sid, err := openSession(s)
		if err != nil {
			return err
		}
		ws, err := dialSocket(s.clientPort, "EIO=3&transport=websocket&sid="+sid, from)
		if err != nil {
			return err
		}
		ws.say("2probe")
		if _, err := ws.hearPrefix("3probe"); err != nil {
			return err
		}
		return reset(ws.Conn)
	}},
	{"behind an upgrade", func(s *server, from string) error {
		sid, err := openSession(s)
		if err != nil {
			return err
		}
		ws, err := dialSocket(s.clientPort, "EIO=3&transport=websocket&sid="+sid, from)
		if err != nil {
			return err
		}
		ws.say("2probe", "5", "2")
		if _, err := ws.hear(patience, "a pong", func(m string) bool { return m == "3" }); err != nil {
			return err
		}
		return ws.Close()
	}},
	{"in the middle of a POST", func(s *server, from string) error {
		sid, err := openSession(s)
		if err != nil {
			return err
		}
		text := "POST /socket.io/?EIO=3&transport=polling&sid=" + sid + " HTTP/1.1\r\nHost: e2e\r\n" +
			"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 1000\r\n\r\n18:42[\"ro"
		return partly(s, from, text, len(text))
	}},
	{"while a poll waits", func(s *server, from string) error {
		sid, err := openSession(s)
		if err != nil {
			return err
		}
		text := "GET /socket.io/?EIO=3&transport=polling&sid=" + sid + " HTTP/1.1\r\nHost: e2e\r\n\r\n"
		return partly(s, from, text, len(text))
	}},
	{"polling left alone", func(s *server, from string) error {
		_, err := openSession(s)
		return err
	}},
	{"polling closed", func(s *server, from string) error {
		sid, err := openSession(s)
		if err != nil {
			return err
		}
		_, err = tryAsk(churner, "POST", s.clientURL()+"/socket.io/?EIO=3&transport=polling&sid="+sid, "2:411:1")
		return err
	}},
	{"a connection that says nothing", func(s *server, from string) error {
		return partly(s, from, "", 0)
	}},
}

// churner makes the polling part of the churn.
var churner = raw()

// openSession opens a session over polling and joins a room in it.
func openSession(s *server) (sid string, err error) {
	base := s.clientURL() + "/socket.io/?EIO=3&transport=polling"
	a, err := tryAsk(churner, "GET", base, "")
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(a.body, `"sid":"`)
	sid, _, end := strings.Cut(rest, `"`)
	if !ok || !end {
		return "", fmt.Errorf("handshake: status %d %.200q", a.status, a.body)
	}
	_, err = tryAsk(churner, "POST", base+"&sid="+sid, `18:42["room","churn"]`)
	return sid, err
}

// partly writes a part of a request and cuts the connection.
func partly(s *server, from, text string, n int) error {
	c, err := dialFrom(s.clientPort, from)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c, text[:n]); err != nil {
		return err
	}
	return reset(c)
}

// reset ends a connection with RST instead of FIN.
func reset(c net.Conn) error {
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

// Thousands of connections come and go in every way there is; then the server
// holds what it held before, and nobody is in any room.
func TestChurnLeavesNothing(t *testing.T) {
	const rounds, workers = 150, 32 // of all ways: 2,400 connections and more
	s := start(t, "PING_INTERVAL=1s", "PING_TIMEOUT=4s", "UPGRADE_TIMEOUT=5s", "CONNECT_TIMEOUT=5s",
		"HEADER_TIMEOUT=5s", "BODY_TIMEOUT=5s", "IDLE_TIMEOUT=5s")
	// Whatever a first connection leaves for good is there before the count.
	for _, way := range leavings {
		if err := way.do(s, ""); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
	}
	s.waitIdle(t)
	before, fdsBefore := s.status(t), s.descriptors(t)

	type job struct {
		leaving
		from string
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range jobs {
				if err := j.do(s, j.from); err != nil {
					t.Errorf("%s: %v", j.name, err)
				}
			}
		})
	}
	for round := range rounds {
		for _, way := range leavings {
			jobs <- job{way, fmt.Sprintf("127.0.0.%d", 2+round%50)}
		}
		if round%20 == 0 {
			s.send(t, "churn", "e", `"to those who are just leaving"`)
		}
	}
	close(jobs)
	wg.Wait()

	s.waitIdle(t)
	s.waitRoom(t, "churn", 0)
	sender.CloseIdleConnections()
	var after status
	var fds int
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		after, fds = s.status(t), s.descriptors(t)
		if after.goroutines <= before.goroutines+2 && fds <= fdsBefore+2 && after.queuedBytes == 0 {
			return
		}
	}
	t.Errorf("%v after the last one left: %+v and %d descriptors; before the churn: %+v and %d",
		patience, after, fds, before, fdsBefore)
}

// waitIdle waits until no client is left.
func (s *server) waitIdle(t *testing.T) {
	t.Helper()
	var st status
	for end := time.Now().Add(2 * patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if st = s.status(t); st.connections == 0 && st.sessions == 0 {
			return
		}
	}
	t.Fatalf("waited %v for all clients to be gone: %+v", 2*patience, st)
}
