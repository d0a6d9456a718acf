package socktopus

import (
	"time"

	"poosh/auth"
	"poosh/server/loop"
)

// A bar keeps an id out after /kick: everyone while the kick waits for the token
// that its connection joined with, and after that whoever comes with a token made
// before the kick, for as long as such a token lives. There is at most one for an
// id, and none for longer than two lives of a token.
//
// Tokens are compared by the time of the clock on the wall, which is what they hold.
// How long a bar stands is measured by the monotonic clock: a wall clock that is set
// back must not keep anybody out for as long as it was set back.
//
// The original waited too, but let anyone join meanwhile, to end that one as well,
// and did not know of tokens that no connection had used yet.
type bar struct {
	dialect *Dialect
	app     *app
	id      string
	timer   loop.Timer

	// Guarded by app.mu.
	before  int64         // tokens of this time and older are refused; milliseconds on the wall
	ends    time.Time     // when no token of before is alive; monotonic
	waiting bool          // the connection is still there
	until   time.Time     // when waiting ends; monotonic
	over    chan struct{} // closed when waiting ends
}

// bar begins to kick the ids that are connected. What it returns is closed, one
// for each, when the connections have been ended.
func (d *Dialect) bar(a *app, ids []string) []<-chan struct{} {
	var waits []<-chan struct{}
	for _, id := range ids {
		if over := d.barOne(a, id); over != nil {
			waits = append(waits, over)
		}
	}
	return waits
}

func (d *Dialect) barOne(a *app, id string) <-chan struct{} {
	now := time.Now()
	a.mu.Lock()
	c := a.clients[id]
	d.missed.Add(uint64(len(a.away.returns(id)))) // nobody gets what was kept for who is sent away
	if c == nil {
		a.mu.Unlock()
		return nil
	}
	b := a.bars[id]
	if b == nil {
		b = &bar{dialect: d, app: a, id: id}
		b.timer.Fire = func() { b.fire(false) }
		a.bars[id] = b
	}
	b.before, b.ends = d.wall().UnixMilli(), now.Add(auth.SocktopusLife)
	if !b.waiting {
		b.waiting, b.over = true, make(chan struct{})
	}
	over := b.over
	b.until = c.until
	wait := b.until.Sub(now)
	a.mu.Unlock()
	if wait < 0 || d.open.Closed() {
		b.fire(true)
		return over
	}
	d.loop.Schedule(&b.timer, wait)
	return over
}

// fire ends the wait, or the bar once no token made before the kick is alive. now
// ends the wait whatever the token.
func (b *bar) fire(now bool) {
	d, a := b.dialect, b.app
	at := time.Now()
	a.mu.Lock()
	var kicked *client
	switch {
	case b.waiting && !now && at.Before(b.until): // a timer may be a little early
		rest := b.until.Sub(at)
		a.mu.Unlock()
		d.loop.Schedule(&b.timer, rest)
		return
	case b.waiting:
		kicked = a.clients[b.id]
		b.waiting = false
		defer close(b.over)
	case now:
		a.mu.Unlock()
		return
	}
	rest := b.ends.Sub(at)
	if rest <= 0 && a.bars[b.id] == b {
		delete(a.bars, b.id)
	}
	a.mu.Unlock()
	if kicked != nil {
		kicked.end(endKicked)
	}
	if rest > 0 {
		d.loop.Schedule(&b.timer, rest)
	}
}

// barred reports whether a token of that time may not join as id.
func (a *app) barred(id string, made int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.isBarred(id, made)
}

// isBarred is barred with app.mu held.
func (a *app) isBarred(id string, made int64) bool {
	b := a.bars[id]
	return b != nil && (b.waiting || made <= b.before)
}

// allBars returns the bars of this moment.
func (a *app) allBars() []*bar {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*bar, 0, len(a.bars))
	for _, b := range a.bars {
		list = append(list, b)
	}
	return list
}
