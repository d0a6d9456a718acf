package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/hub"
)

// A link is a partition's use of a connection, see [line], for all that is said about that: so it is known
// which process of the engine answers, and that what was told before was told by the same one.
//
// Why not one client for commands, and Receive for messages: both find another connection by
// themselves when one ends, and hide that something may have been missed, or said to a
// replica that knows less.
type link struct {
	p          *partition
	generation uint64 // counts links of the partition
	line       *line
	process    string // of the engine
	opened     uint64 // epoch of the log as it was opened; set before the link is used

	heard atomic.Int64 // when the last fence came, in nanoseconds since the start of the link
	began time.Time

	failed   chan struct{} // closed when the link is of no use any more
	failOnce sync.Once
	reason   error // set before failed is closed

	mu      sync.Mutex // guards what follows; taken by who reads the connection
	held    []string   // what came while it was opened; nil once that is over
	holding bool
	fenced  chan struct{} // closed when the fence that ends the opening has come
	epoch   uint64        // of the log as it was opened; then the writer's
}

func newLink(p *partition, generation uint64) *link {
	return &link{p: p, generation: generation, began: time.Now(), holding: true, failed: make(chan struct{}), fenced: make(chan struct{})}
}

func (l *link) fail(why error) {
	l.failOnce.Do(func() {
		l.reason = why
		close(l.failed)
	})
}

func (l *link) why() error { return l.reason }

// heardSince reports that a fence has come since a time of the link. It may have to be handled yet.
func (l *link) heardSince(asked time.Duration) bool { return time.Duration(l.heard.Load()) >= asked }

// silent reports that one that was asked for, and that the engine says it sent, has not come for
// so long. That nobody asked says nothing.
func (l *link) silent(asked, patience time.Duration) bool {
	return !l.heardSince(asked) && time.Since(l.began)-asked > patience
}

// context bounds one command.
func (l *link) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.p.c.over, l.p.c.cfg.Timeout)
}

// open makes the connection, fills the logs of a node that starts or lacks too much, subscribes to all that is wanted, and finds
// what was missed.
// What comes meanwhile is held back, and behind that.
func (l *link) open() error {
	// What the last link brought is to be handed out first: only then it is known how far. A partition
	// that takes its time keeps no other one from its line.
	if !l.waitUntil(l.p.inbox.idle) {
		return errors.New("what came before is not handed out yet")
	}
	l.line = l.p.c.line(l)
	if err := l.lacks(); err != nil {
		return err
	}
	if err := l.fill(); err != nil {
		return err
	}
	// A connection to a Redis Cluster finds its primary by the first name.
	if err := l.ssubscribe([]string{l.p.own}); err != nil {
		return err
	}
	for list := range slices.Chunk(l.p.subs.all(l.generation), subscribeAtOnce) {
		if err := l.ssubscribe(list); err != nil {
			return err
		}
	}
	if err := l.identify(); err != nil {
		return err
	}
	return l.resume()
}

// cut has nothing more of what comes put into the inbox, once it returns.
func (l *link) cut(why error) {
	l.fail(why)
	l.mu.Lock()
	held := int64(0)
	for _, text := range l.held {
		held += weight(text)
	}
	l.held, l.holding = nil, false
	l.mu.Unlock()
	l.p.c.arriving.Add(-held)
	l.p.inbox.tell() // of what came in the middle of this
}

// close ends the connection, if the link has one. Where others use that too, and the engine has said no to
// what is this partition's alone, the link leaves it to them.
func (l *link) close(why error) {
	if l.line == nil {
		return
	}
	if !l.p.c.isShared() || !refused(why) || l.line.isOver() || !l.line.leave(l) {
		l.line.close(why)
	}
}

// identify learns which process of the engine this is.
func (l *link) identify() error {
	ctx, cancel := l.context()
	defer cancel()
	info, err := l.line.do(ctx, "INFO", "server").ToString()
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok && id != "" {
			l.process = id
			return nil
		}
	}
	return errors.New("INFO server says no run_id")
}

// message takes what comes. It is called by who reads the connection, so it must not wait.
func (l *link) message(text string) {
	if strings.HasPrefix(text, string(letterFence)) {
		l.heard.Store(int64(time.Since(l.began)))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.failed:
		return // whatever comes now will be asked for again
	default:
	}
	if l.p.c.arriving.Add(weight(text)) > int64(l.p.c.cfg.QueueBytes) {
		l.p.c.arriving.Add(-weight(text))
		l.p.c.count.overrun.Add(1)
		l.fail(errors.New("more came from the engine than could be handed out: CLUSTER_QUEUE_BYTES"))
		return
	}
	if !l.holding {
		l.p.inbox.put(text)
		return
	}
	l.held = append(l.held, text)
	if f, ok := parseFence(text); ok && f.request == l.openingFence() {
		select {
		case <-l.fenced:
		default:
			close(l.fenced)
		}
	}
}

// openingFence is the request of the fence that ends the opening: others are counted from 1.
func (l *link) openingFence() uint64 { return maxNumber - l.generation }

// subscription hears of what has been subscribed to, and of ends that nobody asked for: a slot
// of a Redis Cluster that has moved.
func (l *link) subscription(kind, channel string) {
	if kind == noteUnsubscribe && (channel == l.p.own || l.p.subs.confirmed(channel)) {
		l.fail(errors.New("the partition has moved to another server"))
	}
}

// fence asks for an answer among what comes.
func (l *link) fence(request uint64) error {
	ctx, cancel := l.context()
	defer cancel()
	return fenceScript.on(ctx, l.line.wire, []string{l.p.tag.state()}, append(l.args(), l.p.own, strconv.FormatUint(request, 10))).Error()
}

// args are what every script of a partition wants to know.
func (l *link) args() []string { return []string{string(l.p.tag), freshEpoch(), l.process} }

func (l *link) ssubscribe(channels []string) error {
	if len(channels) == 0 {
		return nil
	}
	ctx, cancel := l.context()
	defer cancel()
	if err := l.line.subscribe(ctx, noteSubscribe, channels); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// letGo lets what is held back go on its way, behind what was missed.
func (l *link) letGo(missed []string, at hub.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range missed {
		l.p.c.arriving.Add(int64(len(text)))
		l.p.inbox.put(text)
	}
	// What was handed out is where the log was then, whatever was not for this node.
	mark := fence{epoch: at.Epoch, number: at.Number}.text()
	l.p.c.arriving.Add(int64(len(mark)))
	l.p.inbox.put(mark)
	// What is held of another log is of one that was forgotten as the link was made.
	there := false
	for _, text := range l.held {
		there = there || epochOf(text) == at.Epoch
		if there {
			l.p.inbox.put(text)
		} else {
			l.p.c.arriving.Add(-weight(text))
		}
	}
	l.held, l.holding = nil, false
	l.p.inbox.tell()
}

// waitUntil polls what nobody signals, and reports whether it came to be in time.
func (l *link) waitUntil(done func() bool) bool {
	ctx, cancel := l.context()
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-l.failed:
			return false
		case <-time.After(2 * time.Millisecond):
		}
	}
	return true
}
