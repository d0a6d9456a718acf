package pushsocket

import (
	"context"
	"sync"
	"time"
)

// A task is something that workers run, never twice at once. It is a field of what
// it works for; do and lost are set before the first wake.
type task struct {
	do func()
	// lost is told what do panicked with, while the stack is that of the panic: what the
	// task works for is lost then, and nothing else.
	lost func(panicked any)

	// Guarded by workers.mu.
	queued, running, again bool
}

// workers run tasks on a fixed number of goroutines. A task waits at most once, so
// the line is no longer than there are tasks.
type workers struct {
	mu     sync.Mutex // guards what follows, and the tasks' state
	line   []*task
	over   bool
	wakeup *sync.Cond
	ended  sync.WaitGroup
}

func newWorkers(n int) *workers {
	w := &workers{}
	w.wakeup = sync.NewCond(&w.mu)
	for range n {
		w.ended.Go(w.work) // ends with close
	}
	return w
}

// wake has a task run, once more if it is running now. It does not wait.
func (w *workers) wake(t *task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over || t.queued:
	case t.running:
		t.again = true
	default:
		w.put(t)
	}
}

// put appends a task to the line. w.mu is held.
func (w *workers) put(t *task) {
	t.queued = true
	w.line = append(w.line, t)
	w.wakeup.Signal()
}

func (w *workers) work() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.line) == 0 && !w.over {
			w.wakeup.Wait()
		}
		if len(w.line) == 0 {
			return
		}
		t := w.line[0]
		w.line[0] = nil
		if w.line = w.line[1:]; len(w.line) == 0 {
			w.line = nil
		}
		t.queued, t.running = false, true
		w.mu.Unlock()
		t.guard()
		w.mu.Lock()
		t.running = false
		if t.again {
			t.again = false
			if !w.over {
				w.put(t)
			}
		}
	}
}

// guard runs a task, and keeps a panic in it from the worker.
func (t *task) guard() {
	defer func() {
		if p := recover(); p != nil {
			t.lost(p)
		}
	}()
	t.do()
}

// close has the tasks that wait run and takes no more. It returns ctx's error when
// that ends before they did: the goroutines end with what they are stuck in.
func (w *workers) close(ctx context.Context) error {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.wakeup.Broadcast()
	all := make(chan struct{})
	go func() { // ends with the workers
		w.ended.Wait()
		close(all)
	}()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
	}
	// What waits for the store alone ends with ctx too: a moment lets it.
	select {
	case <-all:
		return nil
	case <-time.After(lastMoment):
		return ctx.Err()
	}
}

// lastMoment is what those who were cut off have to notice.
const lastMoment = 100 * time.Millisecond
