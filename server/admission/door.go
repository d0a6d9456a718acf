package admission

import (
	"context"
	"sync"
)

// A Door counts who is inside. Once it is closed nobody comes in any more, and whoever
// waits is told when all are out. The zero Door is open. Its methods may be called from
// any goroutine, and but for Wait they never block.
type Door struct {
	mu     sync.Mutex // guards what follows
	inside int
	closed bool
	empty  chan struct{} // made by Close; closed once nobody is inside
}

// Enter lets one in and reports true, until the door is closed. [Door.Leave] undoes it.
func (d *Door) Enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.inside++
	return true
}

// EnterUpTo is Enter where no more than most may be inside; full says that it is for
// those that nobody came in.
func (d *Door) EnterUpTo(most int) (in, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.inside >= most {
		return false, !d.closed
	}
	d.inside++
	return true, false
}

// Leave ends what Enter began.
func (d *Door) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.inside < 0 {
		panic("admission: more left than came in")
	}
	if d.closed && d.inside == 0 {
		close(d.empty)
	}
}

// Close lets nobody in any more. It reports false when somebody has closed the door
// before.
func (d *Door) Close() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.closed, d.empty = true, make(chan struct{})
	if d.inside == 0 {
		close(d.empty)
	}
	return true
}

// Wait returns when all are out of a closed door, or with ctx's error when that ends
// before.
func (d *Door) Wait(ctx context.Context) error {
	d.mu.Lock()
	empty := d.empty
	d.mu.Unlock()
	select {
	case <-empty:
		return nil
	default: // what is over counts for more than the time that is
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Closed reports whether nobody comes in any more.
func (d *Door) Closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// Inside returns how many are.
func (d *Door) Inside() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inside
}
