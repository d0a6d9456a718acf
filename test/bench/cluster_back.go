//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"poosh/test/bench/load"
)

// backWork is about a Redis that was away, and is empty as it comes back.
func backWork() work {
	return work{
		name: "cluster-back", run: back, joined: true, entrants: []entrant{joined, joined4, centrifugoes, sio4s},
		columns: []string{"right ms", "began ms", "round ms", "rounds", "cpu ms", "redis ms"},
		clients: 10_000, rooms: load.Rooms{Count: 20_000, Each: 2}, publishers: 16, duration: 30 * time.Second,
	}
}

// rightWithin is how long a cluster may take to be itself again.
const rightWithin = 2 * time.Minute

// back takes Redis away and brings it back empty, and looks how long it takes until every
// event that is taken reaches whom it should. No client may be closed.
func back(s *trial, w work) error {
	if _, err := s.connect(w.clients); err != nil {
		return err
	}
	if _, err := s.deliver(w.publishers, w.rooms.Count/w.publishers, 0); err != nil {
		return fmt.Errorf("before Redis went away: %w", err)
	}
	// Of what went through Redis just before it died no node can know that it has all.
	if err := s.settle(3 * time.Second); err != nil {
		return err
	}
	at := s.cluster.redis.clients
	s.cluster.redis.stop()
	s.cluster.redis = nil
	if err := s.settle(w.duration); err != nil {
		return fmt.Errorf("while Redis was away: %w", err)
	}
	redis, err := startRedis(s.cluster.dir, at)
	if err != nil {
		return err
	}
	s.cluster.redis = redis
	before, err := s.usage() // of Redis, all since it is back
	if err != nil {
		return err
	}
	return s.untilRight(w, time.Now(), before)
}

// untilRight does rounds until one is right, since Redis was there again.
func (s *trial) untilRight(w work, since time.Time, before usage) error {
	for rounds := 1; ; rounds++ {
		r, err := s.round(w)
		if err != nil {
			return err
		}
		if r.err != nil && time.Since(since) > rightWithin {
			return fmt.Errorf("not right %v after Redis was back: %w\n%s", rightWithin, r.err, s.server.printed())
		}
		if r.err != nil { // nobody is asked without a pause
			if err := s.watch(20 * time.Millisecond); err != nil {
				return err
			}
			continue
		}
		after, err := s.usage()
		if err != nil {
			return err
		}
		if err := s.stays(w); err != nil {
			return fmt.Errorf("when all was right: %w", err)
		}
		spent := after.sub(before)
		s.record(metrics{
			"right ms": millis(r.end.Sub(since)), "began ms": millis(r.begin.Sub(since)), "round ms": millis(r.end.Sub(r.begin)),
			"rounds": float64(rounds), "cpu ms": millis(spent.server), "redis ms": millis(spent.redis),
		})
		return nil
	}
}

// stays looks whether what is right remains so: no client is closed later, and each gets
// everything once.
func (s *trial) stays(w work) error {
	if err := s.watch(5 * time.Second); err != nil {
		return err
	}
	_, err := s.deliver(w.publishers, w.rooms.Count/w.publishers, 0)
	return err
}

// watch looks for a while whether clients are closed.
func (s *trial) watch(d time.Duration) error {
	_, err := s.crowd.Pump(d, never)
	return errors.Join(err, s.crowd.Lost())
}

// A round is one event to each room.
type round struct {
	begin, end time.Time // of sending the first, and of getting the last
	err        error     // an event was refused, or did not come
}

// round publishes one event to each room and waits for them. What is left of a round before
// may still come, and does not count. An error beside the round's own ends the work.
func (s *trial) round(w work) (r round, err error) {
	events := w.rooms.Count / w.publishers
	s.crowd.Expect(s.next, events, w.publishers)
	r.begin = time.Now()
	sent, err := s.publish(w.publishers, events, 0, nil)
	s.next += events
	if err != nil {
		return r, err
	}
	r.err, err = s.gather(sent)
	r.end = time.Now()
	return r, err
}

// gather waits for what publishers send, for a second after the last that came. It returns
// what they could not send or did not come, and what ends the work.
func (s *trial) gather(sent <-chan load.Sent) (missing, err error) {
	const patience = time.Second
	t := s.crowd.Result()
	var answered *load.Sent
	over := func() bool {
		select {
		case a := <-sent:
			answered = &a
		default:
		}
		return t.Delivered == t.Expected || s.crowd.Lost() != nil || answered != nil && answered.Err != nil
	}
	for done, seen := false, int64(-1); !done && (t.Delivered > seen || answered == nil); {
		seen = t.Delivered
		done, err = s.crowd.Pump(patience, over)
		if err = errors.Join(err, s.crowd.Lost()); err != nil {
			return nil, err
		}
	}
	if answered == nil { // the last event came before its answer
		a := <-sent
		answered = &a
	}
	if answered.Err == nil && t.Delivered < t.Expected {
		return fmt.Errorf("%d of %d events were delivered", t.Delivered, t.Expected), nil
	}
	return answered.Err, nil
}
