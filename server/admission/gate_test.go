package admission

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// backlog is behind while it holds a channel, and late then unless it waits for clients.
type backlog struct {
	behind  atomic.Pointer[chan struct{}]
	clients atomic.Bool
}

func (b *backlog) Late() bool { return b.behind.Load() != nil && !b.clients.Load() }

func (b *backlog) CaughtUp() <-chan struct{} {
	if c := b.behind.Load(); c != nil {
		return *c
	}
	return nil
}

func (b *backlog) fallBehind() (catchUp func()) {
	c := make(chan struct{})
	b.behind.Store(&c)
	return func() {
		b.behind.Store(nil)
		close(c)
	}
}

func TestEnterWaitsForASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(backlog)
		g := New(b, 0)
		catchUp := b.fallBehind()
		if err := g.Try(); !errors.Is(err, ErrOverloaded) {
			t.Fatalf("Try: %v", err)
		}
		time.AfterFunc(time.Second, catchUp)
		began := time.Now()
		if err := g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Fatalf("waited %v", waited)
		}
		g.Leave()
		if err := g.Try(); err != nil {
			t.Fatal(err)
		}
		g.Leave()
	})
}

// Who cannot wait is not refused for clients to whom a moment is given.
func TestTryWhileClientsAreWaitedFor(t *testing.T) {
	b := new(backlog)
	g := New(b, time.Millisecond)
	b.fallBehind()
	b.clients.Store(true)
	if err := g.Try(); err != nil {
		t.Errorf("Try: %v", err)
	}
	g.Leave()
	if err := g.Enter(t.Context()); !errors.Is(err, ErrOverloaded) {
		t.Errorf("Enter: %v", err)
	}
	_ = g.Close(t.Context())
	if err := g.Try(); !errors.Is(err, ErrClosed) {
		t.Errorf("Try at the end: %v", err)
	}
}

func TestEnterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(backlog)
		g := New(b, 0)
		b.fallBehind()
		began := time.Now()
		if err := g.Enter(t.Context()); !errors.Is(err, ErrOverloaded) || time.Since(began) != Patience {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if err := g.Enter(ctx); !errors.Is(err, ErrOverloaded) || time.Since(began) != time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if n := g.Refused(); n != 2 {
			t.Fatalf("refused %d", n)
		}
	})
}

func TestCloseWaitsForThoseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(new(backlog), 0)
		if err := g.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, g.Leave)
		began := time.Now()
		if err := g.Close(t.Context()); err != nil || time.Since(began) != time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if err := g.Enter(t.Context()); !errors.Is(err, ErrClosed) {
			t.Fatalf("after Close: %v", err)
		}
	})
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(new(backlog), 0)
		if err := g.Try(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err := g.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("with one inside: %v", err)
		}
		time.AfterFunc(time.Second, g.Leave)
		if err := g.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := g.Wait(ctx); err != nil { // all are out, whatever the time is
			t.Fatal(err)
		}
	})
}

func TestFewAreInsideAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(new(backlog), 0)
		for range g.most {
			if err := g.Try(); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Try(); !errors.Is(err, ErrOverloaded) {
			t.Fatalf("one too many: %v", err)
		}
		time.AfterFunc(time.Second, g.Leave)
		began := time.Now()
		if err := g.Enter(t.Context()); err != nil || time.Since(began) != time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		for range g.most {
			g.Leave()
		}
	})
}

func TestCloseSendsAwayThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(backlog)
		g := New(b, 0)
		b.fallBehind()
		refused := make(chan error)
		go func() { refused <- g.Enter(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-refused; !errors.Is(err, ErrClosed) || time.Since(began) != 0 {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
	})
}

func TestEnterOr(t *testing.T) {
	b := new(backlog)
	g := New(b, time.Millisecond)
	never := func() bool { t.Error("asked"); return false }
	if elsewhere, err := g.EnterOr(t.Context(), never); elsewhere || err != nil {
		t.Fatalf("open: %v, %v", elsewhere, err)
	}
	g.Leave()
	b.fallBehind()
	if elsewhere, err := g.EnterOr(t.Context(), func() bool { return true }); !elsewhere || err != nil {
		t.Fatalf("aside: %v, %v", elsewhere, err)
	}
	if elsewhere, err := g.EnterOr(t.Context(), func() bool { return false }); elsewhere || !errors.Is(err, ErrOverloaded) {
		t.Fatalf("here: %v, %v", elsewhere, err)
	}
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(backlog)
		g := New(b, 0)
		for range g.most { // all places are taken
			if err := g.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, b.fallBehind())
		began := time.Now()
		if err := g.Pause(t.Context()); err != nil || time.Since(began) != time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		b.fallBehind()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Pause(ctx); !errors.Is(err, ErrOverloaded) {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { _ = g.Close(ctx) })
		if err := g.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
