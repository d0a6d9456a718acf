package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"poosh/server/hub"
)

// What one answer of the engine has of what is kept, at the most: a small part of the time of a
// command, in which the engine does nothing else.
const (
	fillFrames = 512
	fillBytes  = 256 << 10
)

// fillTime is how long a node that starts may take to fill its logs. One that takes longer goes on
// without: clients are told that it does not know. It is well within the time after which who starts nodes ends
// one that is not ready yet: Kubernetes, systemd, Docker.
const fillTime = 20 * time.Second

// fillTries is how often it begins to fill a log anew, of which something went meanwhile.
const fillTries = 16

// A Filling is the log of an app that is being filled. It is used by one goroutine at a time.
type Filling interface {
	// Enter enters a publication at its position; they come in their order.
	Enter(p *hub.Publication, at hub.Position, entered time.Time)
	// Done has the log be what was entered. Nothing is missing up to a position.
	Done(at hub.Position)
}

// A fill is what a node has of what the engine keeps of an app, that starts or was cut off for too long, see [refill].
//
// Why not at once when it is subscribed to everything: what comes meanwhile would have to be held. So most of it is
// read before, and then what came in between, up to where the log was as the node had subscribed.
type fill struct {
	app   string
	into  Filling      // nil while it has not begun
	from  hub.Position // where what is kept began; it is another one when something is missing
	chunk uint64       // that is being read; 0 for none
	had   int          // of which it has so many
	last  uint64       // the number of the last of all these, or behind which they begin

	tries, events int // tries: how often something of it was gone
	bytes         int64
	read          int64 // bytes, with those that were read in vain
	failed        bool  // it goes on without
}

// filled is what came of filling, for operators.
type filled struct {
	mu     sync.Mutex // guards what follows
	begun  time.Time  // when the first began; zero before
	page   time.Time  // when the last page came
	took   time.Duration
	events int
	bytes  int64
	failed []string // why logs could not be filled
}

// goesOn reports that a page has come within a time.
func (f *filled) goesOn(within time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.page.IsZero() && time.Since(f.page) < within
}

// begin notes that a partition begins to be filled, or goes on, and returns until when it may.
func (f *filled) begin(limit time.Duration) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun.IsZero() {
		f.begun = time.Now()
	}
	return f.begun.Add(limit)
}

func (f *filled) came() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.page = time.Now()
}

// readings of it.
type readFilled struct {
	events  int
	bytes   int64
	seconds float64
}

func (f *filled) read() readFilled {
	f.mu.Lock()
	defer f.mu.Unlock()
	return readFilled{f.events, f.bytes, f.took.Seconds()}
}

// sayFilled has the log say what came of it.
func (c *Cluster) sayFilled() {
	f := &c.filled
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, why := range f.failed {
		c.log.Warn("what the engine keeps for clients that come back is not all read: they are told that this node does not know", "why", why)
	}
	if f.events > 0 {
		c.log.Info("goes on with the history that the engine keeps", "events", f.events, "bytes", f.bytes, "took", f.took.Round(time.Millisecond))
	}
}

// starting reports whether this node has never had anything of the partition. Its position does not say that: it
// may not be handled yet when the link is lost by which it came.
func (p *partition) starting() bool { return len(p.kept) > 0 && !p.started }

// fill reads all that the engine keeps by now, if the logs are to be filled.
func (l *link) fill() error {
	p := l.p
	if p.starting() && p.fills == nil {
		for _, app := range p.kept {
			p.fills = append(p.fills, &fill{app: app})
		}
	}
	return l.fillAll(hub.Position{Number: maxNumber})
}

// fillUpTo reads what has come since, up to and with a position: behind it, it comes by itself.
func (l *link) fillUpTo(at hub.Position) error {
	for _, f := range l.p.fills {
		if f.chunk == 0 || f.from.Epoch != at.Epoch {
			f.into = nil // there was nothing, or another log
		}
	}
	return l.fillAll(at)
}

func (l *link) fillAll(upTo hub.Position) error {
	if len(l.p.fills) == 0 {
		return nil
	}
	limit, until := l.p.fillUntil()
	defer func(began time.Time) { l.p.again.spent += time.Since(began) }(time.Now())
	for _, f := range l.p.fills {
		for done := f.failed; !done; {
			select {
			case <-l.failed:
				return l.why()
			case <-l.p.c.over.Done():
				return errStopped
			default:
			}
			var err error
			done, err = l.fillStep(f, upTo)
			late := time.Now().After(until)
			if err == nil {
				l.p.c.filled.came()
			} else if broken := errors.Is(err, errNoEvent); !broken && (!l.p.again.on || !late && !forGood(err)) {
				return fmt.Errorf("what is kept: %w", err)
			}
			switch {
			case done:
			case late:
				l.p.failFill(f, fmt.Sprintf("it is not done within %v", limit))
			case err != nil:
				l.p.failFill(f, err.Error())
			case f.tries > fillTries:
				l.p.failFill(f, "more is dropped meanwhile than is read")
			case l.p.again.on && f.read > refillMore*l.p.c.opt.Keeping(f.app).Bytes+fillBytes:
				l.p.failFill(f, fmt.Sprintf("more than %d times what is kept is read, and it is not done", refillMore))
			}
			done = done || f.failed
		}
	}
	return nil
}

