package sends

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func watch(t *testing.T, f *Feed, filter Filter) *Watcher {
	t.Helper()
	w, err := f.Watch(filter)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// taken are the ids that a watcher is told of.
func taken(w *Watcher) (ids string, dropped uint64) {
	list, dropped := w.Take()
	for i, s := range list {
		if i > 0 {
			ids += " "
		}
		ids += s.ID
	}
	return ids, dropped
}

func TestFilter(t *testing.T) {
	list := []Send{
		{ID: "1", Dialect: "socket.io", Room: "news"},
		{ID: "2", Dialect: "socket.io", Everyone: true},
		{ID: "3", Dialect: "socket.io", Room: ""},
		{ID: "4", Dialect: "pusher", App: "1", Room: "news"},
		{ID: "5", Dialect: "pusher", App: "2", Room: "other"},
	}
	for _, row := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "1 2 3 4 5"},
		{Filter{InRoom: true, Room: "news"}, "1 4"},
		{Filter{InRoom: true}, "3"},
		{Filter{Dialect: "pusher"}, "4 5"},
		{Filter{App: "2"}, "5"},
		{Filter{Dialect: "socket.io", InRoom: true, Room: "news"}, "1"},
		{Filter{App: "3"}, ""},
	} {
		f := New()
		w := watch(t, f, row.filter)
		for _, s := range list {
			f.Report(s)
		}
		if got, dropped := taken(w); got != row.want || dropped != 0 {
			t.Errorf("%+v: %q, %d dropped; want %q", row.filter, got, dropped, row.want)
		}
	}
}

// Payloads are for those who want them, and every send has a time.
func TestPayload(t *testing.T) {
	f := New()
	with, without := watch(t, f, Filter{Payload: true}), watch(t, f, Filter{})
	f.Report(Send{ID: "1", Payload: []byte(`{"a":1}`)})
	if list, _ := with.Take(); len(list) != 1 || string(list[0].Payload) != `{"a":1}` || list[0].At.IsZero() {
		t.Errorf("%+v", list)
	}
	if list, _ := without.Take(); len(list) != 1 || list[0].Payload != nil || list[0].At.IsZero() {
		t.Errorf("%+v", list)
	}
}

// A watcher that does not take loses the newest, and is told how many; others lose
// nothing by it.
func TestQueueIsBounded(t *testing.T) {
	f := New()
	slow, quick := watch(t, f, Filter{}), watch(t, f, Filter{})
	for i := range maxQueue + 10 {
		f.Report(Send{ID: fmt.Sprint(i)})
		if got, dropped := taken(quick); got != fmt.Sprint(i) || dropped != 0 {
			t.Fatalf("who takes got %q, %d dropped", got, dropped)
		}
	}
	list, dropped := slow.Take()
	if len(list) != maxQueue || list[0].ID != "0" || list[maxQueue-1].ID != fmt.Sprint(maxQueue-1) || dropped != 10 {
		t.Errorf("%d, %d dropped", len(list), dropped)
	}
	f.Report(Send{ID: "next"})
	if got, dropped := taken(slow); got != "next" || dropped != 0 {
		t.Errorf("afterwards %q, %d dropped", got, dropped)
	}
}

// Large payloads and names fill a queue before it has its number.
func TestQueueIsBoundedInBytes(t *testing.T) {
	large := strings.Repeat("x", maxQueueBytes/4)
	for name, s := range map[string]Send{"payload": {Payload: []byte(large)}, "event": {Event: large}, "room": {Room: large}} {
		f := New()
		w := watch(t, f, Filter{Payload: true})
		for range 10 {
			f.Report(s)
		}
		f.Report(Send{ID: "small"})
		if list, dropped := w.Take(); len(list) != 4 || list[3].ID != "small" || dropped != 7 {
			t.Errorf("%s: %d, %d dropped", name, len(list), dropped)
		}
	}
}

// Who asks for payloads and reads them has others who do not read keep none.
func TestPayloadsOfOthersAreNotKept(t *testing.T) {
	f := New()
	with, without := watch(t, f, Filter{Payload: true}), watch(t, f, Filter{})
	for range maxQueue + 10 {
		f.Report(Send{Payload: []byte(`"large"`)})
		if list, _ := with.Take(); len(list) != 1 || list[0].Payload == nil {
			t.Fatalf("who asks is told %v", list)
		}
	}
	queue, _ := without.take()
	for _, s := range queue {
		if s.Payload != nil {
			t.Fatal("a payload is kept for who did not ask")
		}
	}
	if len(queue) != maxQueue {
		t.Errorf("%d are queued", len(queue))
	}
}

func TestWatchersAreBounded(t *testing.T) {
	f := New()
	if f.Watched() {
		t.Error("somebody watches")
	}
	var list []*Watcher
	for range MaxWatchers {
		list = append(list, watch(t, f, Filter{}))
	}
	if _, err := f.Watch(Filter{}); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	list[3].Stop()
	list[3].Stop()
	select {
	case <-list[3].Over():
	default:
		t.Error("who stopped is not over")
	}
	list[3] = watch(t, f, Filter{})
	for _, w := range list {
		w.Stop()
	}
	if f.Watched() {
		t.Error("somebody watches after all have stopped")
	}
	f.Report(Send{ID: "1"})
	if got, _ := taken(list[0]); got != "" {
		t.Errorf("who stopped was told of %s", got)
	}
}

func TestClose(t *testing.T) {
	f := New()
	w := watch(t, f, Filter{})
	f.Close()
	f.Close()
	<-w.Over()
	w.Stop()
	if _, err := f.Watch(Filter{}); !errors.Is(err, ErrClosed) || f.Watched() {
		t.Errorf("after the end: %v", err)
	}
	if f.Next() == "" {
		t.Error("no id after the end")
	}
	f.Report(Send{})
}

// TestWatchChurn has watchers come and go while much is sent: what each is told and
// what it lost is all there was.
func TestWatchChurn(t *testing.T) {
	f := New()
	steady := watch(t, f, Filter{})
	var wg sync.WaitGroup
	const senders, each = 4, 2000
	for range senders {
		wg.Go(func() {
			for range each {
				f.Report(Send{ID: f.Next()})
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			for range 200 {
				w, err := f.Watch(Filter{})
				if err != nil {
					t.Error(err)
					return
				}
				w.Take()
				w.Stop()
			}
		})
	}
	done := make(chan struct{})
	go func() { // ends with those above
		wg.Wait()
		close(done)
	}()
	total := uint64(0)
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-steady.More():
		}
		list, dropped := steady.Take()
		total += uint64(len(list)) + dropped
	}
	if total != senders*each {
		t.Errorf("told of %d of %d", total, senders*each)
	}
}
