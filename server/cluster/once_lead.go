package cluster

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
)

// run keeps the lease of a source, or waits for it, until it is over.
func (s *source) run() {
	for {
		wait := s.c.onceBeat()
		guard.Call(s.c.log, "a source is looked after", func() { wait = s.step() }, "source", s.name)
		select {
		case <-s.over.Done():
			s.stopLeading()
			return
		case <-s.kick:
		case <-time.After(wait):
		}
	}
}

// step does what there is to do, and returns for how long there is nothing more.
func (s *source) step() time.Duration {
	now := time.Now()
	s.mu.Lock()
	s.expire(now)
	// A node that lost the source for however short a moment lacks what others have.
	token, wants := s.token, s.reads && !s.resigned && s.lapsed.IsZero()
	if token != 0 && now.Sub(s.renewed) > s.c.cfg.Lease {
		s.unlead()
		token = 0
	}
	busy := token != 0 && !wants && s.busy() && now.Sub(s.since) < onceDrain
	s.mu.Unlock()
	switch {
	case busy: // the others have it too, but who knows whether there are any
		return 10 * time.Millisecond
	case token != 0 && !wants:
		return s.giveUp()
	case !wants:
		s.askNoMore()
		return s.c.onceBeat()
	}
	wait := s.ask(now)
	if !s.leads.Load() {
		s.poll()
	}
	return wait
}

// busy reports that something is to be written. mu is held.
func (s *source) busy() bool {
	for _, t := range s.tapes {
		if s.mine(t, t.next) {
			return true
		}
	}
	return false
}

// mine reports that there is an entry of that number, for who leads to take. mu is held.
func (s *source) mine(t *tape, i int) bool {
	return i < len(t.list) && (s.lapsed.IsZero() || t.list[i].at.Before(s.lapsed))
}

