package admission

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Door
		for range 2 {
			if !d.Enter() {
				t.Fatal("a new door is not open")
			}
		}
		if d.Closed() || d.Inside() != 2 {
			t.Fatal("an open door with two inside")
		}
		if first := d.Close(); !first || !d.Closed() || d.Enter() || d.Inside() != 2 {
			t.Fatal("a closed door")
		}
		if again := d.Close(); again {
			t.Error("a door is closed twice")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with two inside: %v", err)
		}
		waits := make(chan error, 2)
		for range 2 {
			go func() { waits <- d.Wait(t.Context()) }()
		}
		d.Leave()
		synctest.Wait()
		if len(waits) != 0 {
			t.Error("told with one inside")
		}
		d.Leave()
		for range 2 {
			if err := <-waits; err != nil {
				t.Error(err)
			}
		}
		if err := d.Wait(short); err != nil {
			t.Errorf("out, and late: %v", err)
		}
	})
}

func TestEmptyDoor(t *testing.T) {
	var d Door
	d.Close()
	if err := d.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("more left than came in")
		}
	}()
	d.Leave()
}

// Whoever is let in is waited for, however close the end.
func TestDoorAndManyAtOnce(t *testing.T) {
	for range 200 {
		var d Door
		var inside sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			inside.Go(func() {
				for d.Enter() {
					select {
					case <-done:
						t.Error("inside after the wait was over")
					default:
					}
					d.Leave()
				}
			})
		}
		d.Close()
		if err := d.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		close(done)
		inside.Wait()
	}
}
