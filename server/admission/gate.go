// Package admission is the one door that publications of all dialects come
// through: it holds senders back while the server does not keep up, refuses them
// when that goes on, and lets nobody in any more once the server ends.
package admission

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// Why a publication is not admitted. Both are answered with 503 and Retry-After, or
// with what the dialect's protocol has for it.
var (
	// ErrOverloaded says that outboxes fill up faster than they are written.
	ErrOverloaded = errors.New("server is overloaded, try again")
	// ErrClosed says that the server is shutting down.
	ErrClosed = errors.New("server is shutting down")
)

// ErrAway says that the other nodes of a cluster cannot be reached. It is an [ErrOverloaded] with
// words of its own: who does not know it treats it so.
var ErrAway error = away{}

type away struct{}

func (away) Error() string        { return "the other nodes of the cluster cannot be reached, try again" }
func (away) Is(target error) bool { return target == ErrOverloaded }

// RetryAfter is the value of the header Retry-After, in seconds, for a sender that
// was refused.
const RetryAfter = "1"

// Patience is how long a sender waits for the server to catch up.
const Patience = 2 * time.Second

// A Backlog says whether those who write keep up with those who publish.
type Backlog interface {
	// CaughtUp returns nil while publications may come in, or else a channel that is
	// closed when it is worth asking again. It is quick and never blocks.
	CaughtUp() <-chan struct{}
	// Late reports whether who cannot wait is refused: the server itself does not keep up.
	// It is not so while a moment is given to clients. It is quick and never blocks.
	Late() bool
}

// A Reason is a [Backlog] that says why it holds senders up: with an error that is an
// [ErrOverloaded], such as [ErrAway]; nil where that needs no other words.
type Reason interface{ Why() error }

// A Gate admits publications. Make one with [New]. Its methods may be called from
// any goroutine. A nil Gate is always open.
type Gate struct {
	backlog  Backlog       // set once
	patience time.Duration // set once
	most     int           // set once; of inside
	closing  chan struct{} // closed by Close
	door     Door          // those inside; its own lock comes after mu

	mu      sync.Mutex    // guards what follows, and that no more than most come in
	left    chan struct{} // closed when somebody leaves; nil while nobody waits for that
	refused uint64
}

// New returns an open gate in front of what backlog tells of. A patience of zero
// means [Patience]. As many may be inside at once as there are processors: more would
// all have asked before any of them had filled an outbox.
func New(backlog Backlog, patience time.Duration) *Gate {
	if patience == 0 {
		patience = Patience
	}
	return &Gate{backlog: backlog, patience: patience, most: max(2, runtime.GOMAXPROCS(0)),
		closing: make(chan struct{})}
}

// Enter waits until a publication may come in, at most the gate's patience or
// until ctx ends, which is [ErrOverloaded] too. When it returns nil, [Gate.Leave]
// must be called once the publication is with the hub and answered.
//
// It blocks, so the goroutines that read for many connections call [Gate.Try].
func (g *Gate) Enter(ctx context.Context) error {
	if g == nil {
		return nil
	}
	var late <-chan time.Time
	for {
		caughtUp, err := g.try()
		if caughtUp == nil {
			return err
		}
		if late == nil {
			t := time.NewTimer(g.patience)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-caughtUp:
		case <-g.closing:
		case <-late:
			return g.refuse()
		case <-ctx.Done():
			return g.refuse()
		}
	}
}

// EnterOr is [Gate.Enter] for those who may be where nobody may wait: before it waits
// it asks aside, and returns true at once, with nothing counted, when that does.
func (g *Gate) EnterOr(ctx context.Context, aside func() bool) (elsewhere bool, err error) {
	if g == nil {
		return false, nil
	}
	caughtUp, err := g.try()
	switch {
	case caughtUp == nil:
		return false, err
	case aside():
		return true, nil
	}
	return false, g.Enter(ctx)
}

// Try is [Gate.Enter] for those who must not wait. They are not refused while senders wait for
// clients and not for the server.
func (g *Gate) Try() error {
	if g == nil {
		return nil
	}
	if g.backlog.Late() && !g.door.Closed() {
		return g.refuse()
	}
	left, err := g.enter()
	if left != nil {
		return g.refuse()
	}
	return err
}

// try lets one in, or returns what to wait for.
func (g *Gate) try() (<-chan struct{}, error) {
	if caughtUp := g.backlog.CaughtUp(); caughtUp != nil && !g.door.Closed() {
		return caughtUp, nil
	}
	return g.enter()
}

// enter lets one in that the backlog does not hold up, or returns what to wait for.
func (g *Gate) enter() (<-chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	in, full := g.door.EnterUpTo(g.most)
	switch {
	case in:
		return nil, nil
	case full:
		if g.left == nil {
			g.left = make(chan struct{})
		}
		return g.left, nil
	}
	g.refused++
	return nil, ErrClosed
}

func (g *Gate) refuse() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused++
	return g.why()
}

// why is the error for who has waited in vain.
func (g *Gate) why() error {
	if r, ok := g.backlog.(Reason); ok {
		if err := r.Why(); err != nil {
			return err
		}
	}
	return ErrOverloaded
}

// Pass is for who wants to know whether senders are let in: it comes in and leaves
// again, or, where it would have to wait, sees that those inside leave. Nothing is
// counted. When ctx ends first it is [ErrOverloaded].
func (g *Gate) Pass(ctx context.Context) error {
	caughtUp, err := g.try()
	switch {
	case caughtUp == nil && err == nil:
		g.Leave()
		return nil
	case caughtUp == nil:
		return err
	}
	select {
	case <-caughtUp:
		return nil
	case <-g.closing:
		return ErrClosed
	case <-ctx.Done():
		return g.why()
	}
}

// Pause is for who was let in and has more to publish than an outbox may hold: it waits
// until the server has caught up with what is published already, at most until ctx
// ends, which is [ErrOverloaded]. A place is kept, and none is needed. A gate that closes
// holds up nobody who was let in.
func (g *Gate) Pause(ctx context.Context) error {
	if g == nil {
		return nil
	}
	for {
		caughtUp := g.backlog.CaughtUp()
		if caughtUp == nil {
			return nil
		}
		select {
		case <-caughtUp:
		case <-g.closing:
			return nil
		case <-ctx.Done():
			return g.why()
		}
	}
}

// Leave ends what Enter or Try began.
func (g *Gate) Leave() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.door.Leave()
	if g.left != nil {
		close(g.left)
		g.left = nil
	}
}

// Close lets nobody in any more and waits until all are out, or until ctx ends: it
// returns ctx's error then. Only the first call may be made.
func (g *Gate) Close(ctx context.Context) error {
	g.door.Close()
	close(g.closing)
	return g.door.Wait(ctx)
}

// Wait waits behind [Gate.Close], which may have given up, until all are out, or until ctx
// ends: it returns ctx's error then. While the gate is open nothing else ends it.
func (g *Gate) Wait(ctx context.Context) error { return g.door.Wait(ctx) }

// Refused returns how many publications were not admitted.
func (g *Gate) Refused() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}
