package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"poosh/auth"
	"poosh/server/guard"
	"poosh/server/pusher/tally"
)

// How webhooks are sent (Pusher Channels, "Webhooks"; the numbers are Sockudo's,
// and the time for all tries is both's).
const (
	maxLanes = 20 // requests in flight to one endpoint
	timeout  = 10 * time.Second
	retryMin = time.Second
	retryMax = time.Minute
	retryFor = 5 * time.Minute
	maxBatch = 100
	gather   = 50 * time.Millisecond
)

// An endpoint sends events to one webhook. The events of a channel keep to one
// lane, in which a request follows the other, so they arrive in their order; an
// address that is dead holds up its own lanes and nothing else.
type endpoint struct {
	filter
	conf   Config
	signs  atomic.Pointer[signer] // never nil
	client *http.Client
	count  func(what tally.Thing, n int)
	log    *slog.Logger
	losses losses

	ctx     context.Context // ends when sending must stop
	cancel  context.CancelFunc
	waiting context.Context // ends with close: nobody waits for a next try any more
	hurry   context.CancelFunc
	work    sync.WaitGroup // lanes at work

	mu    sync.Mutex // guards what follows
	queue queue
	over  bool
	cut   int  // events lost at the end
	left  bool // the process goes on without it: what is lost then, nobody tells later
}

func newEndpoint(conf Config, o Options) *endpoint {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxLanes
	transport.MaxConnsPerHost = maxLanes
	ep := &endpoint{
		filter: newFilter(conf), conf: conf,
		client: &http.Client{
			Transport: transport, Timeout: timeout,
			// A signed body is for the address that was named, and for no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		count: o.Count, log: o.Log.With("webhook", conf.Shown()),
	}
	ep.losses.count, ep.losses.log = ep.count, ep.log
	lanes := maxLanes
	if conf.Batch {
		lanes = 1
	}
	ep.queue = newQueue(o.Queue, lanes)
	ep.signs.Store(&signer{o.Key, o.Secret})
	ep.ctx, ep.cancel = context.WithCancel(context.Background())
	ep.waiting, ep.hurry = context.WithCancel(ep.ctx)
	return ep
}

// A signer is what requests are signed with.
type signer struct{ key, secret string }

// change has another signature and another bound count, for what is sent from now on.
func (ep *endpoint) change(o Options) {
	ep.signs.Store(&signer{o.Key, o.Secret})
	ep.mu.Lock()
	defer ep.mu.Unlock()
	ep.queue.most.events = o.Queue
}

// enqueue adds an event to its lane, or counts it as lost when too much waits. It
// never blocks.
func (ep *endpoint) enqueue(e event) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.over { // nobody would write a line about it any more
		ep.losses.count(lostEnd, 1)
		if !ep.left {
			e.promise.take() // which is not kept
		}
		return
	}
	l, why := ep.queue.add(e)
	if l == nil {
		ep.losses.add(why, 1, nil)
		return
	}
	e.promise.take()
	if !l.running {
		l.running = true
		ep.work.Go(func() { ep.run(l) }) // ends when the lane is empty, or with ep.ctx
	}
}

// run sends what is in a lane until nothing is.
func (ep *endpoint) run(l *lane) {
	most := 1
	if ep.conf.Batch {
		most = maxBatch
	}
	for {
		if ep.conf.Batch {
			select {
			case <-time.After(gather):
			case <-ep.waiting.Done():
			}
		}
		ep.mu.Lock()
		if ep.ctx.Err() != nil {
			most = ep.queue.all.events // to be counted
		}
		events := ep.queue.take(l, most)
		if len(events) == 0 {
			l.running = false
			ep.mu.Unlock()
			return
		}
		ep.mu.Unlock()

		over := true
		if !guard.Call(ep.log, "sending to a webhook", func() { over = ep.send(events) }) {
			ep.losses.add(lostPanic, len(events), nil)
		}
		ep.mu.Lock()
		over = over || ep.left
		ep.mu.Unlock()
		for i := range events {
			if over {
				events[i].promise.kept()
			}
		}

		ep.mu.Lock()
		ep.queue.done(events)
		ep.mu.Unlock()
	}
}

// idHeader names the sends that the events of a request tell of, with commas between.
// It is a header of our own: a receiver that does not know it sees what Pusher sends, and
// the body, which is signed and which libraries read as they please, is as it was.
const idHeader = "X-Poosh-Id"

