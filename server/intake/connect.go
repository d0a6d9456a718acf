package intake

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/cenkalti/backoff/v5"
	"github.com/redis/rueidis"

	"poosh/server/health"
)

// How long Redis may take for an answer, and how often a connection is asked whether it is there.
const (
	timeout   = 5 * time.Second
	pingEvery = 5 * time.Second
)

// keep keeps a connection as long as there is a Redis. It ends with the reader.
func (r *Reader) keep() {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 50*time.Millisecond, 5*time.Second
	wait.RandomizationFactor = 0.5
	for turn := 0; ; turn++ {
		began := time.Now()
		err := r.connect(turn)
		r.lose(err)
		if time.Since(began) > 2*r.cfg.ping {
			wait.Reset()
		}
		select {
		case <-r.over.Done():
			return
		case <-r.queue.closed():
			return
		case <-time.After(wait.NextBackOff()):
		}
	}
}

var errStopped = errors.New("reading ends")

// connect makes a connection and serves it until it ends; it returns why it did.
func (r *Reader) connect(turn int) error {
	ctx, cancel := context.WithTimeout(r.over, 2*r.cfg.timeout)
	defer cancel()
	client, err := dial(ctx, r.cfg.Redis.At(turn), r.cfg.Name, r.cfg.MaxMessage, r.cfg.timeout)
	if err != nil {
		return err
	}
	defer client.Close()
	conn, release := client.Dedicate()
	defer release()
	defer conn.Close()
	ended := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: r.message})
	if err := r.subscribe(ctx, conn); err != nil {
		return err
	}
	r.found()
	return r.watch(conn, ended)
}

// subscribe asks for all that is to be read.
func (r *Reader) subscribe(ctx context.Context, conn rueidis.DedicatedClient) error {
	if len(r.cfg.Patterns) > 0 {
		if err := conn.Do(ctx, conn.B().Psubscribe().Pattern(r.cfg.Patterns...).Build()).Error(); err != nil {
			return fmt.Errorf("PSUBSCRIBE: %w", err)
		}
	}
	if len(r.cfg.Channels) > 0 {
		if err := conn.Do(ctx, conn.B().Subscribe().Channel(r.cfg.Channels...).Build()).Error(); err != nil {
			return fmt.Errorf("SUBSCRIBE: %w", err)
		}
	}
	return nil
}

// watch asks a connection whether it is there, until it is not.
func (r *Reader) watch(conn rueidis.DedicatedClient, ended <-chan error) error {
	tick := time.NewTicker(r.cfg.ping)
	defer tick.Stop()
	for {
		select {
		case <-r.over.Done():
			return errStopped
		case <-r.queue.closed():
			return errStopped
		case err := <-ended:
			if err == nil {
				err = errors.New("the connection was closed")
			}
			return err
		case <-tick.C:
		}
		came := r.count.came.Load()
		ctx, cancel := context.WithTimeout(r.over, r.cfg.timeout)
		err := conn.Do(ctx, conn.B().Ping().Build()).Error()
		cancel()
		// The answer is behind all messages, and those wait for who hands out.
		if err != nil && came == r.count.came.Load() && !r.queue.waits() {
			return fmt.Errorf("PING: %w", err)
		}
	}
}

// message takes what came. It is called by who reads the connection: where it waits, so does Redis.
func (r *Reader) message(m rueidis.PubSubMessage) {
	r.count.came.Add(1)
	if len(m.Message) > r.cfg.MaxMessage || tooLarge(m.Message) {
		r.drop(reasonTooLarge)
		return
	}
	payload := unsafe.Slice(unsafe.StringData(m.Message), len(m.Message)) // which nobody else has
	if !r.queue.put(Message{Pattern: m.Pattern, Channel: m.Channel, Payload: payload}) && r.source == nil {
		r.drop(reasonEnd) // in a cluster others have it
	}
}

// found says that there is a connection, and lose that there is none.
func (r *Reader) found() {
	r.mu.Lock()
	r.connected, r.since, r.err = true, time.Now(), nil
	first := r.count.connects.Add(1) == 1
	r.mu.Unlock()
	if r.source != nil {
		r.source.Reads(true)
	}
	if !first {
		r.cfg.Log.Info("messages are read from Redis again", "dialect", r.cfg.Name, "redis", r.cfg.Redis.String())
		return
	}
	r.cfg.Log.Info("messages are read from Redis", "dialect", r.cfg.Name, "redis", r.cfg.Redis.String())
}

func (r *Reader) lose(err error) {
	r.mu.Lock()
	was, known := r.connected, r.err != nil
	if was {
		r.since = time.Now()
		r.count.gaps.Add(1)
	}
	r.connected, r.err = false, err
	r.mu.Unlock()
	if r.source != nil {
		r.source.Reads(false)
	}
	if known && !was || errors.Is(err, errStopped) {
		return // one line for each time that it goes
	}
	r.cfg.Log.Error("messages are not read from Redis until it is back: what is published meanwhile is lost",
		"dialect", r.cfg.Name, "redis", r.cfg.Redis.String(), "err", r.cfg.Redis.Worded(err))
}

// Ready is that messages are not read at the moment, for a dialect's own Ready; nil while
// they are, and for a blip. The process counts as degraded and takes clients: what else is sent
// reaches them, and elsewhere they would be no better off, since that Redis is away from all.
func (r *Reader) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connected || time.Since(r.since) < blip {
		return nil
	}
	return health.Soft("messages are not read from Redis, which is away") // the log says why
}

// blip is how long Redis may be gone without a balancer being told.
const blip = 2 * time.Second
