package pushsocket

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/logtest"
	"poosh/server/pushsocket/store"
)

// A buggy store panics when it is asked for the messages of one device, or to expire.
type buggy struct {
	*failing
	device  atomic.Int64
	expires atomic.Int64 // how often it panicked
}

func (p *buggy) Pending(ctx context.Context, d store.DeviceID, after int64, bytes int) ([]store.Message, error) {
	if int64(d) == p.device.Load() {
		panic("a bug")
	}
	return p.failing.Pending(ctx, d, after, bytes)
}

func (p *buggy) Expire(context.Context, time.Time) (int, error) {
	p.expires.Add(1)
	panic("another bug")
}

// A panic in what a worker does costs one mailbox its connections, with one line in the
// log; every worker goes on, and what is stored is there when the device comes back.
func TestPanicInAMailbox(t *testing.T) {
	st := &buggy{failing: newFailing(t)}
	log := new(logtest.Buffer)
	s := newSiteWith(t, Config{Store: st, ExpireEvery: time.Millisecond}, slog.New(slog.NewTextHandler(log, nil)))
	ill, well := s.registered("1", 1), s.registered("2", 1)
	listens := well.authorized()
	credentials, err := auth.ParsePush(ill.username, ill.password())
	if err != nil {
		t.Fatal(err)
	}
	device, err := st.Find(t.Context(), credentials.Address)
	if err != nil {
		t.Fatal(err)
	}
	st.device.Store(int64(device.ID))
	for range 2 * mailboxWorkers { // more than there are workers
		_, _ = ill.authorized().closed()
	}
	well.mail(ill.username, "stored")
	well.mail(well.username, "delivered")
	listens.bodies("delivered")
	if n := log.Count("panic in a worker"); n != 2*mailboxWorkers {
		t.Errorf("%d lines for %d panics", n, 2*mailboxWorkers)
	}
	st.device.Store(0)
	ill.authorized().bodies("stored")
	for end := time.Now().Add(patience); st.expires.Load() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what is too old is not looked for any more")
		}
	}
	if log.Count("panic while removing what is too old") == 0 {
		t.Error("nothing is said of what was not removed")
	}
}