// sendIDs lists the sends that events tell of; empty for none. A batch has no more than
// [maxBatch], so the header stays below 4 KB.
func sendIDs(events []event) string {
	var ids []string
	for _, e := range events {
		if e.send != "" {
			ids = append(ids, e.send)
		}
	}
	return strings.Join(ids, ", ")
}

// send delivers events in one request, again and again if need be. It reports false where the end
// of the server has cut that off.
func (ep *endpoint) send(events []event) (over bool) {
	if ep.ctx.Err() != nil {
		ep.cutOff(events)
		return false
	}
	body := requestBody(time.Now(), events)
	by := ep.signs.Load()
	signed := signature{by.key, auth.PusherSign(by.secret, string(body))}
	ids := sendIDs(events)
	tries, err := ep.deliver(body, signed, ids)
	var refused *refusedError
	switch {
	case err == nil:
		ep.count(tally.WebhookSent, len(events))
		ep.log.Debug("webhook sent", "events", len(events), "first", events[0].name, "tries", tries, "ids", ids)
	case errors.As(err, &refused):
		ep.losses.add(lostRefused, len(events), refused)
	case ep.waiting.Err() != nil:
		ep.cutOff(events)
		return false
	default:
		ep.losses.add(lostTries, len(events), err)
	}
	return true
}

// deliver tries until it succeeds, or there is no point in another try. Once the
// endpoint is closed it does not wait any more: what waited for its next try has it
// then, and is given up if that fails.
func (ep *endpoint) deliver(body []byte, signed signature, ids string) (tries int, err error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.Multiplier = retryMin, retryMax, 2
	last := false // the try was made after the close
	try := func() (struct{}, error) {
		if tries++; tries > 1 {
			ep.count(tally.WebhookRetried, 1)
		}
		last = ep.waiting.Err() != nil
		return struct{}{}, ep.post(body, signed, ids)
	}
	_, err = backoff.Retry(ep.waiting, try, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(retryFor))
	if errors.Is(err, context.Canceled) && !last && ep.ctx.Err() == nil {
		_, err = try()
	}
	return tries, err
}

// A signature is made once for a body, and names the key of the time.
type signature struct{ key, text string }

// cutOff counts events that the end of the server leaves undelivered.
func (ep *endpoint) cutOff(events []event) {
	ep.losses.add(lostEnd, len(events), nil)
	ep.mu.Lock()
	ep.cut += len(events)
	ep.mu.Unlock()
}

// A refusedError is an answer that another try would not change.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("status %d", e.status) }

// post makes one try. An error that is not permanent is worth another.
func (ep *endpoint) post(body []byte, signed signature, ids string) error {
	req, err := http.NewRequestWithContext(ep.ctx, http.MethodPost, ep.conf.URL, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	for name, value := range ep.conf.Headers {
		req.Header.Set(name, value)
	}
	// Without a charset: the Node and Ruby libraries compare the whole value.
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pusher-Key", signed.key)
	req.Header.Set("X-Pusher-Signature", signed.text)
	if ids != "" {
		req.Header.Set(idHeader, ids)
	}
	resp, err := ep.client.Do(req)
	if err != nil {
		var withAddress *url.Error
		if errors.As(err, &withAddress) {
			err = withAddress.Err // the address may hold a secret
		}
		return err
	}
	// Read a little, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s >= 500, s == http.StatusRequestTimeout, s == http.StatusConflict, s == http.StatusTooEarly,
		s == http.StatusTooManyRequests:
		return fmt.Errorf("status %d", s)
	default:
		return backoff.Permanent(&refusedError{s})
	}
}

// leave is close in a process that goes on without the address.
func (ep *endpoint) leave(ctx context.Context) error {
	ep.mu.Lock()
	ep.left = true
	ep.mu.Unlock()
	return ep.close(ctx)
}

// close takes no more events and waits until those that are queued are sent, each
// with one try, or until ctx ends. The error says how many are lost.
func (ep *endpoint) close(ctx context.Context) error {
	ep.mu.Lock()
	ep.over = true
	ep.mu.Unlock()
	ep.hurry()
	done := make(chan struct{})
	go func() { // ends with the lanes, which end at the latest with ep.ctx
		ep.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		ep.cancel() // ends every request and every wait for the next try
		<-done
	}
	ep.cancel()
	ep.client.CloseIdleConnections()
	ep.losses.tell()
	ep.mu.Lock()
	defer ep.mu.Unlock()
	n := ep.cut
	ep.cut = 0
	if n == 0 {
		return nil
	}
	return fmt.Errorf("webhook %s: %d events are not delivered", ep.conf.Shown(), n)
}
