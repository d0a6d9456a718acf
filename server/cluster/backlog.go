package cluster

import (
	"errors"
	"fmt"
	"strconv"

	"poosh/server/hub"
)

// What one answer of the engine has of what was missed, at the most.
const (
	pageFrames = 512
	pageBytes  = 1 << 20
)

// A resumed is where a log is, and what was missed of it.
type resumed struct {
	at             hub.Position // where the log is
	before         uint64       // epoch of the log before; 0 for none
	reached, known uint64       // how far a node has had that, and the engine knew it
	whole          bool         // what was missed is known
	frames         []string     // a part of it, oldest first; none at the end
}

// resume finds what this node missed, and then lets what comes go on its way. Everything is
// subscribed to already, so nothing is between the two.
func (l *link) resume() error {
	began := l.p.position()
	at, missed := began, []string(nil)
	var r resumed
	for { // for as long as it takes, with a bound for each page
		select {
		case <-l.failed:
			return l.why()
		default:
		}
		var err error
		if r, err = l.ask(at); err != nil {
			return err
		}
		if !r.whole || len(r.frames) == 0 {
			break
		}
		last, ok := parseFrame(r.frames[len(r.frames)-1])
		if !ok {
			return errors.New("the log of the engine holds what is no event")
		}
		at = hub.Position{Epoch: last.epoch, Number: last.number}
		missed = append(missed, l.p.ours(r.frames)...)
	}
	l.p.settleRefill(began, r.whole)
	if err := l.fillUpTo(r.at); err != nil {
		return err
	}
	gone, err := l.gone()
	if err != nil {
		return err
	}
	ctx, cancel := l.context()
	defer cancel()
	if err := l.fence(l.openingFence()); err != nil {
		return err
	}
	select {
	case <-l.fenced:
	case <-l.failed:
		return l.why()
	case <-ctx.Done():
		return errors.New("a subscription brings nothing")
	}
	if l.lastEpoch() != r.at.Epoch {
		return errors.New("the engine has forgotten everything just now")
	}
	l.p.c.count.caught.Add(uint64(len(missed)))
	// Before anybody may take the node for one that is there, and before clients are sent away who come back at once.
	filled := l.p.filled(r.at)
	l.p.judge(began, r, l.generation, filled)
	l.p.found(l) // before anything of it is handed out, see [partition.publishHere]
	l.letGo(append(gone, missed...), r.at)
	l.p.subs.confirmAll(l.generation)
	l.p.desk.wakeUp()
	l.p.wakeUp()
	return nil
}

// lastEpoch is that of the fence that ends the opening.
func (l *link) lastEpoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.held {
		if f, ok := parseFence(text); ok && f.request == l.openingFence() {
			l.epoch, l.opened = f.epoch, f.epoch
			return f.epoch
		}
	}
	return 0
}

// judge says so if something was missed, of which the logs of some apps are filled again, and notes what is to be told
// of later: others may have had more of the log before than the engine.
func (p *partition) judge(began hub.Position, r resumed, generation uint64, filled []string) {
	if began.IsZero() {
		return // nobody was here
	}
	if !r.whole {
		p.place.Lock()
		p.before = hub.Position{} // whoever lacks something of that is told now
		p.place.Unlock()
		p.missed(generation, r.at, "more than CLUSTER_BACKLOG holds", filled)
		return
	}
	if began.Epoch != r.before || began.Epoch == r.at.Epoch {
		return
	}
	reached := max(began.Number, r.known)
	p.place.Lock()
	p.before, p.beforeG = hub.Position{Epoch: r.before, Number: reached}, generation
	p.place.Unlock()
	p.heardOf(r.before, r.reached)
}

// heardOf compares how far the log before was had here with how far any node has had it.
func (p *partition) heardOf(epoch, reached uint64) {
	p.place.Lock()
	less := epoch != 0 && p.before.Epoch == epoch && p.before.Number < reached
	generation := p.beforeG
	if less {
		p.before.Number = reached
	}
	p.place.Unlock()
	if less {
		p.missed(generation, p.position(), "another node had more of what the engine has forgotten", nil)
	}
}

// ask asks for what is behind a place.
func (l *link) ask(at hub.Position) (r resumed, err error) {
	epoch := ""
	if !at.IsZero() {
		epoch = strconv.FormatUint(at.Epoch, 10)
	}
	args := append(l.args(), epoch, strconv.FormatUint(at.Number, 10), strconv.Itoa(pageFrames), strconv.Itoa(pageBytes))
	ctx, cancel := l.context()
	defer cancel()
	list, err := resumeScript.on(ctx, l.line.wire, []string{l.p.tag.state()}, args).AsStrSlice()
	if err != nil {
		return r, fmt.Errorf("resume: %w", err)
	}
	return parseResumed(list)
}

func parseResumed(list []string) (r resumed, err error) {
	if len(list) < 6 {
		return r, errors.New("resume: not an answer")
	}
	for i, at := range []*uint64{&r.at.Epoch, &r.at.Number, &r.before, &r.reached, &r.known} {
		if list[i] == "" && at == &r.before {
			continue
		}
		var ok bool
		if *at, ok = parseNumber(list[i]); !ok {
			return resumed{}, errors.New("resume: not an answer")
		}
	}
	if r.at.Epoch == 0 {
		return resumed{}, errors.New("resume: not an answer")
	}
	r.whole, r.frames = list[5] == "whole", list[6:]
	return r, nil
}

// ours are the frames that are for what was subscribed to before the link.
func (p *partition) ours(frames []string) []string {
	var list []string
	for _, text := range frames {
		f, ok := parseFrame(text)
		if !ok {
			continue
		}
		if n, ok := parseNews(f.envelope); ok {
			if p.subs.had(p.tag.room(n.app, n.room)) {
				list = append(list, text)
			}
			continue
		}
		e, err := openEnvelope(f.envelope)
		if err != nil || p.subs.had(p.channelOf(&e)) { // what cannot be read is counted where all of that is
			list = append(list, text)
		}
	}
	return list
}
