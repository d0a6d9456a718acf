package pusher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"poosh/auth"
)

// How webhooks are sent (Pusher Channels, "Webhooks"; the numbers are Sockudo's,
// and the time for all tries is both's).
const (
	hookLanes    = 20 // requests in flight to one endpoint
	hookTimeout  = 10 * time.Second
	hookRetryMin = time.Second
	hookRetryMax = time.Minute
	hookRetryFor = 5 * time.Minute
	hookBatch    = 100
	hookGather   = 50 * time.Millisecond
	hookBytes    = 16 << 20 // of events that wait for one endpoint
)

// An endpoint sends events to one webhook. The events of a channel keep to one
// lane, in which a request follows the other, so they arrive in their order; an
// address that is dead holds up its own lanes and nothing else.
type endpoint struct {
	filter
	conf        Webhook
	key, secret string
	client      *http.Client
	counts      *counters
	log         *slog.Logger
	most        int // events that may wait

	ctx    context.Context // ends when sending must stop
	cancel context.CancelFunc
	work   sync.WaitGroup // lanes at work
	seed   maphash.Seed

	mu     sync.Mutex // guards what follows
	lanes  []lane
	events int // waiting or being sent
	bytes  int // of them
	over   bool
	warned time.Time // when a drop was last logged
}

// A lane is a queue with at most one goroutine, which ends when it is empty.
type lane struct {
	queue   []hookEvent
	running bool
}

func newEndpoint(a *app, conf Webhook) *endpoint {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = hookLanes
	transport.MaxConnsPerHost = hookLanes
	ep := &endpoint{
		filter: newFilter(conf), conf: conf, key: a.conf.Key, secret: a.conf.Secret,
		client: &http.Client{
			Transport: transport, Timeout: hookTimeout,
			// A signed body is for the address that was named, and for no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		counts: &a.d.counts, log: a.d.log.With("app", a.conf.ID, "webhook", conf.shown()),
		most: a.d.cfg.WebhookQueue, seed: maphash.MakeSeed(), lanes: make([]lane, hookLanes),
	}
	if conf.Batch {
		ep.lanes = ep.lanes[:1]
	}
	ep.ctx, ep.cancel = context.WithCancel(context.Background())
	return ep
}

// enqueue adds an event to its lane, or drops it when too much waits. It never
// blocks.
func (ep *endpoint) enqueue(e hookEvent) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.over || ep.events >= ep.most || ep.bytes+len(e.body) > hookBytes {
		ep.counts.add("webhook dropped", 1)
		if now := time.Now(); now.Sub(ep.warned) > time.Minute {
			ep.warned = now
			ep.log.Warn("webhook events are dropped: too many wait", "waiting", ep.events)
		}
		return
	}
	ep.events++
	ep.bytes += len(e.body)
	i := int(maphash.String(ep.seed, e.channel) % uint64(len(ep.lanes)))
	l := &ep.lanes[i]
	l.queue = append(l.queue, e)
	if !l.running {
		l.running = true
		ep.work.Go(func() { ep.run(l) }) // ends when the lane is empty, or with ep.ctx
	}
}

// run sends what is in a lane until nothing is.
func (ep *endpoint) run(l *lane) {
	for {
		most := 1
		if ep.conf.Batch {
			most = hookBatch
			select {
			case <-time.After(hookGather):
			case <-ep.ctx.Done():
			}
		}
		ep.mu.Lock()
		n := min(most, len(l.queue))
		if n == 0 {
			l.queue, l.running = nil, false
			ep.mu.Unlock()
			return
		}
		events := l.queue[:n:n]
		l.queue = l.queue[n:]
		ep.mu.Unlock()

		ep.send(events)

		ep.mu.Lock()
		ep.events -= n
		for i := range events {
			ep.bytes -= len(events[i].body)
			events[i] = hookEvent{} // the queue's array may live on
		}
		ep.mu.Unlock()
	}
}

// send delivers events in one request, again and again if need be.
func (ep *endpoint) send(events []hookEvent) {
	if ep.ctx.Err() != nil {
		ep.counts.add("webhook dropped", len(events))
		return
	}
	body := hookBody(time.Now(), events)
	signature := auth.PusherSign(ep.secret, string(body))
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval, wait.Multiplier = hookRetryMin, hookRetryMax, 2
	tries := 0
	_, err := backoff.Retry(ep.ctx, func() (struct{}, error) {
		if tries++; tries > 1 {
			ep.counts.add("webhook retried", 1)
		}
		return struct{}{}, ep.post(body, signature)
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(hookRetryFor))

	var refused *refusedError
	switch {
	case err == nil:
		ep.counts.add("webhook sent", len(events))
		ep.log.Debug("webhook sent", "events", len(events), "first", events[0].name, "tries", tries)
	case errors.As(err, &refused):
		ep.counts.add("webhook refused", len(events))
		ep.log.Warn("webhook refused", "events", len(events), "status", refused.status)
	default:
		ep.counts.add("webhook dropped", len(events))
		ep.log.Warn("webhook not delivered", "events", len(events), "tries", tries, "error", err)
	}
}

// A refusedError is an answer that another try would not change.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("status %d", e.status) }

// post makes one try. An error that is not permanent is worth another.
func (ep *endpoint) post(body []byte, signature string) error {
	req, err := http.NewRequestWithContext(ep.ctx, http.MethodPost, ep.conf.URL, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	for name, value := range ep.conf.Headers {
		req.Header.Set(name, value)
	}
	// Without a charset: the Node and Ruby libraries compare the whole value.
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pusher-Key", ep.key)
	req.Header.Set("X-Pusher-Signature", signature)
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

// close takes no more events and waits until those that are queued are sent or ctx
// ends, which drops them.
func (ep *endpoint) close(ctx context.Context) error {
	ep.mu.Lock()
	ep.over = true
	ep.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the lanes, which end at the latest with ep.ctx
		ep.work.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("webhook %s: %w", ep.conf.shown(), ctx.Err())
		ep.cancel()
		<-done
	}
	ep.cancel()
	ep.client.CloseIdleConnections()
	return err
}
