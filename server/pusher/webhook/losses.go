package webhook

import (
	"log/slog"
	"sync"
	"time"

	"poosh/server/guard"
	"poosh/server/pusher/tally"
)

// A lossReason says why a webhook event did not reach its address: what the loss is
// counted as.
type lossReason = tally.Thing

const (
	lostFull    = tally.WebhookFull
	lostShare   = tally.WebhookShare
	lostTries   = tally.WebhookTries
	lostEnd     = tally.WebhookEnd
	lostRefused = tally.WebhookRefused
	lostPanic   = tally.WebhookPanic
)

// How often losses are told to the log: soon after the first, and then not more
// than once a minute, since strangers may cause them.
const (
	lossSoon  = time.Second
	lossEvery = time.Minute
)

// losses counts the events that one endpoint has lost and writes of them into the
// log, on a goroutine of its own: who loses an event may be reading for thousands of
// connections.
type losses struct {
	count func(what tally.Thing, n int)
	log   *slog.Logger

	mu     sync.Mutex // guards what follows
	lost   map[lossReason]int
	detail any         // of the last: a status or an error; nil for none
	timer  *time.Timer // fires tell; nil when nothing is to be told
	told   time.Time
}

// add counts n events that are lost. detail may be nil.
func (l *losses) add(why lossReason, n int, detail any) {
	l.count(why, n)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = make(map[lossReason]int)
	}
	l.lost[why] += n
	if detail != nil {
		l.detail = detail
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(max(lossSoon, lossEvery-time.Since(l.told)), func() {
			guard.Call(l.log, "telling of webhook events that are lost", l.tell)
		})
	}
}

// tell writes of what was lost since it was last told.
func (l *losses) tell() {
	l.mu.Lock()
	lost, detail := l.lost, l.detail
	if l.timer != nil {
		l.timer.Stop()
	}
	l.lost, l.detail, l.timer, l.told = nil, nil, nil, time.Now()
	l.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	args := make([]any, 0, 2*len(lost)+2)
	for _, why := range []lossReason{lostRefused, lostTries, lostShare, lostFull, lostEnd, lostPanic} {
		if n := lost[why]; n > 0 {
			args = append(args, why.String(), n)
		}
	}
	if detail != nil {
		args = append(args, "last", detail)
	}
	l.log.Warn("webhook events are lost", args...)
}
