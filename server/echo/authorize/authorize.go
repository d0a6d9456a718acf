// Package authorize asks the application who may join: one POST for each subscription to a
// private or presence channel, as laravel-echo-server 1.6.3 did, without what made that one
// dangerous. It knows an address and answers, and no connection, channel or room.
//
// # What it keeps to
//
// The address is the operator's, whatever a page says; redirects are not followed. Cookies
// are those of the page's handshake. Of the headers that a page names only those go on that
// [Forwards] lets through. How many requests run, how many wait, their bytes and their time
// are bounded, and one network has a share of that. An answer is a yes only if it says so: see
// [Answer].
//
// # Goroutines
//
// Each request that runs has one, which ends when nothing waits any more, and at the latest
// with [Asker.Close]. Lock order: Asker.mu, doubts.mu.
package authorize

import (
	"container/list"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"poosh/server/guard"
	"poosh/server/metric"
)

// What a zero field of a [Config] means.
const (
	Timeout   = 10 * time.Second
	Running   = 32
	Waiting   = 4096
	MaxAnswer = 64 << 10
)

// waitingBytes bounds what questions hold that wait.
const waitingBytes = 16 << 20

// A Config is what an operator may choose.
type Config struct {
	URL       string        // that is asked; see [CheckURL]
	Timeout   time.Duration // of one request, and what a question may wait before; 0 means [Timeout]
	Running   int           // requests at once; 0 means [Running]
	Waiting   int           // questions that wait for their turn; 0 means [Waiting]
	MaxAnswer int           // bytes of an answer; 0 means [MaxAnswer]
}

func (c Config) filled() Config {
	if c.Timeout <= 0 {
		c.Timeout = Timeout
	}
	if c.Running <= 0 {
		c.Running = Running
	}
	if c.Waiting <= 0 {
		c.Waiting = Waiting
	}
	if c.MaxAnswer <= 0 {
		c.MaxAnswer = MaxAnswer
	}
	return c
}

// A Question is whether a page may join a channel. Nothing in it may change once it is
// asked.
type Question struct {
	Channel  string // its name as the page wrote it, with private- or presence-
	SocketID string // of the page
	Presence bool   // a yes needs a member

	Headers map[string]string // auth.headers of the page, as [ReadHeaders] reads them
	Cookie  string            // the header Cookie of the page's handshake; empty for none

	From netip.Addr // the page's network, see peers.Network; the zero Addr if nobody knows
}

// An Answer is what became of a question. What the application answered counts as a yes if
// its status is 2xx and the body is JSON that says yes: true or an object for a private
// channel, an object with channel_data.user_id for a presence channel, where channel_data may
// be a text of JSON (as Laravel's pusher broadcaster has it).
type Answer struct {
	Allowed bool
	// Status is what the page is told with subscription_error: the application's; 403 for a
	// good status with a body that is no yes; 400 for headers that cannot be sent; 503 where
	// too much waits; 0 where the application cannot be reached or is silent.
	Status int
	Member *Member // of an allowed Question.Presence; nil for others
	Reason Reason
}

// A Member is who a page is in a presence channel.
type Member struct {
	UserID json.RawMessage // a text that is not empty, or a number, as the application wrote it
	Info   json.RawMessage // user_info, in valid UTF-8; nil where there is none
}

// An Asker asks one application. Make one with [New]; its methods may be called from any
// goroutine and never block, but for Close.
type Asker struct {
	client *http.Client
	doubts doubts
	counts *metric.Set[Reason]
	log    *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines that ask

	mu    sync.Mutex // guards what follows, and the fields of inquiries that say so
	conf  Config     // filled
	queue queue
	over  bool
}

// New returns an Asker. The owner calls Close.
func New(conf Config, log *slog.Logger) *Asker {
	a := &Asker{conf: conf.filled(), counts: metric.Closed[Reason](names[:]), log: log}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.client = newClient(a.conf.Running)
	a.doubts.log = log
	a.queue = newQueue()
	return a
}

