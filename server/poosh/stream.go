package poosh

import (
	"encoding/json"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/closed"
	"poosh/server/eventsource"
	"poosh/server/hub"
	"poosh/server/latency"
	"poosh/server/standing"
)

// What a stream says of itself, beside what senders send.
const (
	// ConnectedEvent comes behind what the client missed, and says what became of that.
	ConnectedEvent = "poosh:connected"
	// ClosedEvent comes last, where the server ends a stream, and says why.
	ClosedEvent = "poosh:closed"
)

// streamTransport is what carries a stream, in metrics and to operators.
const streamTransport = "sse"

// A stream is a client of GET /events.
type stream struct {
	door   *streams          // set once, as what follows
	id     string            // as a session's: of a room of its own, and for who excepts it
	remote string            // its address
	from   netip.Addr        // its network
	opened time.Duration     // on the loop's clock
	conn   *eventsource.Conn // set before anybody else knows the stream

	why atomic.Uint32 // closed.Reason, of who ended it here first

	mu       sync.Mutex // guards what follows, and what the listener owns without a registry; taken before the hub's
	listener *listener
	gone     bool
}

var (
	_ session          = (*stream)(nil)
	_ hub.Marker       = (*stream)(nil)
	_ hub.Describer    = (*stream)(nil)
	_ hub.Misser       = (*stream)(nil)
	_ standing.Stander = (*stream)(nil)
)

// ID returns the id that the client is known by.
func (s *stream) ID() string { return s.id }

// RemoteAddr returns the client's address.
func (s *stream) RemoteAddr() string { return s.remote }

// Deliver queues a frame; see [hub.Receiver].
func (s *stream) Deliver(frame []byte) bool { return s.conn.Push(frame) }

// DeliverMarked queues a frame that carries a mark; see [hub.Marker].
func (s *stream) DeliverMarked(frame []byte, k *latency.Mark) bool {
	return s.conn.PushMarked(frame, k)
}

// Answer is Deliver: a client of a stream asks once.
func (s *stream) Answer(frame []byte) bool { return s.conn.Push(frame) }

// Fits reports whether so much can be delivered in one go; see [hub.Ask].
func (s *stream) Fits(frames, bytes int) bool { return s.conn.Fits(frames, bytes) }

// Guard calls f for the client; see [loop.Conn.Guard].
func (s *stream) Guard(f func()) { s.conn.Guard(f) }

// Close ends the stream in order, behind the word why. Only the first counts.
func (s *stream) Close(why closed.Reason, text string) { s.end(why, text) }

// end is Close, and reports whether it was this that ended it.
func (s *stream) end(why closed.Reason, text string) bool {
	if s.conn.Ending() || !s.why.CompareAndSwap(0, uint32(why)) {
		return false
	}
	s.conn.Close(streamEvent(ClosedEvent, "", struct {
		Reason string `json:"reason"`
	}{text}), why)
	return true
}

// enter seats a client that has waited until this process came to where it was. Before that it is
// nowhere: to everyone came what it has had elsewhere.
func (s *stream) enter(ask wish, rooms []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.listener = s.door.clients.enterStream(s, ask, rooms)
	}
}

// Leave implements [dialect.Leaver]: an EventSource connects anew by itself.
func (s *stream) Leave() { s.end(closed.Shutdown, closed.Shutdown.String()) }

// Missed implements [hub.Misser].
func (s *stream) Missed() { s.end(closed.Missed, closed.Missed.String()) }

// Closed implements [eventsource.Handler].
func (s *stream) Closed(err error) {
	s.mu.Lock()
	s.gone = true
	l := s.listener
	s.listener = nil
	s.mu.Unlock()
	if l != nil {
		s.door.clients.depart(l)
	}
	why := closed.Reason(s.why.Load())
	if why == closed.None {
		why = closed.ReasonOf(err)
	}
	s.door.ended(s, why)
}

// Describe says what kind of connection the client has; see [hub.Describer].
func (s *stream) Describe() (kind string, waits bool) { return streamTransport, false }

// Ending says why the stream takes nothing any more; see [hub.Describer].
func (s *stream) Ending() (why string, slow bool) {
	if why := closed.Reason(s.why.Load()); why != closed.None {
		return why.String(), false
	}
	err := s.conn.Why()
	if err == nil {
		return "", false
	}
	r := closed.ReasonOf(err)
	return r.String(), r == closed.Slow || r == closed.WriteTimeout
}

// Standing is what an operator is told of the client; see [standing.Stander].
func (s *stream) Standing() standing.Client {
	why, _ := s.Ending()
	return standing.Client{
		Transport: streamTransport, Remote: s.remote,
		Since: standing.Since(s.door.now() - s.opened), Waiting: s.conn.Waiting(), Ending: why,
	}
}

// connected is what the client is told behind what it missed. Its id is the client's position
// from here on, though nothing came.
func (s *stream) connected(w *wish, r hub.Recovery) []byte {
	said := struct {
		Session   string `json:"session"`
		Recovered *bool  `json:"recovered"` // null for who asked for nothing that was before
		Missed    int    `json:"missed"`
	}{Session: s.id, Missed: r.Missed}
	if w.missed {
		said.Recovered = &r.Whole
	}
	id := ""
	if !r.Head.IsZero() {
		id = r.Head.String()
	}
	frame := streamEvent(ConnectedEvent, id, said)
	if id == "" && w.missed { // of a server that had history
		frame = append(eventsource.Forget(), frame...)
	}
	return frame
}

// streamEvent is an event of our own.
func streamEvent(name, id string, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // it has texts and numbers
	}
	frame, _ := eventsource.Event(id, name, text)
	return frame
}
