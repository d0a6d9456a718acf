package admission

// Both returns a backlog that has caught up when two have: that of who writes to clients, and
// that of who carries publications to other processes.
func Both(one, other Backlog) Backlog { return &both{one, other} }

type both struct{ one, other Backlog }

// CaughtUp implements [Backlog]. Who waits for one of them asks again behind it.
func (b *both) CaughtUp() <-chan struct{} {
	if wait := b.one.CaughtUp(); wait != nil {
		return wait
	}
	return b.other.CaughtUp()
}

// Late implements [Backlog].
func (b *both) Late() bool { return b.one.Late() || b.other.Late() }

// Why implements [Reason].
func (b *both) Why() error {
	for _, part := range [...]Backlog{b.one, b.other} {
		if r, ok := part.(Reason); ok {
			if err := r.Why(); err != nil {
				return err
			}
		}
	}
	return nil
}
