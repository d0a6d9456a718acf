package metric

import "sync/atomic"

// Traffic counts what comes and goes for one application. The zero Traffic is ready; its
// methods may be called from any goroutine and never block.
//
// What clients count and what senders count stand on cache lines of their own: they come
// on different processors.
type Traffic struct {
	received, receivedBytes             atomic.Uint64
	_                                   [48]byte
	published                           atomic.Uint64
	delivered, deliveredBytes           atomic.Uint64
	requests, requestBytes, answerBytes atomic.Uint64
}

// Received counts a message of a client.
func (t *Traffic) Received(bytes int) {
	t.received.Add(1)
	t.receivedBytes.Add(uint64(bytes))
}

// Published counts an event, and to how many clients its data was handed.
func (t *Traffic) Published(bytes, clients int) {
	t.published.Add(1)
	t.delivered.Add(uint64(clients))
	t.deliveredBytes.Add(uint64(bytes) * uint64(clients))
}

// Delivered counts a copy for so many clients of an event that was counted before, or in another
// process: [Traffic.Published] with none says that it was.
func (t *Traffic) Delivered(bytes, clients int) {
	t.delivered.Add(uint64(clients))
	t.deliveredBytes.Add(uint64(bytes) * uint64(clients))
}

// Requested counts a request of a sender, by the bytes of its body.
func (t *Traffic) Requested(bytes int) {
	t.requests.Add(1)
	t.requestBytes.Add(uint64(max(0, bytes)))
}

// Answered counts what a sender was answered, by the bytes of the body, where somebody else
// cannot know whose answers are.
func (t *Traffic) Answered(bytes int) { t.answerBytes.Add(uint64(bytes)) }

// Totals are what has been counted so far.
type Totals struct {
	Received, ReceivedBytes             uint64 // messages of clients
	Published                           uint64 // events that senders and clients sent
	Delivered, DeliveredBytes           uint64 // copies of them that were handed to clients
	Requests, RequestBytes, AnswerBytes uint64 // of senders, over HTTP
}

// Totals returns the counts so far.
func (t *Traffic) Totals() Totals {
	return Totals{
		t.received.Load(), t.receivedBytes.Load(),
		t.published.Load(),
		t.delivered.Load(), t.deliveredBytes.Load(),
		t.requests.Load(), t.requestBytes.Load(), t.answerBytes.Load(),
	}
}

// A Backlog is what waits for somebody.
type Backlog struct{ Count, Bytes int }
