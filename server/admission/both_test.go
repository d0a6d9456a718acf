package admission

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// cluster is a backlog that says why.
type cluster struct {
	backlog
	why error
}

func (c *cluster) Why() error { return c.why }

// TestBoth: who publishes waits for both, is refused for either, and is told why.
func TestBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, others := new(backlog), new(cluster)
		g := New(Both(clients, others), time.Second)
		enter := func(want error, after time.Duration) {
			t.Helper()
			began := time.Now()
			err := g.Enter(t.Context())
			if !errors.Is(err, want) || (err == nil) != (want == nil) || time.Since(began) != after {
				t.Errorf("%v after %v, want %v after %v", err, time.Since(began), want, after)
			}
			if err == nil {
				g.Leave()
			}
		}
		enter(nil, 0)
		catchUp := clients.fallBehind()
		enter(ErrOverloaded, time.Second)
		othersCatchUp := others.fallBehind()
		time.AfterFunc(500*time.Millisecond, catchUp)
		enter(ErrOverloaded, time.Second)
		time.AfterFunc(500*time.Millisecond, othersCatchUp)
		enter(nil, 500*time.Millisecond)
		othersCatchUp = others.fallBehind()
		others.why = ErrAway
		enter(ErrAway, time.Second)
		if err := g.Try(); !errors.Is(err, ErrAway) || !errors.Is(err, ErrOverloaded) || err.Error() != ErrAway.Error() {
			t.Errorf("Try: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Pass(ctx); !errors.Is(err, ErrAway) {
			t.Errorf("Pass: %v", err)
		}
		othersCatchUp()
		others.why = nil
		if err := g.Try(); err != nil {
			t.Errorf("Try: %v", err)
		}
	})
}
