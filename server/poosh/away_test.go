package poosh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
	"poosh/server/hub/history"
)

func stateFor(n int, rooms ...string) *state {
	return &state{pid: pidOf(n), sid: fmt.Sprint("sid-", n), start: hub.Position{Epoch: 7, Number: uint64(n)}, rooms: rooms}
}

func statesOf(most time.Duration, bytes int64) *states {
	a := new(states)
	a.init(hub.NewWith(nil, history.New(kept, App)), most, bytes)
	return a
}

// pid is that of a state, whose name comes first.
func pidOf(n int) string { return fmt.Sprintf("%0*d%0*d", pidName, n, pidSecret, n) }

func saveStates(t testing.TB, a *states) []byte {
	t.Helper()
	b := new(bytes.Buffer)
	w := handover.NewWriter(context.Background(), b)
	a.save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func restoreStates(a *states, part []byte) error {
	return a.restore(handover.NewReader(bytes.NewReader(part), int64(len(part))))
}

// Who is away, and who is still there, may come back to the next process, for as long as to
// this one and within its bounds.
func TestStatesAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := statesOf(time.Minute, 1<<20)
		h := a.hub
		here := &state{pid: pidOf(4), sid: "here", start: hub.Position{Epoch: 7, Number: 9}}
		l := &listener{trail: new(hub.Trail)}
		l.sub, _ = h.RegisterKept(App, "here", 5, Encoder, nil, l.trail)
		for _, room := range []string{"room of who is here", "room before"} {
			h.Publish(&hub.Publication{App: App, Room: "other", Event: "e"})
			if err := l.enter(h, room); err != nil {
				t.Fatal(err)
			}
		}
		here.joined = map[string]uint64{"room before": 1} // on a connection that is over
		_, here.log = a.hub.Joined(l.sub, l.trail)
		a.resume(l, nil, here)
		for n := range 3 {
			st := stateFor(n, "a", "room \xff")
			st.joined = map[string]uint64{"a": 1 << 40}
			a.keep(st, time.Now().Add(a.most))
			time.Sleep(15 * time.Second)
		}
		part := saveStates(t, a)
		if here.open == nil || len(a.byName) != 4 {
			t.Error("saving has changed something")
		}
		b := statesOf(time.Minute, 1<<20)
		if err := restoreStates(b, part); err != nil {
			t.Fatal(err)
		}
		if b.size != a.size+stateCost+int64(len("room before"+"room of who is here"))+2*stateRoomCost {
			t.Errorf("%d bytes, %d before", b.size, a.size)
		}
		time.Sleep(20 * time.Second) // the first is away for too long
		if st, _ := b.take(pidOf(0)); st != nil {
			t.Error("back after more than a minute")
		}
		wrong := pidOf(1)
		if st, _ := b.take(wrong[:pidName+pidSecret-1] + "x"); st != nil {
			t.Error("another secret is good")
		}
		st, old := b.take(pidOf(1))
		if st == nil || old != nil || st.sid != "sid-1" || st.start != (hub.Position{Epoch: 7, Number: 1}) || !slices.Equal(st.rooms, []string{"a", "room \xff"}) ||
			st.joined["a"] != 1<<40 || st.joined["room \xff"] != 0 {
			t.Fatalf("%+v", st)
		}
		if again, _ := b.take(pidOf(1)); again != nil {
			t.Error("a pid is good twice")
		}
		if st, _ := b.take(pidOf(4)); st == nil || st.sid != "here" || !slices.Equal(slices.Sorted(slices.Values(st.rooms)), []string{"room before", "room of who is here"}) ||
			st.start.Number != 9 || st.joined["room before"] != 1 || st.joined["room of who is here"] != 1 {
			t.Errorf("who was here is %+v", st)
		}
		// Less room, and less time.
		few := statesOf(15*time.Second, 2*(stateCost+2*stateRoomCost+20))
		if err := restoreStates(few, part); err != nil {
			t.Fatal(err)
		}
		if few.away.Len() != 2 || few.size > few.bytes {
			t.Errorf("%d of %d bytes", few.away.Len(), few.size)
		}
		time.Sleep(15 * time.Second)
		if st, _ := few.take(pidOf(4)); st != nil {
			t.Error("back later than this process gives")
		}
	})
}

// A stalledDisk takes nothing until it is let go.
type stalledDisk struct{ begun, letGo chan struct{} }

func (d *stalledDisk) Write(b []byte) (int, error) {
	select {
	case d.begun <- struct{}{}:
	default:
	}
	<-d.letGo
	return len(b), nil
}

