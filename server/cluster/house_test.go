package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/presence"
)

// A house is a node with its hub, and what it was told.
type house struct {
	*Cluster
	t    testing.TB
	hub  *hub.Hub
	log  *logged
	wire *redistest.Wire // to the engine; nil for none of its own
	town *town

	mu     sync.Mutex                 // guards what follows
	tale   map[string]map[string]bool // who is in rooms by what was told
	news   []string
	faults []string
	guests map[string]*guest // by id
	deaf   bool              // it is told what is due, and never done with it
}

// A guest is a connection in a room.
type guest struct {
	sub        *hub.Subscriber
	room, user string
}

func (*guest) Deliver([]byte) bool { return true }

type plain struct{}

func (plain) Encode(p *hub.Publication) []byte { return p.Data }

// A town is nodes on one engine, and what the applications were told by all.
type town struct {
	cfg  Config
	hold time.Duration // of who leaves

	mu   sync.Mutex // guards what follows
	told map[string][]bool
	ends int // of those told, how many were that something ended
	last int
}

func newTown(cfg Config) *town { return &town{cfg: cfg, told: make(map[string][]bool)} }

// build adds a node to the town, by a wire of its own if addr is not empty.
func (w *town) build(t testing.TB, addr string) *house {
	t.Helper()
	cfg := w.cfg
	h := &house{t: t, town: w, log: &logged{}, tale: make(map[string]map[string]bool), guests: make(map[string]*guest)}
	if addr != "" {
		h.wire = redistest.NewWire(t, addr)
		cfg.Redis, _ = ParseEngine(at(h.wire.Addr))
	}
	h.Cluster = New(cfg)
	h.hub = hub.NewWith(h.Cluster, nil)
	opt := Options{Log: slog.New(slog.NewTextHandler(h.log, nil)), Version: "test", Deliver: h.hub.DeliverAt, Mirror: h.hub,
		Missed: func(string, string, bool, hub.Position) {}}
	if err := h.Join(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
	h.Hear(app, h)
	t.Cleanup(func() {
		h.leaveNow()
		if t.Failed() {
			t.Logf("%s says\n%s", h.Name(), h.log)
		}
	})
	return h
}

func (h *house) leaveNow() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = h.Close(ctx)
}

// kill has the node be gone from one moment to the next.
func (h *house) kill() {
	h.wire.Cut()
	h.leaveNow()
}

func (h *house) note(format string, args ...any) {
	h.news = append(h.news, fmt.Sprintf(format, args...))
}

func (h *house) Came(room string, m hub.Member, _ string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note("came %s %s", room, m.ID)
	in := h.tale[room]
	if in == nil {
		return // nobody sits there
	}
	if in[m.ID] {
		h.faults = append(h.faults, "came twice: "+room+" "+m.ID)
	}
	in[m.ID] = true
}

func (h *house) Went(room, user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note("went %s %s", room, user)
	in := h.tale[room]
	if in == nil {
		return
	}
	if !in[user] {
		h.faults = append(h.faults, "went and was not there: "+room+" "+user)
	}
	delete(in, user)
}

func (h *house) Occupied(room string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note("occupied %s", room)
}

func (h *house) Vacated(string)      {}
func (h *house) Counted(string, int) {}

func (h *house) Due(what presence.Happening, done func()) {
	h.mu.Lock()
	deaf := h.deaf
	h.note("due %s %s %v", what.Room, what.User, what.There)
	h.mu.Unlock()
	if deaf {
		return
	}
	h.town.mu.Lock()
	key := what.Room + " " + what.User
	if !what.There {
		h.town.ends++
	}
	if list := h.town.told[key]; len(list) == 0 || list[len(list)-1] != what.There {
		h.town.told[key] = append(list, what.There)
	} else {
		h.town.told[key+" again"] = append(h.town.told[key+" again"], what.There)
	}
	h.town.mu.Unlock()
	done()
}

func (h *house) told(prefix string) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.news {
		if strings.HasPrefix(n, prefix) {
			list = append(list, n)
		}
	}
	return list
}

// due is what the applications were told, in order of rooms and users.
func (w *town) due() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, all := range w.told {
		list = append(list, fmt.Sprint(key, " ", all))
	}
	slices.Sort(list)
	return list
}

// sit has a connection enter a room, and waits for the answer.
func (h *house) sit(room, user string) (id string, err error) {
	h.town.mu.Lock()
	h.town.last++
	id = "s" + strconv.Itoa(h.town.last)
	h.town.mu.Unlock()
	r := h.hub.Open(app, room)
	e := h.entry(room, user, id)
	e.Only = user != "" && !r.Here(user)
	done := make(chan error, 2)
	h.Enter(e, func(_ presence.Seated, err error) {
		defer r.Close()
		if err == nil {
			h.seat(r, &e)
		}
		done <- err
	})
	select {
	case err = <-done:
	case <-time.After(time.Minute):
		h.t.Fatal("enter is not answered")
	}
	return id, err
}

func (h *house) entry(room, user, id string) presence.Entry {
	return presence.Entry{App: app, Room: room, User: user, Info: []byte("info"), Socket: id, Counted: true, Told: true, Hold: h.town.hold}
}

