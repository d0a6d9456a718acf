package command

// A Turn is had by one at a time. Nobody waits for it: what is to be done in it is left
// behind for when it is free. Who has it may keep it beyond a goroutine's life, until an
// answer from elsewhere is there. The zero Turn is free. Its methods may be called from
// any goroutine.
type Turn struct{ steps Line[func()] }

// Try takes the turn if it is free, and reports whether it was. Pass is to follow.
func (t *Turn) Try() bool {
	l := &t.steps
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy.Load() {
		return false
	}
	l.begin()
	return true
}

// Queue has step called with the turn taken, behind those that wait, on a goroutine
// that is for those who wait for this turn alone and ends with them. step, or what it
// sets going, is to Pass. What waits is bounded by who asks: leave one step behind and
// wait for it before the next.
func (t *Turn) Queue(step func()) {
	l := &t.steps
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(step, 0)
	l.proceed((*steps)(t))
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
func (t *Turn) Pass() { t.steps.End((*steps)(t)) }

// steps makes a turn the owner of its line: each step is a command.
type steps Turn

func (t *steps) Handle(step func()) {
	t.steps.Begin()
	step()
}

func (t *steps) Pause() bool { return true }
func (t *steps) Resume()     {}
