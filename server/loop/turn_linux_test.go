package loop

import (
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// onLoop is both for connections on the loop alone: nobody else takes turns.
func onLoop(t *testing.T, test func(t *testing.T, s *site)) {
	both(t, Config{}, func(t *testing.T, s *site) {
		if !s.costs() {
			test(t, s)
		}
	})
}

// doing returns a connection to write to, which has do called by whoever reads it.
func (s *site) doing(t *testing.T, do func()) net.Conn {
	t.Helper()
	nc, c := s.dial(t)
	c.mu.Lock()
	c.protocol = &doer{do}
	c.mu.Unlock()
	return nc
}

// TestTurnAtEnd: a turn that is asked for on the reader is taken once, behind all that its round pushed, and
// what it pushes leaves at once.
func TestTurnAtEnd(t *testing.T) {
	onLoop(t, func(t *testing.T, s *site) {
		peer, c := s.dialOn(t, 0)
		var taken atomic.Int64
		turn := &Turn{Run: func() {
			taken.Add(1)
			c.PushNow([]byte("turn."))
		}}
		type answer struct {
			first, second bool
			taken         int64 // while Data ran
		}
		told := make(chan answer, 1)
		nc := s.onReader(t, func() {
			var a answer
			a.first = s.loop.AtEnd(turn)
			c.Push([]byte("round, "))
			a.second = s.loop.AtEnd(turn)
			a.taken = taken.Load()
			told <- a
		})
		for i := range int64(10) {
			say(t, nc)
			if a := receive(t, told, "an answer"); a != (answer{true, true, i}) {
				t.Fatalf("in round %d it is %+v; want it taken at the end, once", i, a)
			}
			got := make([]byte, len("round, turn."))
			if _, err := io.ReadFull(peer, got); err != nil || string(got) != "round, turn." {
				t.Fatalf("the peer hears %q, %v", got, err)
			}
		}
		if n := taken.Load(); n != 10 {
			t.Errorf("it was taken %d times in 10 rounds", n)
		}
	})
}

// TestTurnWithoutReader: while no reader is on its round nobody takes a turn, and who asks is told so. Connections with
// goroutines have no such reader.
func TestTurnWithoutReader(t *testing.T) {
	both(t, Config{}, func(t *testing.T, s *site) {
		var taken, others atomic.Int64
		turn, other := &Turn{Run: func() { taken.Add(1) }}, &Turn{Run: func() { others.Add(1) }}
		for range 3 {
			if s.loop.AtEnd(turn) {
				t.Fatal("somebody is to take a turn, and no reader is on its round")
			}
		}
		told := make(chan bool, 1)
		say(t, s.doing(t, func() { told <- s.loop.AtEnd(other) }))
		if got := receive(t, told, "an answer"); got == s.costs() {
			t.Fatalf("who is called by a reader is told %v", got)
		}
		if !s.costs() {
			waitFor(t, "the turn of the round", func() bool { return others.Load() == 1 })
		}
		if n := taken.Load(); n != 0 {
			t.Errorf("it was taken %d times all the same", n)
		}
		if s.costs() && others.Load() != 0 {
			t.Error("a turn was taken that was refused")
		}
	})
}

// TestTurnWithinTurn: who asks for a turn while it is being taken is told whether it comes once more, and so it does.
func TestTurnWithinTurn(t *testing.T) {
	onLoop(t, func(t *testing.T, s *site) {
		var taken, promised atomic.Int64
		turn := new(Turn)
		turn.Run = func() {
			if s.loop.AtEnd(turn) {
				promised.Add(1)
			}
			taken.Add(1)
		}
		told := make(chan bool, 1)
		nc := s.doing(t, func() { told <- s.loop.AtEnd(turn) })
		for i := range int64(50) {
			say(t, nc)
			if !receive(t, told, "an answer") {
				t.Fatal("a reader on its round is told that there is none")
			}
			waitFor(t, "all that was promised", func() bool { return taken.Load() == i+1+promised.Load() })
		}
	})
}

// TestTurnStays: a turn that somebody was promised is not taken back for one who asks later, behind the end of the
// reader's round and before it takes turns: the first would wait in vain.
func TestTurnStays(t *testing.T) {
	s := newSite(t, Config{})
	taken := 0
	turn := &Turn{Run: func() { taken++ }}
	s.loop.readers.Add(1) // as a reader does
	first := s.loop.AtEnd(turn)
	s.loop.readers.Add(-1)
	second := s.loop.AtEnd(turn)
	s.loop.takeTurns()
	if !first || taken != 1 {
		t.Errorf("the first is told %v, the second %v, and it was taken %d times; want it taken once", first, second, taken)
	}
	if s.loop.takeTurns(); taken != 1 {
		t.Errorf("it was taken %d times; want once", taken)
	}
}

// TestTurnsAreKept: whoever is told that a turn will be taken has it taken afterwards, while readers come and go and
// others ask for the same.
func TestTurnsAreKept(t *testing.T) {
	onLoop(t, func(t *testing.T, s *site) {
		stop := talkOn(t, s, 3)
		defer stop()
		var taken atomic.Int64 // begun
		turn := &Turn{Run: func() { taken.Add(1) }}
		const askers, times = 4, 1000
		var kept, refused atomic.Int64
		end := time.Now().Add(patience)
		for i := 0; i < times || kept.Load() < times; i++ {
			if time.Now().After(end) {
				t.Fatalf("of %d that asked beside readers %d were promised a turn", kept.Load()+refused.Load(), kept.Load())
			}
			before := taken.Load()
			var asking sync.WaitGroup
			for range askers {
				asking.Go(func() {
					if !s.loop.AtEnd(turn) {
						refused.Add(1)
						return
					}
					kept.Add(1)
					for ; taken.Load() == before; runtime.Gosched() {
						if time.Now().After(end) {
							t.Error("waited in vain for a turn that was promised")
							return
						}
					}
				})
			}
			if asking.Wait(); t.Failed() {
				return
			}
		}
	})
}

// talkOn has so many clients be answered one thing after the other until stop is called.
func talkOn(t *testing.T, s *site, clients int) (stop func()) {
	t.Helper()
	var over atomic.Bool
	var talking sync.WaitGroup
	for range clients {
		nc, c := s.dial(t)
		c.mu.Lock()
		c.protocol = &doer{func() {
			c.Push([]byte{1})
			runtime.Gosched() // so that a round takes its time
		}}
		c.mu.Unlock()
		talking.Go(func() {
			for one := []byte{1}; !over.Load(); {
				_, err := nc.Write(one)
				if err == nil {
					_, err = io.ReadFull(nc, one)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		over.Store(true)
		talking.Wait()
	}
}

// TestReaderGathers: what a peer says once it was answered is read before a turn is taken, and no more often than
// that the turn is taken in time.
func TestReaderGathers(t *testing.T) {
	s := newSite(t, Config{})
	var taken atomic.Int64
	turn := &Turn{Run: func() { taken.Add(1) }}
	const often = 2 // that a reader looks for more before it takes turns
	type talk struct {
		who   int
		taken int64
	}
	heard := make(chan talk, 2+often)
	var first net.Conn
	for i := 1 + often; i >= 0; i-- {
		next := first
		first = s.onReader(t, func() {
			before := taken.Load()
			s.loop.AtEnd(turn)
			if next != nil { // which speaks while the reader is here, and so is there once that looks
				_, _ = next.Write([]byte{1})
			}
			heard <- talk{i, before}
		})
	}
	// One that is held up for a millisecond does not look: with one try in many it is not.
	waitFor(t, "a round with all that came meanwhile", func() bool {
		before := taken.Load()
		say(t, first)
		gathered, last := true, before
		for i := range 2 + often {
			got := receive(t, heard, "a talker")
			if got.who > often && got.taken == before {
				t.Fatalf("talker %d is heard, and no turn was taken yet", i)
			}
			gathered = gathered && (got.who > often || got.taken == before)
			last = got.taken
		}
		waitFor(t, "the last turn", func() bool { return taken.Load() > last })
		return gathered
	})
}
