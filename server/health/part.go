package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A part is something that must work. Its ready is never called while a call of it has
// not returned.
type part struct {
	name  string                      // set once, with what follows
	ready func(context.Context) error // a *Fault, or an error for the log alone
	where func() *Fault               // says more of a call that does not return; nil for nothing
	own   bool                        // of the process, which a restart would mend

	mu    sync.Mutex // guards since
	since time.Time  // of the call that has not returned; zero without one
}

// look asks the part, and returns what is wrong, or nil. all counts the calls.
func (p *part) look(ctx context.Context, all *sync.WaitGroup) *Fault {
	p.mu.Lock()
	since := p.since
	if since.IsZero() {
		p.since = time.Now()
	}
	p.mu.Unlock()
	if !since.IsZero() {
		return p.stuck(time.Since(since))
	}
	answer := make(chan error, 1)
	all.Go(func() { // ends with the call, which ends with ctx unless it is stuck
		err := p.ready(ctx)
		p.mu.Lock()
		p.since = time.Time{}
		p.mu.Unlock()
		answer <- err
	})
	var err error
	select {
	case err = <-answer:
	case <-ctx.Done():
		// What goes by ctx says in a moment more than that it is late.
		select {
		case err = <-answer:
		case <-time.After(lastMoment):
			return p.stuck(Patience)
		}
	}
	if err == nil {
		return nil
	}
	f := &Fault{Why: "is not available"}
	if own := (*Fault)(nil); errors.As(err, &own) {
		*f = *own
	} else {
		f.err = err
	}
	if f.Part == "" {
		f.Part = p.name
	}
	return f
}

const lastMoment = 100 * time.Millisecond

// stuck is what is wrong with a part that does not answer.
func (p *part) stuck(since time.Duration) *Fault {
	f := &Fault{Part: p.name, Why: "does not answer"}
	if p.where != nil {
		f = p.where()
	}
	f.err = fmt.Errorf("stuck for %v", since.Round(time.Millisecond))
	return f
}