// giveUp has another node lead.
func (s *source) giveUp() time.Duration {
	if _, err := s.lease(0, "0"); err != nil && s.over.Err() == nil {
		s.mu.Lock()
		late := time.Since(s.since) > s.c.cfg.Timeout
		s.mu.Unlock()
		if !late {
			return 50 * time.Millisecond
		}
	} else if err == nil {
		s.c.Tell(kindOnce, []byte(s.name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlead()
	// An answer that was on its way may have said that it led last.
	s.last = false
	return s.c.onceBeat() / 4 // it may read again
}

// askNoMore has no other node wait for this one. Should the engine not hear of it, they do so for a lease.
func (s *source) askNoMore() {
	s.mu.Lock()
	asks := s.asks
	s.mu.Unlock()
	if asks {
		_, _ = s.lease(0, "0")
	}
}

// ask renews the lease, or asks for it.
func (s *source) ask(now time.Time) time.Duration {
	s.mu.Lock()
	gaps := s.whole.gaps
	s.mu.Unlock()
	a, err := s.lease(s.c.cfg.Lease, s.may(now))
	s.fails(err, &s.unanswered)
	beat := s.c.onceBeat()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there = err == nil && (s.there || a.status != "none"); err != nil {
		s.absent = time.Time{}
		return beat / 4
	}
	switch a.status {
	case "mine":
		lost := s.whole.gaps != gaps
		s.renewed, s.absent, s.last = now, time.Time{}, !lost
		if lost && s.token == 0 { // it lost the source as it was given the lease: that is for what it had read before
			s.lapsed = s.since
		}
		if s.token != a.token {
			s.leadWith(a.token)
		}
		if lost {
			return 0
		}
		if now.Sub(s.led) < 2*beat {
			return beat / 4 // so that the others know soon that they lack nothing
		}
		return beat
	case "theirs":
		s.unlead()
		s.higher = max(s.higher, a.token)
		s.theirs, s.absent, s.last = now.Add(a.left), time.Time{}, false
		return min(beat, a.left+5*time.Millisecond)
	}
	if s.absent.IsZero() {
		s.absent = now
	}
	return beat / 4
}

// may is what this node takes of a lease that nobody has, as once_lease.lua knows it.
func (s *source) may(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch alone := len(s.c.Nodes()) <= 1; {
	// One that asks and yet never goes on, since its answers come too late, is waited for no longer than one that is dead.
	case s.token != 0 || s.last || s.waited(now.Add(-s.c.cfg.Lease)):
		return "1"
	case s.mayTake(now, alone):
		if alone {
			return "1"
		}
		return "3"
	case alone:
		return "2"
	}
	return "0"
}

// mayTake reports that a lease that nobody has is free for this node, which did not lead last. The engine may have
// forgotten one: who has it knows best what it took, and renews it before this. A node that has not read all that is yet
// to be taken leaves it to those that have, as long as such a one may come. mu is held.
func (s *source) mayTake(now time.Time, alone bool) bool {
	if !s.theirs.IsZero() {
		// The engine was there as it ended, and there are others who ask: it is over, and not forgotten.
		return s.whole.is() && now.After(s.theirs) && s.there && now.Sub(s.theirs) < s.c.cfg.Lease || s.waited(now)
	}
	return alone || s.waited(now)
}

// onceAbsent is for how long nobody has a lease, at the most, before any node may take it: who led when
// the engine forgot it is to be first, which has to find the engine again as all do.
const onceAbsent = 4 * time.Second

// waited reports that nobody has had the lease for so long. Who knows where it stands in all partitions is
// likely to have more than who does not, and waits half of that. mu is held.
func (s *source) waited(now time.Time) bool {
	span := min(s.c.cfg.Lease, onceAbsent)
	if !s.theirs.IsZero() && !slices.ContainsFunc(s.tapes, func(t *tape) bool { return !t.fixed }) {
		span /= 2
	}
	if s.c.opt.absent > 0 {
		span = s.c.opt.absent
	}
	return !s.absent.IsZero() && now.Sub(s.absent) >= span
}

// A leased is what the engine answers about a lease.
type leased struct {
	status string
	token  uint64
	left   time.Duration
}

// lease asks the engine for the lease, or gives it back for a span of 0.
func (s *source) lease(span time.Duration, may string) (a leased, err error) {
	s.mu.Lock()
	if s.token != 0 {
		s.whole.took(s.oldest())
	}
	whole := s.whole
	s.asks = span > 0
	args := []string{s.c.name, strconv.FormatInt(span.Milliseconds(), 10), strconv.FormatUint(s.token, 10), strconv.FormatUint(s.higher, 10),
		may, strconv.FormatUint(whole.clear, 10), strconv.FormatUint(whole.wants(), 10), strconv.FormatUint(whole.from, 10)}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.c.over, s.c.cfg.Timeout)
	defer cancel()
	answer, err := s.c.own.exec(ctx, onceLeaseScript, []string{s.key, s.key + ":asks"}, args)
	if err != nil {
		return a, err
	}
	got := time.Now()
	list, err := answer.ToArray()
	if err != nil || len(list) != 5 {
		return a, errNotAnswer
	}
	a.status, err = list[0].ToString()
	ms, wrong := list[2].AsInt64()
	var times [3]uint64
	for i, at := range [...]int{1, 3, 4} {
		text, wrongToo := list[at].ToString()
		n, ok := parseToken(text)
		if wrongToo != nil || !ok {
			return a, errNotAnswer
		}
		times[i] = n
	}
	if errors.Join(err, wrong) != nil {
		return a, errNotAnswer
	}
	a.token, a.left = times[0], time.Duration(ms)*time.Millisecond
	s.mu.Lock()
	s.whole.heard(whole.gaps, times[1], times[2], got)
	s.mu.Unlock()
	return a, nil
}

// oldest is when the first of those was read that this node has yet to take; the zero time while it does not know,
// and now for none. mu is held.
func (s *source) oldest() time.Time {
	oldest := time.Now()
	for _, t := range s.tapes {
		if t.begun != s.token {
			return time.Time{}
		}
		if t.next < len(t.list) && t.list[t.next].at.Before(oldest) {
			oldest = t.list[t.next].at
		}
	}
	return oldest
}

// stopLeading is unlead of who does not hold mu.
func (s *source) stopLeading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlead()
}

// leadWith has this node lead with a token. mu is held.
func (s *source) leadWith(token uint64) {
	if s.token == 0 {
		s.takeovers.Add(1)
		s.led = time.Now()
		s.c.log.Info("this node publishes the messages of a source", "source", s.name)
	}
	s.token = token
	s.leads.Store(true)
	for _, t := range s.tapes {
		s.write(t)
	}
}

// unlead has it lead no more, if it does. mu is held.
func (s *source) unlead() {
	if s.token == 0 {
		return
	}
	s.token, s.lapsed = 0, time.Time{}
	s.leads.Store(false)
	for _, t := range s.tapes {
		t.unlead()
	}
	s.c.log.Info("this node publishes the messages of a source no more", "source", s.name)
}

// poll looks how far who leads has come.
func (s *source) poll() {
	for _, t := range s.tapes {
		s.mu.Lock()
		if t.fixed && t.next == len(t.list) || s.token != 0 {
			s.mu.Unlock()
			continue
		}
		s.mu.Unlock()
		b, fenced, err := s.begin(t, 0)
		if err != nil || fenced {
			return
		}
		s.mu.Lock()
		if s.token == 0 {
			s.bytes -= t.advance(t.look(&b))
			t.settle(&b, time.Now(), s.c.onceBeat()/2)
		}
		s.mu.Unlock()
	}
}

// begin asks what was taken in a partition, and makes this node the one that takes with a token that
// is not 0.
func (s *source) begin(t *tape, token uint64) (b begun, fenced bool, err error) {
	s.mu.Lock()
	name, count := t.name, t.count
	s.mu.Unlock()
	l := t.part.current()
	if l == nil {
		return b, false, hub.ErrAway
	}
	ctx, cancel := context.WithTimeout(s.c.over, s.c.cfg.Timeout)
	defer cancel()
	args := append(l.args(), s.name, strconv.FormatUint(token, 10), freshEpoch(), name, strconv.FormatUint(count, 10), strconv.Itoa(onceTail))
	list, err := onceBeginScript.on(ctx, l.line.wire, []string{t.part.tag.state()}, args).ToArray()
	if err != nil {
		if !refused(err) {
			l.fail(err)
		}
		return b, false, err
	}
	got := time.Now()
	if len(list) == 2 {
		text, err := list[1].ToString()
		higher, ok := parseToken(text)
		if err != nil || !ok {
			return b, false, errNotAnswer
		}
		s.mu.Lock()
		s.higher = max(s.higher, higher)
		s.mu.Unlock()
		return b, true, nil
	}
	if len(list) != 5 {
		return b, false, errNotAnswer
	}
	b.name, err = list[1].ToString()
	text, wrong := list[2].ToString()
	clock, wrongToo := list[3].ToString()
	tail, wrongAsWell := list[4].AsStrSlice()
	var ok, okToo bool
	b.count, ok = parseNumber(text)
	now, okToo := parseToken(clock)
	if errors.Join(err, wrong, wrongToo, wrongAsWell) != nil || !ok || !okToo {
		return b, false, errNotAnswer
	}
	if b.tail, b.at, ok = parseTail(tail, now, got); !ok {
		return b, false, errNotAnswer
	}
	return b, false, nil
}

// parseToken reads a token, or a time of the engine, in microseconds.
func parseToken(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 53) // what Lua is exact in
	return n, err == nil
}