// Whatever the disk does, clients come and go meanwhile.
func TestNobodyWaitsForTheDisk(t *testing.T) {
	a := statesOf(time.Hour, 1<<30)
	a.keep(stateFor(1, strings.Repeat("r", 1<<20)), time.Now().Add(time.Hour))
	a.keep(stateFor(2, "a"), time.Now().Add(time.Hour))
	disk := &stalledDisk{make(chan struct{}, 1), make(chan struct{})}
	saved := make(chan error, 1)
	go func() { // ends with letGo
		w := handover.NewWriter(context.Background(), disk)
		a.save(w)
		saved <- w.Flush()
	}()
	<-disk.begun
	if a.mu.TryLock() {
		a.mu.Unlock()
	} else {
		t.Error("the states are held while they are written")
	}
	close(disk.letGo)
	if err := <-saved; err != nil {
		t.Error(err)
	}
}

// A state that nobody can have had is refused: a client with it would be told that nothing is
// missing, or take more than a client may.
func TestStatesThatNobodyHad(t *testing.T) {
	for name, row := range map[string]struct {
		start hub.Position
		rooms int
		want  bool
	}{
		"one":                   {hub.Position{Epoch: 7}, 2, true},
		"of no log":             {hub.Position{}, 2, false},
		"of no log, later":      {hub.Position{Number: 3}, 2, false},
		"of an epoch too large": {hub.Position{Epoch: 1 << 50, Number: 3}, 2, false},
		"a number too large":    {hub.Position{Epoch: 7, Number: 1 << 50}, 2, false},
		"as many rooms":         {hub.Position{Epoch: 7}, maxStateRooms, true},
		"more rooms":            {hub.Position{Epoch: 7}, maxStateRooms + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			st := stateFor(1, make([]string, row.rooms)...)
			st.start = row.start
			a := statesOf(time.Hour, 1<<30)
			a.keep(st, time.Now().Add(time.Hour))
			b := statesOf(time.Hour, 1<<30)
			err := restoreStates(b, saveStates(t, a))
			if (err == nil) != row.want || err != nil && !errors.Is(err, handover.ErrBroken) || (len(b.byName) == 1) != row.want {
				t.Errorf("%v, %d clients", err, len(b.byName))
			}
		})
	}
}

// FuzzStates reads any part: no more is kept than may be.
func FuzzStates(f *testing.F) {
	a := statesOf(time.Hour, 1<<20)
	for n := range 3 {
		st := stateFor(n, "a", strings.Repeat("b", n))
		a.keep(st, time.Now().Add(50*365*24*time.Hour))
	}
	f.Add(saveStates(f, a))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := statesOf(50*365*24*time.Hour, 1000)
		_ = restoreStates(b, data)
		n, size := 0, int64(0)
		for e := b.away.Front(); e != nil; e = e.Next() {
			st := e.Value.(*state)
			if b.byName[st.pid[:pidName]] != st {
				t.Error("it cannot be found")
			}
			n, size = n+1, size+st.cost
		}
		if n != len(b.byName) || size != b.size || size > b.bytes {
			t.Errorf("%d of %d, %d bytes of %d", n, len(b.byName), size, b.size)
		}
	})
}

// A network from where many come and go forgets its own when there is no room, and those of others
// stay; as long as there is room it may have all of it.
func TestOneNetworkForgetsItsOwn(t *testing.T) {
	const cost = stateCost + 1 + stateRoomCost
	a := statesOf(time.Minute, 8*cost)
	leaves := func(n int, address string) {
		st := stateFor(n, "r")
		if address != "" {
			st.network = netip.MustParseAddr(address)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.keep(st, time.Now().Add(time.Minute))
		a.expire(time.Now())
	}
	left := func() (list []int) {
		for n := range 100 {
			if a.byName[pidOf(n)[:pidName]] != nil {
				list = append(list, n)
			}
		}
		return list
	}
	leaves(0, "")
	leaves(1, "192.0.2.1")
	leaves(2, "192.0.2.2")
	for n := 10; n < 15; n++ {
		leaves(n, "203.0.113.9")
	}
	if got, want := left(), []int{0, 1, 2, 10, 11, 12, 13, 14}; !slices.Equal(got, want) {
		t.Errorf("with room for all there are %v", got)
	}
	for n := 15; n < 50; n++ {
		leaves(n, "203.0.113.9")
	}
	leaves(3, "192.0.2.1")
	leaves(4, "")
	if got, want := left(), []int{0, 1, 2, 3, 4, 47, 48, 49}; !slices.Equal(got, want) {
		t.Errorf("strangers leave %v, want %v", got, want)
	}
	// Where none has much, who left first goes.
	for n := range 4 {
		leaves(50+n, fmt.Sprint("198.51.100.", n))
	}
	if got, want := left(), []int{3, 4, 48, 49, 50, 51, 52, 53}; !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	// Nothing stays behind.
	for _, n := range left() {
		a.take(pidOf(n))
	}
	if a.size != 0 || a.away.Len() != 0 || len(a.crowds) != 0 || len(a.large) != 0 {
		t.Errorf("%d bytes, %d in the list, %d networks and %d large ones of nobody", a.size, a.away.Len(), len(a.crowds), len(a.large))
	}
}