func (h *house) seat(r *hub.Roster, e *presence.Entry) {
	g := &guest{room: e.Room, user: e.User}
	g.sub = h.hub.Register(app, e.Socket, 10, plain{}, g)
	if _, err := r.Join(g.sub, hub.Member{ID: e.User, Info: e.Info}); err != nil {
		h.t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guests[e.Socket] = g
	if h.tale[e.Room] == nil {
		in := make(map[string]bool)
		for _, m := range h.hub.Members(app, e.Room) {
			in[m.ID] = true
		}
		h.tale[e.Room] = in
	}
}

func (h *house) mustSit(room, user string) string {
	h.t.Helper()
	id, err := h.sit(room, user)
	if err != nil {
		h.t.Fatalf("%s enters %s: %v", user, room, err)
	}
	return id
}

// rise has a connection leave.
func (h *house) rise(id string) {
	h.mu.Lock()
	g := h.guests[id]
	delete(h.guests, id)
	h.mu.Unlock()
	r := h.hub.Open(app, g.room)
	_, last := r.Leave(g.sub, g.user)
	h.mu.Lock()
	if !slices.ContainsFunc(slices.Collect(maps.Values(h.guests)), func(o *guest) bool { return o.room == g.room }) {
		delete(h.tale, g.room)
	}
	h.mu.Unlock()
	e := h.entry(g.room, g.user, id)
	e.Only = last
	h.Leave(e)
	r.Close()
	h.hub.Unregister(g.sub)
}

// isSo reports whether a node says of all rooms what is true, and what is wrong if not.
func (h *house) isSo(truth map[string][]string, rooms []string) string {
	for _, room := range rooms {
		users := slices.Compact(slices.Sorted(slices.Values(truth[room])))
		c, u, err := h.Count(h.t.Context(), app, room)
		if err != nil || c != len(truth[room]) || u != len(users) {
			return fmt.Sprintf("%s counts %d and %d in %s, %v: want %d and %d", h.Name(), c, u, room, err, len(truth[room]), len(users))
		}
		all, err := h.Members(h.t.Context(), app, room)
		var ids []string
		for _, m := range all {
			ids = append(ids, m.ID)
		}
		slices.Sort(ids)
		if err != nil || !slices.Equal(ids, users) {
			return fmt.Sprintf("%s has %v in %s, %v: want %v", h.Name(), ids, room, err, users)
		}
		h.mu.Lock()
		in := h.tale[room]
		tale := slices.Sorted(maps.Keys(in))
		h.mu.Unlock()
		if in != nil && !slices.Equal(tale, users) {
			return fmt.Sprintf("%s was told of %v in %s: want %v", h.Name(), tale, room, users)
		}
	}
	var list []string
	for r, err := range h.Rooms(h.t.Context(), app, "") {
		if err != nil {
			return err.Error()
		}
		list = append(list, r.Room)
	}
	var want []string
	for room, in := range truth {
		if len(in) > 0 {
			want = append(want, room)
		}
	}
	slices.Sort(want)
	if !slices.Equal(list, want) {
		return fmt.Sprintf("%s lists %v: want %v", h.Name(), list, want)
	}
	return ""
}

// toldIsSo reports whether the applications know what is true, and what is wrong if not.
func (w *town) toldIsSo(truth map[string][]string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := make(map[string]bool)
	for room, users := range truth {
		for _, u := range users {
			want[room+" "], want[room+" "+u] = true, true
		}
	}
	for key, list := range w.told {
		if strings.HasSuffix(key, " again") {
			continue
		}
		if last := list[len(list)-1]; last != want[key] {
			return fmt.Sprintf("the applications were told %v of %q", list, key)
		}
		delete(want, key)
	}
	for key := range want {
		return fmt.Sprintf("the applications were told nothing of %q", key)
	}
	return ""
}

// truthOf is who sits where, over all nodes.
func truthOf(list []*house) map[string][]string {
	truth := make(map[string][]string)
	for _, h := range list {
		h.mu.Lock()
		for _, g := range h.guests {
			truth[g.room] = append(truth[g.room], g.user)
		}
		h.mu.Unlock()
	}
	return truth
}

// settled waits until all nodes, and the applications, know what is true.
func settled(t *testing.T, w *town, list []*house, rooms []string) {
	t.Helper()
	truth := truthOf(list)
	wrong := ""
	end := time.Now().Add(45 * time.Second)
	for {
		wrong = w.toldIsSo(truth)
		for _, h := range list {
			if why := h.isSo(truth, rooms); why != "" {
				wrong = why
			}
		}
		if wrong == "" {
			break
		}
		if time.Now().After(end) {
			t.Fatal(wrong)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, h := range list {
		h.mu.Lock()
		if len(h.faults) > 0 {
			t.Errorf("%s was told what cannot be: %q", h.Name(), h.faults)
		}
		h.mu.Unlock()
		if err := h.hub.Check(); err != nil {
			t.Error(err)
		}
	}
}

// fill has connections enter at once, and waits until all are let in.
func (h *house) fill(list []presence.Entry) {
	h.t.Helper()
	done := make(chan error, len(list))
	for _, e := range list {
		h.Enter(e, func(_ presence.Seated, err error) { done <- err })
	}
	for range list {
		if err := <-done; err != nil {
			h.t.Fatal(err)
		}
	}
}
