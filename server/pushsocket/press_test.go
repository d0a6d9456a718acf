package pushsocket

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// poll asks for what waits for a session of Engine.IO 3 on polling, or for a session.
func (s *site) poll(sid string) string {
	s.t.Helper()
	status, body, _ := s.request("GET", "/socket.io/?EIO=3&transport=polling&b64=1&sid="+sid, "", "", "")
	if status != 200 {
		s.t.Fatalf("a poll is answered %d %.200q", status, body)
	}
	return body
}

// filled waits until a device has half an outbox waiting for its newest connection.
func (s *site) filled() {
	s.t.Helper()
	d := s.dialect
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		d.mu.Lock()
		for _, m := range d.mailboxes {
			if c, _, _ := m.newest(); c != nil && c.session.Waiting() >= d.cfg.SocketIO.Outbox/2 {
				d.mu.Unlock()
				return
			}
		}
		d.mu.Unlock()
		if time.Now().After(end) {
			s.t.Fatal("no mailbox fills half an outbox")
		}
	}
}

// A device that polls, confirms nothing and asks for all of it again has no sender wait, though
// half an outbox waits for it all the time: what is stored waits by itself.
func TestNobodyWaitsForMailboxes(t *testing.T) {
	s := newSite(t, Config{})
	alice, bob := s.registered("1", 1), s.registered("2", 1)
	body := strings.Repeat("x", 90<<10)
	messages := 2 * s.dialect.cfg.SocketIO.Outbox / len(body)
	for range messages {
		if r := bob.mail(alice.username, body); r.MessagesQueued != 1 {
			t.Fatalf("%+v", r)
		}
	}
	_, open, _ := strings.Cut(s.poll(""), `"sid":"`)
	sid, _, _ := strings.Cut(open, `"`)
	for range 2 {
		packet := authPacket(alice.username, alice.password())
		if status, answer, _ := s.request("POST", "/socket.io/?EIO=3&transport=polling&b64=1&sid="+sid, fmt.Sprintf("%d:%s", len(packet), packet), "", ""); status != 200 {
			t.Fatalf("%d %s", status, answer)
		}
		s.filled()
		for got := 0; got < messages; {
			got += strings.Count(s.poll(sid), `42["message",`)
		}
	}
	if n := s.dialect.loop.Stats().Presses; n != 0 {
		t.Errorf("senders waited %d times for a mailbox", n)
	}
}
