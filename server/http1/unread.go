package http1

import "time"

const (
	// maxUnread is how much may wait for a peer that has more to ask; then nothing more
	// is served until it has read some of it.
	maxUnread = 64 << 10
	// maxBurst is the same for requests that arrived together.
	maxBurst = 256 << 10
	// lookFirst is when the connection is looked at again, and lookLast when it is that
	// was looked at often.
	lookFirst = 2 * time.Millisecond
	lookLast  = 100 * time.Millisecond
)

// chokes reports whether the peer does not read its answers, of which it may have so
// many bytes waiting. Then it is not read from, and is looked at again later. c.mu is
// held.
func (c *conn) chokes(most int) bool {
	if c.raw.Waiting() <= most {
		return false
	}
	wait := lookFirst
	if c.state == unread {
		wait = min(2*time.Since(c.since), lookLast)
	} else {
		c.enter(unread)
	}
	if !c.stopped {
		c.stopped = true
		c.raw.Pause()
	}
	time.AfterFunc(wait, c.look) // ends by itself when the connection is gone
	return true
}

// look serves what was kept once some of the answers have been read.
func (c *conn) look() {
	c.mu.Lock()
	if c.state != unread || c.chokes(maxUnread) {
		c.mu.Unlock()
		return
	}
	w := work{data: c.in, begun: time.Now()}
	w.held = c.adopt()
	c.enter(serving)
	c.mu.Unlock()
	c.serve(w, false) // on this timer's goroutine
}
