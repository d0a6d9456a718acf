package command

// A Turn is had by one at a time. Nobody waits for it: what is to be done in it is left
// behind for when it is free. Who has it may keep it beyond a goroutine's life, until an
// answer from elsewhere is there. The zero Turn is free. Its methods may be called from
// any goroutine.
type Turn struct{ steps Line }

// Try takes the turn if it is free, and reports whether it was. Pass is to follow.
func (t *Turn) Try() bool { return t.steps.at.CompareAndSwap(nil, asked) }

// Queue has step called with the turn taken, behind those that wait, on a goroutine
// that is for those who wait for this turn alone and ends with them. step, or what it
// sets going, is to Pass. What waits is bounded by who asks: leave one step behind and
// wait for it before the next.
func (t *Turn) Queue(step func()) {
	q := t.steps.lock(true, true)
	defer q.mu.Unlock()
	q.put(func() {
		t.steps.Begin()
		step()
	}, 0)
	t.steps.proceed(q, nobody{})
}

// Wait takes the turn when it is free. It blocks, so it is for goroutines that may.
func (t *Turn) Wait() {
	if t.Try() {
		return
	}
	mine := make(chan struct{})
	t.Queue(func() { close(mine) })
	<-mine
}

// Pass gives the turn up. It may be called with any lock held.
func (t *Turn) Pass() { t.steps.End(nobody{}) }

// nobody owns a turn's steps, which are ours and are never stopped.
type nobody struct{}

func (nobody) Full(int, int) bool { return false }
func (nobody) Pause() bool        { return true }
func (nobody) Resume()            {}
