package echo

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"poosh/server/guard"
	"poosh/server/hub"
	"poosh/server/intake"
	"poosh/server/seldom"
	"poosh/server/socketio"
)

// updatedChannel is where the original tells the application who is in a presence channel, with
// databaseConfig.publishPresence. It has no prefix.
const updatedChannel = "PresenceChannelUpdated"

// maxUpdated bounds the channels that wait to be told of. Of one more the application hears with its
// next change, if it has another one: it is counted, and told to the log.
const maxUpdated = 10_000

// An updater tells the application who is in presence channels that have changed. Several changes of
// one that come at once are told of once. In a cluster one process tells of each.
type updater struct {
	d       *Dialect // set once, as what follows
	speaker *intake.Speaker
	over    context.Context
	end     context.CancelFunc
	ended   chan struct{}
	wake    chan struct{} // capacity 1
	most    int           // channels in changed

	dropped  atomic.Uint64
	dropping seldom.Word
	late     seldom.Word // a channel of which it is not told yet

	mu      sync.Mutex // guards what follows
	changed map[string]struct{}
}

// newUpdater starts one. Whoever calls it calls stop.
func newUpdater(d *Dialect, at intake.Address) *updater {
	u := &updater{d: d, speaker: intake.NewSpeaker(dialectName, at), ended: make(chan struct{}), wake: make(chan struct{}, 1), most: maxUpdated, changed: make(map[string]struct{})}
	u.over, u.end = context.WithCancel(context.Background())
	go u.run() // ends with stop
	return u
}

// lastWords is how long what waits at the end is told at the most: Redis may be away, and others wait
// for the end.
const lastWords = 2 * time.Second

// stop ends it. What waits is told as long as ctx lasts, behind the end of run: the speaker is one
// goroutine's at a time.
func (u *updater) stop(ctx context.Context) {
	u.end()
	<-u.ended
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	for ctx.Err() == nil && u.tellNext(ctx) {
	}
	u.speaker.Close()
}

// note has the application told of a channel.
func (u *updater) note(channel string) {
	if u == nil {
		return
	}
	u.mu.Lock()
	_, waits := u.changed[channel]
	fits := waits || len(u.changed) < u.most
	if fits {
		u.changed[channel] = struct{}{}
	}
	u.mu.Unlock()
	if !fits {
		u.drop(channel)
	}
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// drop says that the application is not told of a channel.
func (u *updater) drop(channel string) {
	u.dropped.Add(1)
	if unsaid, say := u.dropping.May(time.Minute); say {
		u.d.log.Warn("echo: the application is not told who is in a channel, since too many channels wait", "channel", clip(channel), "others before", unsaid)
	}
}

func (u *updater) run() {
	defer close(u.ended)
	for {
		select {
		case <-u.over.Done():
			return
		case <-u.wake:
		}
		for u.over.Err() == nil && u.tellNext(u.over) {
		}
	}
}

// again is after how long a channel is told of once more that could not be.
const again = time.Second

// tellNext tells of one channel, and reports whether there was one.
func (u *updater) tellNext(ctx context.Context) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for channel := range u.changed {
		delete(u.changed, channel)
		u.mu.Unlock()
		var err error
		guard.Call(u.d.log, "telling the application who is in a channel", func() { err = u.tell(ctx, channel) })
		if err != nil {
			u.note(channel) // and stop tells of it, if run was ended meanwhile
		}
		if err != nil && ctx.Err() == nil {
			if unsaid, say := u.late.May(time.Minute); say {
				u.d.log.Warn("echo: the application is not told who is in a channel yet", "channel", clip(channel), "err", err, "others before", unsaid)
			}
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
		u.mu.Lock()
		return true
	}
	return false
}

// tell tells of one channel.
func (u *updater) tell(ctx context.Context, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := u.d.members(ctx, channel)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b hub.Member) int { return newestFirst(b, a) })
	b := socketio.AppendString([]byte(`{"event":{"channel":`), channel+":members")
	b = append(append(b, `,"members":[`...), listOf(list)...)
	return u.speaker.Say(ctx, updatedChannel, append(b, `]}}`...))
}

func listOf(list []hub.Member) (b []byte) {
	for i, m := range list {
		if i > 0 {
			b = append(b, ',')
		}
		_, entry := seen(m.Info)
		b = append(b, entry...)
	}
	return b
}
