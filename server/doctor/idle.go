package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The heartbeat is due after the interval, and everything may be behind by a little.
const behind = 4 * time.Second

// idle leaves a poll, a WebSocket and a stream alone until the heartbeat: who is silent for
// less is never cut off.
func (x *exam) idle(ctx context.Context, poll, web, stream bool) {
	interval := x.timing.Interval
	switch {
	case !poll && !web:
		x.skip("idle connections", "neither polls nor WebSockets work")
		return
	case interval <= 0 || interval+slack > x.Patience:
		x.skip("idle connections", fmt.Sprintf("the heartbeat comes every %s, and %s is the longest that one is left idle: say --patience %s", interval, x.Patience, interval+2*slack))
		return
	}
	var all sync.WaitGroup
	if web {
		all.Go(func() { x.idleWebSocket(ctx, interval) })
	}
	if poll {
		all.Go(func() { x.idlePoll(ctx, interval) })
	}
	if stream {
		all.Go(func() { x.idleStream(ctx, interval) })
	}
	all.Wait()
}

// busy says that others' events kept a connection from being idle.
const busy = "events for everybody came meanwhile, so the connection was not idle"

func (x *exam) idleWebSocket(ctx context.Context, interval time.Duration) {
	conn, a := x.upgradeTo(ctx, x.at(url.Values{"transport": {"websocket"}}), nil)
	if conn == nil {
		x.skip("an idle WebSocket", a.what())
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	began := time.Now()
	say(conn, "40")
	events := 0
	for {
		text, err := read(conn, time.Until(began.Add(interval+behind)))
		since := time.Since(began).Round(time.Millisecond)
		switch {
		case ctx.Err() != nil:
			x.skip("an idle WebSocket", "the time was over")
			return
		case err != nil && isTimeout(err):
			x.fault("heartbeat-lost", fmt.Sprintf("no heartbeat came over a WebSocket in %s, and one is due every %s", since, interval))
			return
		case err != nil:
			x.fault("idle-timeout", fmt.Sprintf("a WebSocket that was silent was closed after %s, and the heartbeat is every %s", since, interval))
			return
		case strings.HasPrefix(text, "2"):
			say(conn, "3")
			say(conn, "41")
			if events > 0 {
				x.skip("an idle WebSocket", busy)
			} else {
				x.good(fmt.Sprintf("an idle WebSocket lives until the heartbeat, %s", interval))
			}
			return
		case strings.HasPrefix(text, "42"):
			events++
		}
	}
}

// pause is between an answer and the next poll: a server that answers at once is not asked
// as often as it likes.
func pause(ctx context.Context) {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
}

func (x *exam) idlePoll(ctx context.Context, interval time.Duration) {
	began := time.Now()
	s, err := x.joined(ctx)
	if err != nil {
		x.skip("an idle poll", err.Error())
		return
	}
	if s.due { // everything is slow here: the next one comes after an answer
		s.post(ctx, "3")
		began = time.Now()
	}
	x.mu.Lock()
	late := behind + 4*x.quickest // of requests before it, and of this one
	x.mu.Unlock()
	for answers := 0; ; answers++ {
		if answers > 0 {
			pause(ctx)
		}
		left := time.Until(began.Add(interval + late))
		a := answer{err: context.DeadlineExceeded} // unless there is time for one
		if answers == 0 || left > 0 {
			a = s.ask(ctx, request{wait: max(left, time.Second)})
		}
		since := time.Since(began).Round(time.Millisecond)
		switch {
		case ctx.Err() != nil:
			x.skip("an idle poll", "the time was over")
			return
		case a.err != nil && isTimeout(a.err) && answers > 0:
			x.fault("heartbeat-lost", fmt.Sprintf("polls were answered %d times in %s, without the heartbeat that is due every %s", answers, since, interval))
			return
		case a.err != nil && isTimeout(a.err):
			x.fault("heartbeat-lost", fmt.Sprintf("a poll was not answered in %s, and the heartbeat is every %s", since, interval))
			return
		case a.err != nil || a.status != http.StatusOK:
			x.fault("idle-timeout", fmt.Sprintf("a poll that waited was answered after %s, and the heartbeat is every %s: %s", since, interval, a.what()))
			return
		case strings.HasPrefix(a.body, "2") || strings.Contains(a.body, separator+"2"):
			if answers > 0 {
				x.skip("an idle poll", busy)
			} else {
				x.good(fmt.Sprintf("an idle poll lives until the heartbeat, %s", interval))
			}
			s.post(ctx, "3")
			s.close(ctx)
			return
		}
	}
}
