package loadtest

import (
	"context"
	"errors"
	"time"
)

// late is how much later than its time an event may be sent without being counted.
const late = 5 * time.Millisecond

// pause is how long a publisher who sends flat out waits when an event was refused.
const pause = 10 * time.Millisecond

// A publisher sends events to its rooms in turn, each once the one before was answered.
type publisher struct {
	t      *Test
	number int
	rooms  []int
	via    sender
	event  Payload
}

// due is when event k of the publisher is, on the clock of payloads: all publishers share
// the rate, and take turns.
func (p *publisher) due(begin int64, k int) int64 {
	interval := float64(time.Second) / p.t.cfg.Rate
	return begin + int64(float64(k*p.t.cfg.Publishers+p.number)*interval)
}

// run publishes from begin to end. What was due before the end and could not leave, since
// an answer was missing, leaves until the last; what is not sent by then, or when ctx ends,
// is counted.
func (p *publisher) run(ctx context.Context, begin, end, last int64) {
	if p.t.cfg.Rate == 0 {
		for k := 0; now() < end && ctx.Err() == nil; k++ {
			if !p.send(k, now()) {
				wait(ctx, now()+int64(pause))
			}
		}
		return
	}
	for k := 0; ; k++ {
		at := p.due(begin, k)
		if at >= end {
			return
		}
		if now() < at && !wait(ctx, at) {
			return
		}
		t := now()
		if t > last || ctx.Err() != nil {
			for ; p.due(begin, k) < min(end, t); k++ {
				p.t.unsent.Add(1)
			}
			return
		}
		if t-at > int64(late) {
			p.t.late.Add(1)
		}
		p.send(k, at)
	}
}

// wait waits for a time, and reports whether ctx is still there then.
func wait(ctx context.Context, until int64) bool {
	timer := time.NewTimer(time.Duration(until - now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send sends the publisher's event k, whose latency is from at, and reports whether it was
// taken. A number whose event was refused is used again, since nobody has seen it.
func (p *publisher) send(k int, at int64) bool {
	t := p.t
	number := p.rooms[k%len(p.rooms)]
	r := &t.rooms[number]
	i, _ := t.sourceOf(number, p.number)
	src := &r.sources[i]
	p.event.Set(at, p.number, src.next)
	err := p.via.publish(number, src, src.next, p.event)
	var no *answerError
	if err == nil || !errors.As(err, &no) {
		src.next++
	}
	switch {
	case err == nil:
		src.accepted.Add(1)
		t.accepted.Add(1)
		t.lastAccepted.Store(now())
		return true
	case no != nil:
		t.refused.Add(1)
	default:
		t.unanswered.Add(1)
	}
	t.faults.add("publish", err)
	return false
}

// probe sends the rooms of a publisher in which not everybody was reached an event, which
// tells that a client is in its room: not every protocol answers a join.
func (p *publisher) probe(round int) (missing bool, err error) {
	for _, number := range p.rooms {
		r := &p.t.rooms[number]
		if number%p.t.cfg.Publishers != p.number || r.probed.Load() >= r.members.Load() {
			continue
		}
		missing = true
		p.event.Set(now(), prober, round)
		if err := p.via.publish(number, nil, round, p.event); err != nil {
			return true, err
		}
		p.t.probes.Add(1)
	}
	return missing, nil
}
