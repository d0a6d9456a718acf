package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
)

// write has somebody write what is to be taken of a tape. mu is held.
func (s *source) write(t *tape) {
	if t.writing || !s.toWrite(t) {
		return
	}
	t.writing = true
	s.running.Go(func() { s.writer(t) })
}

// toWrite reports that there is something. mu is held.
func (s *source) toWrite(t *tape) bool {
	return s.token != 0 && s.over.Err() == nil && (t.begun != s.token || s.mine(t, t.next))
}

// writer writes until there is nothing more, or another node leads.
func (s *source) writer(t *tape) {
	pause := time.Duration(0)
	var failing time.Time // since when; zero for not
	for {
		s.mu.Lock()
		if !s.toWrite(t) {
			t.writing = false
			s.mu.Unlock()
			return
		}
		token, ours := s.token, t.begun == s.token
		s.mu.Unlock()
		var err error
		if ours {
			err = s.take(t, token)
		} else {
			err = s.takeOver(t, token)
		}
		s.fails(err, &failing)
		if err == nil {
			pause = 0
			continue
		}
		pause = min(max(2*pause, 10*time.Millisecond), time.Second)
		select {
		case <-s.over.Done():
		case <-time.After(pause):
		}
	}
}

// onceFails is for how long something has to fail before the log is told: what is over sooner nobody has to look after.
const onceFails = 2 * time.Second

// fails counts what the engine did not do for a source, if it did not, and has the log say so once a minute, where that lasts.
// failing is since when it does, for who tries. That the engine is away altogether the log says elsewhere.
func (s *source) fails(err error, failing *time.Time) {
	if err == nil || errors.Is(err, errAhead) || s.over.Err() != nil {
		*failing = time.Time{}
		return
	}
	s.failed.Add(1)
	if failing.IsZero() {
		*failing = time.Now()
	}
	if time.Since(*failing) < onceFails || errors.Is(err, hub.ErrAway) {
		return
	}
	if before, say := s.failing.May(time.Minute); say {
		s.c.log.Error("the messages of a source are not published: they wait for the cluster's Redis", "source", s.name,
			"err", s.c.cfg.Redis.Worded(err), "others before", before)
	}
}

// takeOver makes this node the one that takes in a partition, and finds where it goes on.
func (s *source) takeOver(t *tape, token uint64) error {
	b, fenced, err := s.begin(t, token)
	if err != nil {
		return err
	}
	if fenced {
		return s.fenced(token)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != token {
		return nil
	}
	s.bytes -= t.advance(t.look(&b))
	if t.ahead() > 0 && time.Since(s.led) < onceLag {
		return errAhead
	}
	t.fix(b.name, b.count, t.next, 0)
	t.begun, t.leads, t.gapped = token, true, t.gapsBehind(t.next)
	return nil
}

// errAhead is that others have taken what this node has yet to read: that is not far.
var errAhead = errors.New("not as far as the others yet")

// onceLag is how long a node that begins to lead waits for that.
const onceLag = 3 * time.Second

// fenced is for a node that finds that another one leads, or that its token is too low.
func (s *source) fenced(token uint64) error {
	s.mu.Lock()
	if s.token == token {
		s.unlead()
	}
	s.mu.Unlock()
	s.lookNow()
	return nil
}

// errCount is that a partition counts otherwise than this node believes.
var errCount = errors.New("the count is another one")

// take publishes what is next, if it is still this node's turn.
func (s *source) take(t *tape, token uint64) error {
	s.mu.Lock()
	if s.token != token || t.begun != token || !s.mine(t, t.next) {
		s.mu.Unlock()
		return nil
	}
	var list []played
	bytes := 0
	for i := t.next; s.mine(t, i) && len(list) < batchItems && (len(list) == 0 || bytes+t.list[i].size() <= batchBytes); i++ {
		list = append(list, t.list[i])
		bytes += t.list[i].size()
	}
	t.under = len(list)
	past, next, name, count := t.past, t.next, t.name, t.count
	s.mu.Unlock()
	handed, err := s.publish(t.part, token, name, count, list)
	s.mu.Lock()
	t.under = 0
	if errors.Is(err, errFenced) {
		t.cut = t.next
		s.mu.Unlock()
		return s.fenced(token)
	}
	if err != nil {
		t.cut = t.next
		t.begun = 0 // which tells whether it was done
		s.mu.Unlock()
		if errors.Is(err, errCount) {
			return nil
		}
		return err
	}
	// It may have been trimmed meanwhile, but not been taken.
	s.bytes -= t.advance(next + len(list) - int(t.past-past))
	t.count = count + uint64(len(list))
	s.mu.Unlock()
	s.settle(list, handed)
	return nil
}

// settle tells of publications.
func (s *source) settle(list []played, handed []int) {
	n := 0
	for i := range list {
		e := &list[i]
		if e.pub == nil {
			continue
		}
		s.taken.Add(1)
		s.c.count.settled(nil)
		if e.handed != nil {
			h := hub.Handed{Took: -1, Nodes: handed[n]}
			guard.Call(s.c.log, "a message is told to be published", func() { e.handed(e.pub, h) }, "source", s.name)
		}
		n++
	}
}

var errFenced = errors.New("another node leads")

// publish writes publications, and returns how many nodes were handed each.
func (s *source) publish(p *partition, token uint64, name string, count uint64, list []played) (handed []int, err error) {
	l := p.current()
	if l == nil {
		return nil, hub.ErrAway
	}
	marks := make([]byte, 0, 8*len(list))
	var items []*item
	for i := range list {
		marks = binary.BigEndian.AppendUint64(marks, list[i].mark)
		if list[i].pub != nil {
			items = append(items, p.item(list[i].pub))
		}
	}
	args := append(l.args(), s.name, strconv.FormatUint(token, 10), name, strconv.FormatUint(count, 10), string(marks), strconv.Itoa(onceTail))
	args = p.publishArgs(args, "@"+s.name, 1, items)
	ctx, cancel := context.WithTimeout(s.c.over, s.c.cfg.Timeout)
	defer cancel()
	answer, err := onceTakeScript.on(ctx, l.line.wire, []string{p.tag.state()}, args).ToArray()
	if err != nil {
		if !refused(err) {
			l.fail(err)
		}
		return nil, err
	}
	if len(answer) > 0 {
		switch word, _ := answer[0].ToString(); word {
		case "fenced":
			return nil, errFenced
		case "forgotten":
			return nil, errCount
		}
	}
	handed, _, err = parsePublished(answer, len(items))
	return handed, err
}
