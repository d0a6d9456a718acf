package http1

import (
	"runtime"
	"sync"
)

// A writer writes answers that were pending, many in a row on few goroutines: a
// broadcast to those who poll would start a goroutine for each. It never waits for
// a socket: what does not fit into one is written by a goroutine of its own.
type writer struct {
	mu    sync.Mutex // guards what follows
	wake  *sync.Cond
	queue []*Pending // answers that are given
	over  bool
	ended sync.WaitGroup
}

// batch is how many answers a goroutine takes at a time: few, so that the others
// get some.
const batch = 32

// start starts the goroutines, which end with stop. As many processors are left to
// those who publish.
func (w *writer) start() {
	w.wake = sync.NewCond(&w.mu)
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		w.ended.Go(w.run)
	}
}

func (w *writer) stop() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.wake.Broadcast()
	w.ended.Wait()
}

// add takes an answer. It never blocks.
func (w *writer) add(p *Pending) {
	w.mu.Lock()
	w.queue = append(w.queue, p)
	w.mu.Unlock()
	w.wake.Signal()
}

func (w *writer) run() {
	var mine [batch]*Pending
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 && !w.over {
			w.wake.Wait()
		}
		n := copy(mine[:], w.queue)
		if n == 0 {
			return
		}
		if n == len(w.queue) {
			clear(w.queue)
			w.queue = w.queue[:0]
		} else {
			clear(w.queue[:n])
			w.queue = w.queue[n:]
		}
		w.mu.Unlock()
		for i, p := range mine[:n] {
			mine[i] = nil
			if left := p.c.attempt(p.text); len(left) > 0 {
				go p.c.write(left, p.last, p) // ends with the write, which expire bounds
			} else {
				p.c.written(p.last, p, nil)
			}
		}
		w.mu.Lock()
	}
}
