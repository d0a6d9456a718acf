package returning

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

const (
	app      = "app"
	roomCost = 90
)

var kept = history.Config{Age: time.Minute, Bytes: 1 << 20, Events: 1000}

// A client is one that is connected; nobody reads what it is told.
type client struct {
	sub   *hub.Subscriber
	trail *hub.Trail
	left  map[string]bool // rooms that it has left and joined anew
}

func (*client) Deliver([]byte) bool { return true }

type encoder struct{}

func (encoder) Encode(p *hub.Publication) []byte { return p.Data }

type (
	state  = State[*client, string]
	states = States[*client, string]
)

// newClient is one that is in so many rooms.
func newClient(t testing.TB, h *hub.Hub, sid string, rooms ...string) *client {
	t.Helper()
	c := &client{trail: new(hub.Trail)}
	c.sub, _ = h.RegisterKept(app, sid, 5, encoder{}, c, c.trail)
	for _, room := range rooms {
		h.Publish(&hub.Publication{App: app, Room: "other", Event: "e"})
		if err := h.JoinKept(c.sub, c.trail, room); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func stateFor(n int, rooms ...string) *state {
	return &state{PID: pidOf(n), SID: fmt.Sprint("sid-", n), Start: hub.Position{Epoch: 7, Number: uint64(n)}, Rooms: rooms}
}

func statesOf(most time.Duration, bytes int64) *states {
	return New(Config[*client, string]{
		Hub: hub.NewWith(nil, history.New(kept, app)), Most: most, Bytes: bytes, RoomCost: roomCost,
		Seats: func(c *client) Seats[string] {
			return Seats[string]{Rooms: c.sub.Rooms(), Sub: c.sub, Trail: c.trail, Left: func(room string) bool { return c.left[room] }}
		},
	})
}

// keep has a client be away from now on.
func keep(a *states, st *state, from netip.Addr, left time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(st, from, time.Now().Add(left))
}

// pid is that of a state, whose name comes first.
func pidOf(n int) string { return fmt.Sprintf("%0*d%0*d", pidName, n, pidSecret, n) }

func saveStates(t testing.TB, a *states) []byte {
	t.Helper()
	b := new(bytes.Buffer)
	w := handover.NewWriter(context.Background(), b)
	a.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func restoreStates(a *states, part []byte) error {
	return a.Restore(handover.NewReader(bytes.NewReader(part), int64(len(part))))
}

// Who is away, and who is still there, may come back to the next process, for as long as to
// this one and within its bounds.
func TestStatesAreHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := statesOf(time.Minute, 1<<20)
		c := newClient(t, a.cfg.Hub, "here", "room of who is here", "room before")
		here := &state{PID: pidOf(4), SID: "here", Start: hub.Position{Epoch: 7, Number: 9}, Joined: map[string]uint64{"room before": 1}} // on a connection that is over
		_, here.Log = a.cfg.Hub.Joined(c.sub, c.trail)
		a.Resume(c, here)
		for n := range 3 {
			st := stateFor(n, "a", "room \xff")
			st.Joined = map[string]uint64{"a": 1 << 40}
			keep(a, st, netip.Addr{}, a.cfg.Most)
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
		if b.size != a.size+stateCost+int64(len("room before"+"room of who is here"))+2*roomCost {
			t.Errorf("%d bytes, %d before", b.size, a.size)
		}
		time.Sleep(20 * time.Second) // the first is away for too long
		if st, _ := b.Take(pidOf(0)); st != nil {
			t.Error("back after more than a minute")
		}
		wrong := pidOf(1)
		if st, _ := b.Take(wrong[:pidName+pidSecret-1] + "x"); st != nil {
			t.Error("another secret is good")
		}
		st, old := b.Take(pidOf(1))
		if st == nil || old != nil || st.SID != "sid-1" || st.Start != (hub.Position{Epoch: 7, Number: 1}) || !slices.Equal(st.Rooms, []string{"a", "room \xff"}) ||
			st.Joined["a"] != 1<<40 || st.Joined["room \xff"] != 0 {
			t.Fatalf("%+v", st)
		}
		if again, _ := b.Take(pidOf(1)); again != nil {
			t.Error("a pid is good twice")
		}
		if st, _ := b.Take(pidOf(4)); st == nil || st.SID != "here" || !slices.Equal(slices.Sorted(slices.Values(st.Rooms)), []string{"room before", "room of who is here"}) ||
			st.Start.Number != 9 || st.Joined["room before"] != 1 || st.Joined["room of who is here"] != 1 {
			t.Errorf("who was here is %+v", st)
		}
		// Less room, and less time.
		few := statesOf(15*time.Second, 2*(stateCost+2*roomCost+20))
		if err := restoreStates(few, part); err != nil {
			t.Fatal(err)
		}
		if few.away.Len() != 2 || few.size > few.cfg.Bytes {
			t.Errorf("%d of %d bytes", few.away.Len(), few.size)
		}
		time.Sleep(15 * time.Second)
		if st, _ := few.Take(pidOf(4)); st != nil {
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
	keep(a, stateFor(1, strings.Repeat("r", 1<<20)), netip.Addr{}, time.Hour)
	keep(a, stateFor(2, "a"), netip.Addr{}, time.Hour)
	disk := &stalledDisk{make(chan struct{}, 1), make(chan struct{})}
	saved := make(chan error, 1)
	go func() { // ends with letGo
		w := handover.NewWriter(context.Background(), disk)
		a.Save(w)
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
		"as many rooms":         {hub.Position{Epoch: 7}, maxRooms, true},
		"more rooms":            {hub.Position{Epoch: 7}, maxRooms + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			st := stateFor(1, make([]string, row.rooms)...)
			st.Start = row.start
			a := statesOf(time.Hour, 1<<30)
			keep(a, st, netip.Addr{}, time.Hour)
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
		keep(a, st, netip.Addr{}, 50*365*24*time.Hour)
	}
	f.Add(saveStates(f, a))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := statesOf(50*365*24*time.Hour, 1000)
		_ = restoreStates(b, data)
		n, size := 0, int64(0)
		for e := b.away.Front(); e != nil; e = e.Next() {
			st := e.Value.(*state)
			if b.byName[st.PID[:pidName]] != st {
				t.Error("it cannot be found")
			}
			n, size = n+1, size+st.cost
		}
		if n != len(b.byName) || size != b.size || size > b.cfg.Bytes {
			t.Errorf("%d of %d, %d bytes of %d", n, len(b.byName), size, b.size)
		}
	})
}

// leaves has a client go that was in one room.
func leaves(a *states, n int, address string) {
	var from netip.Addr
	if address != "" {
		from = netip.MustParseAddr(address)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(stateFor(n, "r"), from, time.Now().Add(a.cfg.Most))
	a.expire(time.Now())
}

// left are the first hundred who may come back.
func left(a *states) (list []int) {
	for n := range 100 {
		if a.byName[pidOf(n)[:pidName]] != nil {
			list = append(list, n)
		}
	}
	return list
}

// A network from where many come and go forgets its own when there is no room, and those of others
// stay; as long as there is room it may have all of it.
func TestOneNetworkForgetsItsOwn(t *testing.T) {
	const cost = stateCost + 1 + roomCost
	a := statesOf(time.Minute, 8*cost)
	leaves(a, 0, "")
	leaves(a, 1, "192.0.2.1")
	leaves(a, 2, "192.0.2.2")
	for n := 10; n < 15; n++ {
		leaves(a, n, "203.0.113.9")
	}
	if got, want := left(a), []int{0, 1, 2, 10, 11, 12, 13, 14}; !slices.Equal(got, want) {
		t.Errorf("with room for all there are %v", got)
	}
	for n := 15; n < 50; n++ {
		leaves(a, n, "203.0.113.9")
	}
	leaves(a, 3, "192.0.2.1")
	leaves(a, 4, "")
	if got, want := left(a), []int{0, 1, 2, 3, 4, 47, 48, 49}; !slices.Equal(got, want) {
		t.Errorf("strangers leave %v, want %v", got, want)
	}
	// Where none has much, who left first goes.
	for n := range 4 {
		leaves(a, 50+n, fmt.Sprint("198.51.100.", n))
	}
	if got, want := left(a), []int{3, 4, 48, 49, 50, 51, 52, 53}; !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	// Nothing stays behind.
	for _, n := range left(a) {
		a.Take(pidOf(n))
	}
	if a.size != 0 || a.away.Len() != 0 || len(a.crowds) != 0 || len(a.large) != 0 {
		t.Errorf("%d bytes, %d in the list, %d networks and %d large ones of nobody", a.size, a.away.Len(), len(a.crowds), len(a.large))
	}
}

// TestForm has a part be what processes before this one have written.
func TestForm(t *testing.T) {
	a := statesOf(time.Minute, 1<<20)
	a.cfg.Member = &Member[string]{
		Has:     func(room string) bool { return room == "b" },
		Cost:    func(m string) int64 { return int64(len(m)) },
		Save:    func(w *handover.Writer, m string) { w.Text(m) },
		Restore: func(r *handover.Reader) string { return r.Text() },
	}
	st := stateFor(1, "a", "b")
	st.Joined, st.Members = map[string]uint64{"a": 3, "b": 4}, map[string]string{"b": "who"}
	keep(a, st, netip.Addr{}, time.Minute)
	if want := int64(stateCost + 2 + 2*roomCost + len("who")); a.size != want {
		t.Errorf("takes %d, want %d", a.size, want)
	}
	want := new(bytes.Buffer)
	w := handover.NewWriter(t.Context(), want)
	w.Uint(1)
	w.Text(st.PID)
	w.Text("sid-1")
	w.Uint(7)
	w.Uint(1)
	w.Uint(uint64(st.until.UnixNano()))
	w.Uint(2)
	w.Text("a")
	w.Uint(3)
	w.Text("b")
	w.Uint(4)
	w.Text("who")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := saveStates(t, a); !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%q\nwant %q", got, want.Bytes())
	}
	b := statesOf(time.Minute, 1<<20)
	b.cfg.Member = a.cfg.Member
	if err := restoreStates(b, want.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.Take(st.PID); got == nil || got.Members["b"] != "who" || len(got.Members) != 1 {
		t.Errorf("%+v", got)
	}
}
