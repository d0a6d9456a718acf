package history

import (
	"time"

	"poosh/server/hub"
)

// A Filling is a log of an app that is made aside, of what another process has kept. One goroutine at a
// time may use it.
type Filling struct{ to, aside *app }

// Fill begins to fill the log of an app with what was published behind a position: of what was before, it
// knows nothing. Nothing of the log changes until [Filling.Done].
func (l *Log) Fill(name string, behind hub.Position) *Filling {
	to := l.apps[name]
	aside := &app{cfg: to.cfg, name: name, rooms: make(map[string]*room)}
	aside.begin(hub.Position{Epoch: behind.Epoch, Number: behind.Number + 1})
	return &Filling{to, aside}
}

// Enter enters a publication, within the bounds of the app. What is not behind the last one is not entered.
func (f *Filling) Enter(p *hub.Publication, at hub.Position, entered time.Time) {
	a := f.aside
	if at.Epoch != a.epoch || at.Number <= a.head {
		return
	}
	e := newEntry(p)
	if entered.Before(e.Entered) {
		e.Entered = entered
	}
	a.head = at.Number - 1
	a.enter(e)
}

// Done has the log be what was entered, and all that was published up to a position of its epoch have
// been there. What it was before is gone. A log that is forgotten meanwhile stays so. Whoever is there by then was not handed what the log did not have,
// see [Log.Filled].
func (f *Filling) Done(at hub.Position) {
	a := f.to
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over.Load() {
		return // what is published by now passes it by
	}
	early := a.early // what was cut for its bounds was another's
	before := hub.Position{Epoch: a.epoch, Number: a.head}
	a.takeOver(f.aside)
	a.early = early
	if at.Epoch == a.epoch {
		a.head = max(a.head, at.Number)
	}
	a.jumped(before)
}

// jumped notes that nothing behind a position was handed out by this process, up to where the log is now. mu is held.
func (a *app) jumped(before hub.Position) {
	if before.Epoch != a.epoch {
		before = hub.Position{Epoch: a.epoch}
	}
	if a.filled = [2]hub.Position{}; before.Number < a.head {
		a.filled = [2]hub.Position{before, {Epoch: a.epoch, Number: a.head}}
	}
}

// Filled implements [hub.Log].
func (l *Log) Filled(name string) (behind, upTo hub.Position) {
	a := l.apps[name]
	return a.filled[0], a.filled[1]
}

// Bounds is how much of an app is kept, and for how long; nothing once it was forgotten. It never waits.
func (l *Log) Bounds(name string) (bytes int64, age time.Duration) {
	a := l.apps[name]
	if a.over.Load() {
		return 0, 0
	}
	return a.cfg.Bytes, a.cfg.Age
}
