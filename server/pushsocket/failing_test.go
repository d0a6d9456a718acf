package pushsocket

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"poosh/auth"
	"poosh/server/pushsocket/store"
)

// failing is a store whose disk can be broken and mended.
type failing struct {
	store.Store
	fail    atomic.Bool
	reading sync.RWMutex // held by who stops Find
	used    atomic.Pointer[[]store.Device]
}

func (f *failing) Used(devices ...store.Device) {
	f.used.Store(&devices)
	f.Store.Used(devices...)
}

// hold makes readers wait until what it returns is called.
func (f *failing) hold() (release func()) {
	f.reading.Lock()
	return f.reading.Unlock
}

func newFailing(t *testing.T) *failing {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "x.db"), store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return &failing{Store: st}
}

func (f *failing) err() error {
	if f.fail.Load() {
		return fmt.Errorf("%w: disk I/O error", store.ErrUnavailable)
	}
	return nil
}

func (f *failing) Find(ctx context.Context, a auth.Address) (store.Device, error) {
	if err := f.err(); err != nil {
		return store.Device{}, err
	}
	f.reading.RLock()
	defer f.reading.RUnlock()
	return f.Store.Find(ctx, a)
}

func (f *failing) Confirm(ctx context.Context, d store.DeviceID, ids []string) (int, error) {
	if err := f.err(); err != nil {
		return 0, err
	}
	return f.Store.Confirm(ctx, d, ids)
}

func (f *failing) Queue(ctx context.Context, d store.DeviceID, messages []store.Outgoing, stored func([]store.Outcome)) ([]store.Outcome, store.Device, error) {
	if err := f.err(); err != nil {
		return nil, store.Device{}, err
	}
	return f.Store.Queue(ctx, d, messages, stored)
}
