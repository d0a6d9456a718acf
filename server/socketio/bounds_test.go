package socketio

import (
	"fmt"
	"strings"
	"testing"

	"poosh/server/loop"
)

// queued is what counts as waiting for polling clients.
func (s *site) queued() int { return int(s.server.Stats().Queued) }

// However many pings a POST holds, one pong waits.
func TestPingsOfOnePost(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		before := s.queued()
		for range 3 {
			if a := s.ask("POST", p.query, strings.Repeat("1:2", 9_999)); a.status != 200 {
				s.Fatalf("%d %s", a.status, a.body)
			}
		}
		if grown := s.queued() - before; grown > loop.Cost(framePong) {
			s.Errorf("pings made %d bytes wait", grown)
		}
		p.want("3")
		p.post("2")
		p.want("3")
	})
}

// What waits counts with what holding it takes: small frames meet the bound early.
func TestSmallFramesCost(t *testing.T) {
	const outbox = 20_000
	each(t, Config{Outbox: outbox}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		p.post("2") // so that what was answered is not all that counts
		p.want("3")
		frame := EventFrame("", nil)
		n := 0
		for session.Deliver(frame) {
			n++
		}
		if limit := outbox / loop.Cost(frame); n > limit || n < limit-2 {
			s.Errorf("%d frames of %d bytes waited, the bound is %d", n, len(frame), limit)
		}
		take(s.T, s.closed, "the end")
		if s.queued() != 0 {
			s.Errorf("%d bytes count after the end", s.queued())
		}
	})
}

// The answers to packets that a client sends count too, before it is in its namespace
// as well.
func TestAnswersCost(t *testing.T) {
	for name, accept := range map[string]bool{"connected": true, "held": false} {
		t.Run(name, func(t *testing.T) {
			var before []func(*Server)
			if !accept {
				before = append(before, neverJoins) // what is said is held
			}
			s := serve(t, Config{Outbox: 20_000, MaxPayload: 1 << 20}, before...)
			p := s.poll("EIO=3")
			if accept {
				take(t, s.connected, "the client")
			}
			packet := "2probe" // a pong of another sort
			if accept {
				packet = "40/foo,"
			}
			for range 100 {
				if a := s.ask("POST", p.query, strings.Repeat(fmt.Sprintf("%d:%s", len(packet), packet), 1000)); a.status != 200 {
					break
				}
			}
			eventually(t, "the end", func() bool { return s.sessions() == 0 })
			if got := s.server.Stats().Ended[reasonSlow.String()]; got != 1 {
				t.Errorf("%v", s.server.Stats().Ended)
			}
		})
	}
}

// Messages that wait until the client has joined count with what holding them takes.
func TestMessagesThatWait(t *testing.T) {
	s := serve(t, Config{MaxPayload: 10_000}, neverJoins)
	p := s.poll("EIO=3")
	n := 0
	for ; n < 100; n++ {
		if a := s.ask("POST", p.query, strings.Repeat(`6:42[""]`, 200)); a.status != 200 {
			break
		}
	}
	if most := (10_000 + heldPackets*loop.Cost(nil)) / loop.Cost([]byte(`2[""]`)) / 200; n != most {
		t.Errorf("%d times 200 messages waited, want %d", n, most)
	}
}

// An answer counts until the next GET shows that it was read.
func TestAnswersThatNobodyReads(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		large := EventFrame("e", []byte(`"`+strings.Repeat("x", 50_000)+`"`))
		done := p.waiting()
		session.Deliver(large)
		take(s.T, done, "the event")
		if got := s.queued(); got != loop.Cost(large) {
			s.Errorf("%d bytes count while an answer may be unread, want %d", got, loop.Cost(large))
		}
		if got := session.Waiting(); got != loop.Cost(large) {
			s.Errorf("Waiting is %d, want %d", got, loop.Cost(large))
		}
		next := p.waiting()
		if got := s.queued(); got != 0 {
			s.Errorf("%d bytes count when the next GET waits", got)
		}
		session.Deliver(large)
		take(s.T, next, "the event")
		p.post("1")
		take(s.T, s.closed, "the end")
		if got := s.queued(); got != 0 {
			s.Errorf("%d bytes count after the end", got)
		}
	})
}

// All polling clients together have a bound, which answers that are not read are part
// of.
func TestAllThatIsUnfetched(t *testing.T) {
	large := EventFrame("e", []byte(`"`+strings.Repeat("x", 50_000)+`"`))
	s := serve(t, Config{Unfetched: 100_000})
	var clients []*poller
	for range 3 {
		p := s.poll("EIO=3")
		p.want("40")
		clients = append(clients, p)
	}
	for i, p := range clients[:2] {
		done := p.waiting()
		session := s.server.find(p.sid)
		if !session.Deliver(large) {
			t.Fatal("not taken")
		}
		take(t, done, fmt.Sprint("answer ", i))
	}
	third := s.server.find(clients[2].sid)
	third.mu.Lock()
	third.poll.read() // its 40
	third.mu.Unlock()
	if third.Deliver(large) {
		t.Error("one more event was taken beyond the bound")
	}
}
