package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process that was stopped, or whose machine was frozen, for far longer than its
// clients may be silent finds none of them silent: what they said meanwhile waits in
// its sockets, and the time was none.
func TestFrozenProcess(t *testing.T) {
	s := start(t, "PING_INTERVAL=1s", "PING_TIMEOUT=3s")
	sockets := make(map[int]*rawSocket)
	for _, eio := range []int{3, 4} {
		ws, err := joinSocket(s.clientPort, eio, "r", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		sockets[eio] = ws
	}
	s.waitRoom(t, "r", 2)
	// The client of protocol 4 has answered every ping that it got, and is owed one.
	if _, err := sockets[4].hear(patience, "a ping", func(m string) bool { return m == "2" }); err != nil {
		t.Fatal(err)
	}
	// That of 3 has pinged a moment ago.
	if err := sockets[3].say("2"); err != nil {
		t.Fatal(err)
	}
	if _, err := sockets[3].hearPrefix("3"); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGSTOP)
	time.Sleep(100 * time.Millisecond) // until it has stopped
	for eio, ping := range map[int]string{3: "2", 4: "3"} {
		if err := sockets[eio].say(ping); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(6 * time.Second)
	s.signal(syscall.SIGCONT)
	if n := s.send(t, "r", "news", "1"); n != 2 {
		t.Errorf("handed to %d clients, want 2", n)
	}
	for eio, ws := range sockets {
		if _, err := ws.hear(patience, "the event", func(m string) bool { return strings.HasPrefix(m, `42["news"`) }); err != nil {
			t.Errorf("EIO %d: %v", eio, err)
		}
	}
}
