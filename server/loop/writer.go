package loop

import "time"

// A writer writes what waits on many connections, on the goroutine that owns it: a
// shard's flusher, or its reader.
type writer struct {
	batch   []*Conn    // is written to now
	empty   [][][]byte // outboxes that are
	scratch []byte     // what small buffers are put together in
}

func newWriter() *writer { return &writer{scratch: make([]byte, 0, scratchSize)} }

// take makes what is pending on a shard the writer's batch. s.mu is held.
func (w *writer) take(s *shard) {
	w.batch, s.pending = s.pending, w.batch[:0]
	s.called, s.before = false, 0
	s.some.Store(false)
}

// write writes to all of the batch, connections of s, and returns how many had something.
func (w *writer) write(s *shard) (n uint64) {
	sent := 0
	for i, c := range w.batch {
		w.batch[i] = nil
		buffers := c.take()
		if buffers == nil {
			continue
		}
		n++
		done := writeAll(int(c.fd), buffers, w.scratch)
		sent += done.bytes
		c.wrote(done)
		if done.rest == nil {
			clear(buffers)
			w.empty = append(w.empty, buffers[:0])
		}
	}
	w.batch = w.batch[:0]
	s.sentBytes.Add(uint64(sent))
	s.loop.caughtUp()
	s.keep(w.empty)
	clear(w.empty)
	w.empty = w.empty[:0]
	return n
}

// help writes what is pending on any shard of l, but for what the flusher was called for
// and is not late with.
func (w *writer) help(l *Loop) {
	for _, s := range l.shards {
		if !s.some.Load() {
			continue
		}
		s.mu.Lock()
		if s.called && time.Since(s.since) < late {
			s.mu.Unlock()
			continue
		}
		w.take(s)
		s.mu.Unlock()
		s.byReaders.Add(w.write(s))
	}
}
