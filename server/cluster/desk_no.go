package cluster

import (
	"errors"
	"strings"
	"time"

	"poosh/server/cluster/resp"
)

// triesAlone is how often a step is told that the engine's script breaks at, before it is given up.
const triesAlone = 3

// failed is for an engine that did not answer, or said no.
func (d *desk) failed(l *link, err error) {
	if !refused(err) {
		l.fail(err)
		return
	}
	d.mu.Lock()
	first := !d.saidNo
	d.saidNo = true
	d.retry = time.Now().Add(100 * time.Millisecond)
	d.mu.Unlock()
	if first {
		d.p.c.log.Error("the engine does not take who is in rooms", "partition", d.p.index, "err", err)
	}
}

// broke reports that a script ended in its middle, so that part of it may have been done. Other
// refusals come before anything is written.
func broke(err error) bool {
	var no *resp.ServerError
	if !errors.As(err, &no) {
		return false
	}
	word, _, _ := strings.Cut(no.Error(), " ")
	return word == "ERR" || word == "WRONGTYPE"
}

// takeBack undoes a batch that the engine has said no to: what of it is still wanted is told in
// another one. It returns steps that are given up, since the script breaks at them. mu is held.
func (d *desk) takeBack(b *slip, err error) (givenUp []*step) {
	d.doubt = nil
	d.full = d.full || !b.leaves
	isBroken := broke(err)
	if isBroken {
		d.alone = len(b.steps)
	}
	var queue, again []*step
	for _, s := range b.steps {
		s.tries++
		switch {
		case isBroken && len(b.steps) == 1 && s.tries >= triesAlone:
			givenUp = append(givenUp, s)
		case s.kind == stepEnter && s.gone:
			if isBroken { // it may have become a member
				queue = append(queue, &step{kind: stepLeave, entry: s.entry, noted: true})
			}
		case s.kind == stepCount || s.kind == stepUser || s.kind == stepAll || s.kind == stepKnown:
			again = append(again, s)
		case s.kind == stepLook && s.gone:
			queue = append(queue, &step{kind: stepLeave, entry: s.entry})
		case s.kind == stepLook && s.answer == nil:
			d.look = append(d.look, s.place())
		default:
			queue = append(queue, s)
		}
	}
	d.queue = append(queue, d.queue...)
	d.steps = append(again, d.steps...)
	if len(b.steps) > 1 {
		for _, s := range b.steps {
			s.tries = 0 // which of them it is will be seen
		}
	}
	return givenUp
}

// giveUp is for a step that no engine will take: the others are not to wait for it.
func (d *desk) giveUp(s *step, err error) {
	d.p.c.count.broken.Add(1)
	d.p.c.log.Error("the engine cannot be told of somebody in a room, and is not any more", "partition", d.p.index, "app", s.entry.App, "room", s.entry.Room, "step", string(s.kind), "err", err)
	d.mu.Lock()
	if s.answer == nil {
		d.note(s, true)
		d.mu.Unlock()
		return
	}
	if s.kind == stepLook {
		d.queue = append([]*step{{kind: stepLeave, entry: s.entry}}, d.queue...)
	}
	late := !s.gone
	if late {
		d.late = append(d.late, s)
	}
	d.mu.Unlock()
	if late {
		d.answerLate()
	}
}

// answerLate has those in late answered where all others are.
func (d *desk) answerLate() {
	d.p.c.arriving.Add(1)
	d.p.inbox.put(string(letterFailed))
	d.p.inbox.tell()
}
