package passing

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/loop"
)

// A link is one end of a connection over which requests and answers go.
type link struct {
	node *Node
	name string // of the other node, for the log

	heard atomic.Int64  // the loop's time at which something came last
	came  atomic.Uint64 // frames

	unsealer        // owned by the connection's reader, as what follows
	early    []byte // what came before it

	mu   sync.Mutex // guards what follows, and what says so in what a link is part of
	conn *loop.Conn // nil before it is there
	seal *seal      // of what is sent
	dead bool
}

// linkOutbox is what may wait in one, past which it ends: what is refused before is
// [Options].QueueBytes, and answers are bounded by those who ask.
const linkOutbox = 256 << 20

// RemoteAddr implements [loop.Protocol].
func (l *link) RemoteAddr() string { return "node " + l.name }

// send seals a frame, the next one, and has it written; it reports false when the link ends. l.mu is held.
func (l *link) send(frame []byte) bool {
	return !l.dead && l.conn != nil && l.conn.Push(l.seal.pieces(frame))
}

func (l *link) abort(why loop.Reason) {
	l.mu.Lock()
	c := l.conn
	l.mu.Unlock()
	if c != nil {
		c.Abort(why)
	}
}

// take feeds what came, and ends the link where that is wrong.
func (l *link) take(c *loop.Conn, data []byte, handle func(kind byte, id uint64, rest []byte) bool) {
	if len(data) == 0 {
		if data, l.early = l.early, nil; len(data) == 0 {
			return
		}
	}
	l.heard.Store(int64(l.node.opt.Sockets.Now()))
	if !l.feed(data, handle) {
		l.node.count.refused.Add(refusedFrame, 1)
		l.node.warn("frame "+l.name, "what came from another node was not what it sent: the connection to it is closed", "node", l.name)
		c.Abort(loop.ErrReset)
	}
}

// silent reports whether nothing came for so long.
func (l *link) silent(now, long time.Duration) bool {
	return now-time.Duration(l.heard.Load()) > long
}

// number gives a frame the number of its request.
func number(frame []byte, id uint64) { binary.BigEndian.PutUint64(frame[lengthSize+1:], id) }

// ping is a frame that asks for a sign of life, and says how many frames came.
func ping(came uint64) []byte { return newFrame(framePing, came, 0) }