// Change has other settings count for what is asked from now on. How many connections are
// kept open stays as it was.
func (a *Asker) Change(conf Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conf = conf.filled()
	a.fill()
}

// An inquiry is a question on its way.
type inquiry struct {
	Question
	answer func(Answer)
	conf   Config // that it goes by
	since  time.Time
	lane   *lane // set once

	// Guarded by Asker.mu.
	at   *list.Element      // in lane.waits; nil when it does not wait
	stop context.CancelFunc // ends the request; nil while it waits
	over bool               // answered, or nobody wants to know any more
}

// Ask asks whether a page may join. answer is called once, on a goroutine of the Asker's and
// never within Ask, unless cancel is called before: the page has left. A cancel while answer
// is being called does not wait for it. After Close nobody is answered.
//
// Of a question that cannot be asked, or that is one too many, refused is the answer: then
// cancel is nil, and answer is never called.
func (a *Asker) Ask(q Question, answer func(Answer)) (cancel func(), refused *Answer) {
	in := &inquiry{Question: q, answer: answer, since: time.Now()}
	why := checkHeaders(q)
	a.mu.Lock()
	defer a.mu.Unlock()
	in.conf = a.conf
	if a.over {
		return func() {}, nil
	}
	if why == allowed {
		why = a.queue.add(in, a.conf)
	}
	if why != allowed {
		a.counts.Add(why, 1)
		a.doubts.add(why, "channel "+shown(q.Channel))
		return nil, &Answer{Status: why.status(), Reason: why}
	}
	a.fill()
	return func() { a.leave(in) }, nil
}

// fill has questions asked that wait while there is room. a.mu is held.
func (a *Asker) fill() {
	for !a.over {
		in := a.queue.next(a.conf)
		if in == nil {
			return
		}
		a.work.Go(func() { a.run(in) }) // ends when nothing waits, or with a.ctx
	}
}

// run asks one question after the other until nothing waits.
func (a *Asker) run(in *inquiry) {
	for in != nil {
		a.one(in)
		a.mu.Lock()
		a.queue.done(in)
		in = nil
		if !a.over {
			in = a.queue.next(a.conf)
		}
		a.mu.Unlock()
	}
}

// one asks one question.
func (a *Asker) one(in *inquiry) {
	ctx, stop := context.WithTimeout(a.ctx, in.conf.Timeout)
	defer stop()
	a.mu.Lock()
	in.stop = stop
	over := in.over
	a.mu.Unlock()
	if over {
		a.counts.Add(left, 1)
		return
	}
	got := Answer{Reason: broken, Status: broken.status()}
	if time.Since(in.since) > in.conf.Timeout {
		a.doubts.add(late, "channel "+shown(in.Channel))
		got = Answer{Reason: late, Status: late.status()}
	} else {
		guard.Call(a.log, "asking the application who may join", func() { got = a.post(ctx, in) })
	}
	a.finish(in, got)
}

// finish gives an answer to who asked, unless nobody wants to know.
func (a *Asker) finish(in *inquiry, got Answer) {
	a.mu.Lock()
	over := in.over || a.over
	in.over = true
	a.mu.Unlock()
	if over {
		a.counts.Add(left, 1)
		return
	}
	a.counts.Add(got.Reason, 1)
	guard.Call(a.log, "telling what the application answered", func() { in.answer(got) })
}

// leave says that nobody wants to know the answer any more.
func (a *Asker) leave(in *inquiry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if in.over {
		return
	}
	in.over = true
	if in.stop != nil {
		in.stop() // and its goroutine counts it
		return
	}
	if a.queue.remove(in) {
		a.counts.Add(left, 1)
	}
}

// Close ends all requests and drops what waits, without answers. It returns when its
// goroutines have ended, which functions that are given answers may hold up.
func (a *Asker) Close() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.cancel()
	a.work.Wait()
	a.client.CloseIdleConnections()
	a.doubts.tell()
}
