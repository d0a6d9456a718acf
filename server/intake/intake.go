// Package intake reads what others publish in a Redis of theirs, for dialects whose senders speak
// through that: PUBLISH, which reaches whoever is subscribed at that moment. It knows no dialect, and
// nothing of what messages mean.
//
// # How
//
// A [Reader] has one connection, with all subscriptions on it, so that messages come in the order in
// which Redis has them. It connects anew for ever, with pauses that grow and are not the same for all
// processes, and asks a connection that is silent whether it is still there. What is published while it
// has no connection nobody has: that is counted as a gap.
//
// Reading ends where handing out does not keep up: a few megabytes wait here, then the socket is not
// read. Redis keeps what waits for a subscriber up to its client-output-buffer-limit and closes the
// connection past that, which is a gap as any other.
//
// # Several processes
//
// Each of them reads each message. Which one publishes it [presence.Once] decides.
//
// # Who owns what
//
// [Start] starts two goroutines, one that keeps the connection and one that hands out; rueidis has its
// own for the connection. [Reader.Stop] ends them.
package intake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"poosh/server/admission"
	"poosh/server/cluster"
	"poosh/server/hub"
	"poosh/server/presence"
	"poosh/server/seldom"
)

// An Address is where a Redis is, or several of a Redis Cluster, or Sentinels that know; the zero one is
// none. Its String has no secret.
type Address = cluster.Engine

// ParseAddress reads the URL of one, for a setting: redis://, rediss://, redis-sentinel:// or
// rediss-sentinel://, several addresses with commas between. A database counts for nothing: messages
// have none.
func ParseAddress(text string) (Address, error) { return cluster.ParseEngine(text) }

// A Message is what somebody published.
type Message struct {
	Pattern string // that it matched; empty for one of Channels
	Channel string
	Payload []byte // as it was sent; it may be kept, and must not be changed
}

// A Config says what is read, and what becomes of it. Zero fields mean what is said there.
type Config struct {
	// Name is that of the dialect, such as "emitter": for logs, metrics and the names of keys in a
	// cluster, where it must be the same on all nodes. Letters and digits.
	Name  string
	Redis Address

	Patterns []string // PSUBSCRIBE; see [EscapePattern]
	Channels []string // SUBSCRIBE

	// MaxMessage is the largest payload in bytes; a larger one is dropped. 1 MiB.
	MaxMessage int

	// Read makes publications of a message; with none the message is dropped, and reason, one of
	// Reasons, says why. Calls come one after the other, in the order in which Redis gave the
	// messages, on every node for every message: so it must come to the same on each of them, and
	// change nothing. It must not wait.
	Read    func(m Message) (list []*hub.Publication, reason string)
	Reasons []string

	// Hub is where publications go, and Gate is asked before that; nil for nobody.
	Hub  *hub.Hub
	Gate *admission.Gate
	// Handed is told what became of each publication that this process has sent, for the feed of sends
	// and counters, from any goroutine; nil for nobody. It must not wait.
	Handed func(p *hub.Publication, h hub.Handed)

	// Begin is closed once messages may be handed out; until then they wait, as behind whoever does not
	// keep up. nil for from the start on.
	Begin <-chan struct{}

	// Once decides who takes a message; nil in one process alone.
	Once presence.Once

	Log *slog.Logger

	ping, timeout time.Duration // for tests; 0 for the standard
}

const (
	defaultMaxMessage = 1 << 20
	// queueBytes is what may wait between the socket and who hands out.
	queueBytes = 4 << 20
)

// A Reader reads for one dialect. Make one with [Start]; its methods may be called from any
// goroutine.
type Reader struct {
	cfg      Config
	queue    queue
	count    counts
	dropping seldom.Word
	source   presence.Source // nil in one process alone

	over    context.Context // done when it is to end
	end     context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex // guards what follows
	connected bool
	since     time.Time // when connected changed
	err       error     // why there is no connection
}

// Start begins to read. It waits for no connection; an error says what is wrong with cfg.
func Start(cfg Config) (*Reader, error) {
	switch {
	case cfg.Redis.IsZero():
		return nil, errors.New("intake: no Redis")
	case len(cfg.Patterns)+len(cfg.Channels) == 0:
		return nil, errors.New("intake: nothing to read")
	case cfg.Name == "" || cfg.Read == nil || cfg.Hub == nil || cfg.Log == nil:
		return nil, fmt.Errorf("intake: %q is not whole", cfg.Name)
	}
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = defaultMaxMessage
	}
	cfg.ping, cfg.timeout = cmp.Or(cfg.ping, pingEvery), cmp.Or(cfg.timeout, timeout)
	r := &Reader{cfg: cfg, since: time.Now()}
	r.queue.init(queueBytes)
	r.count.init(cfg.Reasons)
	r.over, r.end = context.WithCancel(context.Background())
	if cfg.Once != nil {
		r.source = cfg.Once.Source(cfg.Name)
	}
	r.running.Go(r.keep)
	r.running.Go(r.hand)
	return r, nil
}

// Stop ends reading. What was read is handed out before it returns, as far as that is possible until
// ctx ends. It may be called once.
func (r *Reader) Stop(ctx context.Context) {
	r.queue.close()
	drained := make(chan struct{})
	go func() { // ends with the two goroutines, which r.end ends
		r.running.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-ctx.Done():
	}
	r.end()
	<-drained
	if r.source != nil {
		r.source.Stop(ctx)
	}
}

// EscapePattern returns the pattern that matches a text alone, wherever it stands in one.
func EscapePattern(text string) string {
	b := make([]byte, 0, len(text)+8)
	for i := range len(text) {
		switch text[i] {
		case '*', '?', '[', ']', '\\', '^', '-':
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return string(b)
}
