package intake

import "sync"

// A queue is what was read and is not handed out yet. Who puts waits while it is full.
type queue struct {
	most int           // bytes; set once
	done chan struct{} // set once; closed at the end

	mu      sync.Mutex // guards what follows
	moved   *sync.Cond // of mu
	list    []Message
	bytes   int
	blocked bool // who puts waits
	over    bool // nothing more is put
}

// weight is what a message counts for.
func (m *Message) weight() int { return len(m.Pattern) + len(m.Channel) + len(m.Payload) + 96 }

func (q *queue) init(most int) {
	q.most, q.done = most, make(chan struct{})
	q.moved = sync.NewCond(&q.mu)
}

// put waits for room. It returns false at the end.
func (q *queue) put(m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > 0 && q.bytes+m.weight() > q.most && !q.over {
		q.blocked = true
		q.moved.Wait()
	}
	q.blocked = false
	if q.over {
		return false
	}
	q.list = append(q.list, m)
	q.bytes += m.weight()
	q.moved.Broadcast()
	return true
}

// take waits for a message. It returns false once there is none, and nothing more is put.
func (q *queue) take() (m Message, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.over {
		q.moved.Wait()
	}
	if len(q.list) == 0 {
		return m, false
	}
	m = q.list[0]
	q.list[0] = Message{}
	if q.list = q.list[1:]; len(q.list) == 0 {
		q.list = nil // which a flood has made large
	}
	q.bytes -= m.weight()
	q.moved.Broadcast()
	return m, true
}

// waits reports that who puts does.
func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.blocked
}

// size is what waits, in bytes.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.over {
		q.over = true
		close(q.done)
	}
	q.moved.Broadcast()
}

// closed is closed once nothing more is put.
func (q *queue) closed() <-chan struct{} { return q.done }
