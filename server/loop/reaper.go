package loop

import "sync"

// reaper closes the sockets of ended connections and tells their protocols, away
// from the goroutines that read and write.
type reaper struct {
	loop  *Loop
	mu    sync.Mutex // guards what follows
	wake  *sync.Cond
	list  []*Conn
	idle  bool
	over  bool
	ended sync.WaitGroup
}

func (r *reaper) init(l *Loop) {
	r.loop = l
	r.wake = sync.NewCond(&r.mu)
	r.ended.Go(r.run) // ends with stop
}

// add takes over a dead connection that nobody reads or writes any more.
func (r *reaper) add(c *Conn) {
	r.mu.Lock()
	r.list = append(r.list, c)
	r.mu.Unlock()
	r.wake.Broadcast()
}

func (r *reaper) run() {
	var batch []*Conn
	for {
		r.mu.Lock()
		for len(r.list) == 0 && !r.over {
			r.idle = true
			r.wake.Broadcast()
			r.wake.Wait()
		}
		r.idle = false
		if len(r.list) == 0 {
			r.mu.Unlock()
			return
		}
		batch, r.list = r.list, batch[:0]
		r.mu.Unlock()
		for i, c := range batch {
			c.finalize()
			batch[i] = nil
		}
	}
}

// drain waits until no connection is left.
func (r *reaper) drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.loop.conns.Load() > 0 || len(r.list) > 0 || !r.idle {
		r.wake.Wait()
	}
}

func (r *reaper) stop() {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.wake.Broadcast()
	r.ended.Wait()
}
