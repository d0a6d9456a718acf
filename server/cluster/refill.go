package cluster

import (
	"errors"
	"slices"
	"time"

	"poosh/server/hub"
)

// What a node may take to fill its logs again that was cut off for longer than the backlog holds. One that needs more
// goes on without: clients are told that it does not know.
const (
	// refillTime is for how long it may read, over all links by which it does. Meanwhile nothing of the partition is
	// handed out, and who enters or sends there waits, as long as one command may take.
	refillTime = 10 * time.Second
	// refillMore is how many times it may read what an app keeps, and so what is read anew or published meanwhile
	// beside that.
	refillMore = 2
)

// A refill is what a partition does that was cut off for longer than the backlog holds: what it lacks is in what the
// engine keeps of apps. The zero one is of a partition that does nothing of the kind.
type refill struct {
	on     bool
	spent  time.Duration // that it has read, the engine being there
	events int           // of what came of it
	bytes  int64
}

// errNoEvent is for what is kept and cannot be read.
var errNoEvent = errors.New("the engine keeps what is no event")

// lacks looks whether the partition misses more than the backlog has, and has its logs be filled again then. A node that
// starts has none to fill again.
func (l *link) lacks() error {
	p := l.p
	at := p.position()
	if !p.started || len(p.kept) == 0 || at.IsZero() {
		return nil
	}
	ctx, cancel := l.context()
	defer cancel()
	lacks, err := lacksScript.on(ctx, l.line.wire, []string{p.tag.state()}, []string{string(p.tag), text(at.Epoch), text(at.Number)}).AsInt64()
	if refused(err) {
		return nil // resume will see
	}
	if err != nil {
		return err
	}
	if lacks == 0 {
		p.dropRefill()
	} else {
		p.beginRefill()
	}
	return nil
}

// beginRefill has the logs be filled again of what this node keeps, unless they are being filled. Who waits for the
// engine goes on waiting.
func (p *partition) beginRefill() {
	if !p.again.on {
		p.again.on = true
		for _, app := range p.kept {
			if p.c.opt.Keeping(app).Bytes > 0 { // of others no position is any good
				p.fills = append(p.fills, &fill{app: app})
			}
		}
		if len(p.fills) > 0 {
			p.c.log.Info("what this node missed is more than CLUSTER_BACKLOG holds: reads it from the history that the engine keeps", "partition", p.index, "apps", len(p.fills))
		}
	}
	p.mu.Lock()
	p.reading = len(p.fills) > 0
	p.mu.Unlock()
}

// dropRefill goes on without, since nothing is lacking.
func (p *partition) dropRefill() {
	if p.again.on {
		p.fills, p.again = nil, refill{}
	}
}

// settleRefill has what is lacking be filled, once it is known whether anything is: what was published since it was
// looked at may have dropped some of the backlog.
func (p *partition) settleRefill(began hub.Position, whole bool) {
	switch {
	case began.IsZero() || !p.started:
	case whole:
		p.dropRefill()
	default:
		p.beginRefill()
	}
}

// forGood reports that an error will be there again, however often it is asked.
func forGood(err error) bool {
	return refused(err) || errors.Is(err, errNoEvent) || errors.Is(err, errNotAnswer)
}

func (r *refill) add(f *fill) {
	r.events += f.events
	r.bytes += f.bytes
}

// endRefill says what came of it.
func (p *partition) endRefill() {
	if p.again.on && slices.ContainsFunc(p.fills, func(f *fill) bool { return f.into != nil }) {
		p.c.log.Info("has read what it missed, and goes on with the history that the engine keeps", "partition", p.index,
			"events", p.again.events, "bytes", p.again.bytes, "took", p.again.spent.Round(time.Millisecond))
	}
	p.again = refill{}
}