// fillUntil is how long the partition may take to fill its logs, and until when.
func (p *partition) fillUntil() (limit time.Duration, until time.Time) {
	if p.again.on {
		limit = cmp.Or(p.c.opt.fillTime, refillTime)
		return limit, time.Now().Add(limit - p.again.spent)
	}
	limit = cmp.Or(p.c.opt.fillTime, fillTime)
	return limit, p.c.filled.begin(limit)
}

// failFill has the log be left as it is.
func (p *partition) failFill(f *fill, why string) {
	f.failed, f.into = true, nil
	if p.again.on {
		p.c.count.unfilled.Add(1)
		p.c.log.Warn("what this node missed while it was cut off is not all read from the history that the engine keeps: clients that come back are told that it does not know", "app", f.app, "why", why)
		return
	}
	c := p.c
	c.filled.mu.Lock()
	defer c.filled.mu.Unlock()
	c.filled.failed = append(c.filled.failed, fmt.Sprintf("app %q: %s", f.app, why))
}

// fillStep reads a page, or where to begin, and reports whether that was all.
func (l *link) fillStep(f *fill, upTo hub.Position) (done bool, err error) {
	if f.into == nil {
		if err := l.beginFill(f, upTo); err != nil {
			return false, err
		}
		return f.chunk == 0, nil
	}
	list, err := l.keptAsk(pageScript, f.app, text(f.from.Epoch), text(f.from.Number), text(f.chunk), strconv.Itoa(f.had), strconv.Itoa(fillFrames), strconv.Itoa(fillBytes), text(f.last))
	if err != nil {
		return false, err
	}
	if len(list) < 2 {
		return false, errNotAnswer
	}
	now, ok := parseNumber(list[1])
	if !ok {
		return false, errNotAnswer
	}
	switch list[0] {
	case "page":
		return l.enterPage(f, list[2:], now, upTo)
	case "next":
		f.chunk, f.had = f.chunk+1, 0
		return false, nil
	case "end":
		return true, nil
	}
	f.into = nil // some of it is not there any more
	f.tries++
	return false, nil
}

// keptAsk asks a script about what is kept of an app.
func (l *link) keptAsk(s *script, app string, args ...string) ([]string, error) {
	ctx, cancel := l.context()
	defer cancel()
	return s.on(ctx, l.line.wire, []string{l.p.tag.state()}, append([]string{string(l.p.tag), app}, args...)).AsStrSlice()
}

func text(n uint64) string { return strconv.FormatUint(n, 10) }

// beginFill finds where a log is to begin: with the oldest that may fit it.
func (l *link) beginFill(f *fill, upTo hub.Position) error {
	list, err := l.keptAsk(keptScript, f.app, l.p.keptNames())
	if err != nil {
		return err
	}
	if len(list) < 5 || len(list)%3 != 2 {
		return errNotAnswer
	}
	numbers := make([]uint64, len(list))
	for i, digits := range list {
		var ok bool
		if numbers[i], ok = parseNumber(digits); !ok {
			return errNotAnswer
		}
	}
	f.from, f.chunk, f.had, f.events, f.bytes = hub.Position{Epoch: numbers[0], Number: numbers[2]}, 0, 0, 0, 0
	behind, chunks := numbers[3], numbers[5:]
	room := l.p.c.opt.Keeping(f.app).Bytes
	for i := len(chunks) - 3; i >= 0 && room > 0; i -= 3 { // the newest first
		f.chunk, behind = chunks[i], chunks[i+1]
		room -= int64(chunks[i+2])
	}
	f.last = behind
	if f.from.Epoch == 0 {
		f.from.Epoch = upTo.Epoch // the engine knows nothing
	}
	f.into = l.p.c.opt.Fill(f.app, hub.Position{Epoch: f.from.Epoch, Number: min(behind, upTo.Number)})
	return nil
}

// enterPage enters what a page has up to a position, and reports whether more is behind that: it comes
// by itself.
func (l *link) enterPage(f *fill, page []string, now uint64, upTo hub.Position) (done bool, err error) {
	for _, line := range page {
		ms, rest, ok := cutNumber(line)
		if !ok {
			return false, errNoEvent
		}
		fr, ok := parseFrame(rest)
		if !ok || fr.epoch != f.from.Epoch {
			return false, errNoEvent
		}
		if fr.number > upTo.Number {
			return true, nil
		}
		f.had, f.last = f.had+1, fr.number
		e, err := openEnvelope(fr.envelope)
		if err != nil {
			l.p.drop(err)
			continue
		}
		age := time.Duration(now-min(ms, now)) * time.Millisecond
		f.into.Enter(&e.Publication, hub.Position{Epoch: fr.epoch, Number: fr.number}, time.Now().Add(-age))
		f.events++
		f.bytes += int64(len(line))
		f.read += int64(len(line))
	}
	return false, nil
}

// filled has the logs be as they were read, up to where the partition's is, and returns the apps of those. The others
// are begun anew by what comes.
func (p *partition) filled(at hub.Position) (apps []string) {
	for _, f := range p.fills {
		if f.into == nil {
			continue
		}
		f.into.Done(at)
		apps = append(apps, f.app)
		if p.again.on {
			p.again.add(f)
			p.c.count.refilled.Add(1)
		} else {
			p.c.filled.add(f)
		}
	}
	p.endRefill()
	p.fills, p.started = nil, true
	return apps
}

func (f *filled) add(a *fill) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events += a.events
	f.bytes += a.bytes
	f.took = time.Since(f.begun)
}
