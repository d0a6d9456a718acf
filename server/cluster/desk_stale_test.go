//go:build unix

package cluster

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// A stale is a town whose engine comes back with older data.
type stale struct {
	*town
	redis *redistest.Server
	a, b  *house
	all   []*house
	rooms []string
}

// newStale is one with a in room "r", who tells the applications unless that is changed.
func newStale(t *testing.T, hold time.Duration) *stale {
	redis := redistest.Start(t)
	return newStaleOn(t, redis, shortLease(t, redis), hold)
}

func newStaleOn(t *testing.T, redis *redistest.Server, cfg Config, hold time.Duration) *stale {
	w := newTown(cfg)
	w.hold = hold
	s := &stale{town: w, redis: redis, a: w.build(t, ""), b: w.build(t, redis.Addr), rooms: []string{"alone", "r"}}
	s.all = []*house{s.a, s.b}
	s.a.mustSit("r", "a")
	s.settled(t)
	return s
}

func (s *stale) settled(t *testing.T) {
	t.Helper()
	settled(t, s.town, s.all, s.rooms)
}

// sit has b in both rooms, and waits until the applications know.
func (s *stale) sit(t *testing.T) (ids []string) {
	t.Helper()
	for _, room := range s.rooms {
		ids = append(ids, s.b.mustSit(room, "b"))
	}
	s.settled(t)
	return ids
}

func (s *stale) rise(ids []string) {
	for _, id := range ids {
		s.b.rise(id)
	}
}

// save is what the engine will come back with.
func (s *stale) save() { s.redis.Do("SAVE") }

// goesBack has the engine come back with what was saved.
func (s *stale) goesBack() {
	s.redis.Kill()
	s.redis.Run()
}

// fence has everything told that was to be told: in the same partitions another user comes and goes, and the
// applications know.
func (s *stale) fence(t *testing.T) {
	t.Helper()
	for _, room := range s.rooms {
		n := 0
		for s.a.partition(app, "fence"+strconv.Itoa(n), false) != s.a.partition(app, room, false) {
			n++
		}
		id := s.a.mustSit("fence"+strconv.Itoa(n), "u")
		s.settled(t)
		s.a.rise(id)
		s.settled(t)
	}
}

// remember has both nodes know later what they know now, as if another one had told all that was told between, and had
// ended.
func (s *stale) remember() (later func()) {
	var list []func()
	for _, h := range s.all {
		for _, room := range s.rooms {
			d := h.partition(app, room, false).desk
			d.mu.Lock()
			was := maps.Clone(d.known)
			d.mu.Unlock()
			list = append(list, func() {
				d.mu.Lock()
				d.known = was
				d.mu.Unlock()
			})
		}
	}
	return func() {
		for _, f := range list {
			f()
		}
	}
}

// remembers has a house know what all know, and the others nothing; with nil for a house nobody knows anything.
func (s *stale) remembers(who *house) {
	for _, room := range s.rooms {
		all := make(map[parted]wasTold)
		for _, h := range s.all {
			d := h.partition(app, room, false).desk
			d.mu.Lock()
			maps.Copy(all, d.known)
			d.known = nil
			d.mu.Unlock()
		}
		if who != nil {
			d := who.partition(app, room, false).desk
			d.mu.Lock()
			d.known = all
			d.mu.Unlock()
		}
	}
}

// What the applications are told of who was in which room, and b with its room too.
var (
	bWent  = []string{"alone  [true false]", "alone b [true false]", "r  [true]", "r a [true]", "r b [true false]"}
	bStays = []string{"alone  [true]", "alone b [true]", "r  [true]", "r a [true]", "r b [true]"}
)

// want compares what the applications were told, but for the fences.
func (s *stale) want(t *testing.T, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(s.due(), func(text string) bool { return strings.Contains(text, "fence") })
	if !slices.Equal(got, want) {
		t.Errorf("the applications were told %q, want %q", got, want)
	}
}

// An engine that comes back with older data does not know who came since, nor what the applications were told. The
// nodes do: whatever happened since, each who was said to come is said to go, once, and who stays is said neither.
func TestDeskOlderData(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(t *testing.T){
		"came, and went while it was away": func(t *testing.T) {
			s := newStale(t, 0)
			s.save()
			ids := s.sit(t)
			s.redis.Kill()
			s.rise(ids)
			s.redis.Run()
			s.settled(t)
			s.want(t, bWent...)
		},
		"came, and had just gone": func(t *testing.T) {
			s := newStale(t, 3*time.Second)
			s.save()
			ids := s.sit(t)
			s.rise(ids)
			until(t, "they have left", func() bool {
				count, _, err := s.a.Count(t.Context(), app, "alone")
				return len(s.a.told("went r b")) == 1 && err == nil && count == 0
			})
			s.goesBack()
			s.settled(t)
			s.want(t, bWent...)
		},
		"came, and went with its node": func(t *testing.T) {
			s := newStale(t, 0)
			s.b.Hear(app, nil) // a tells the applications, and knows
			s.save()
			s.sit(t)
			s.redis.Kill()
			s.b.kill()
			s.all = s.all[:1]
			s.redis.Run()
			s.settled(t)
			s.want(t, bWent...)
		},
		"came, and stays": func(t *testing.T) {
			s := newStale(t, 0)
			s.save()
			s.sit(t)
			s.goesBack()
			s.fence(t)
			s.want(t, bStays...)
		},
		"came and went": func(t *testing.T) {
			s := newStale(t, 0)
			s.save()
			s.rise(s.sit(t))
			s.settled(t)
			s.goesBack()
			s.settled(t)
			s.fence(t)
			s.want(t, bWent...)
		},
		"was there, and went": func(t *testing.T) {
			s := newStale(t, 0)
			ids := s.sit(t)
			s.save()
			s.rise(ids)
			s.settled(t)
			s.goesBack()
			s.settled(t)
			s.fence(t)
			s.want(t, bWent...)
		},
		"was there, went, and is back": func(t *testing.T) {
			s := newStale(t, 0)
			ids := s.sit(t)
			s.save()
			s.rise(ids)
			s.settled(t)
			s.sit(t)
			s.goesBack()
			s.fence(t)
			s.want(t, "alone  [true false true]", "alone b [true false true]", "r  [true]", "r a [true]", "r b [true false true]")
		},
		// Each time there are the same data, with a seat of b that it left at the first.
		"was there, and goes between two restarts": func(t *testing.T) {
			s := newStale(t, 0)
			ids := s.sit(t)
			s.save()
			s.goesBack()
			s.settled(t)
			s.rise(ids)
			s.settled(t)
			s.goesBack()
			s.settled(t)
			s.fence(t)
			s.want(t, bWent...)
		},
		// The first node that is back waits for what the other one knows.
		"came, and who told of it is back last": func(t *testing.T) {
			redis := redistest.Start(t)
			cfg := config(t, at(redis.Addr))
			cfg.Lease, cfg.Timeout = 30*time.Second, time.Second
			s := newStaleOn(t, redis, cfg, 0)
			s.save()
			for _, room := range s.rooms {
				s.a.mustSit(room, "c")
			}
			s.settled(t)
			s.remembers(s.b)
			s.redis.Kill()
			s.b.wire.Cut()
			s.redis.Run()
			for _, room := range s.rooms {
				s.a.insist(room, "d") // which is let in when b was waited for
			}
			s.b.wire.Heal()
			s.fence(t)
			s.want(t, "alone  [true]", "alone c [true]", "alone d [true]", "r  [true]", "r a [true]", "r c [true]", "r d [true]")
		},
		// It is told perhaps twice that they came, but not never that they went.
		"came, and went while it was away, and nobody knows": func(t *testing.T) {
			s := newStale(t, 0)
			s.save()
			ids := s.sit(t)
			s.remembers(nil)
			time.Sleep(s.cfg.Timeout + 100*time.Millisecond) // by then the applications know
			s.redis.Kill()
			s.rise(ids)
			s.redis.Run()
			s.settled(t)
		},
		"came, and had just gone, and nobody knows": func(t *testing.T) {
			s := newStale(t, 3*time.Second)
			s.save()
			ids := s.sit(t)
			s.rise(ids)
			until(t, "they have left", func() bool {
				count, _, err := s.a.Count(t.Context(), app, "alone")
				return len(s.a.told("went r b")) == 1 && err == nil && count == 0
			})
			s.remembers(nil)
			s.goesBack()
			s.settled(t)
		},
		// Nobody takes them for there: the applications were not told yet that they came.
		"came and went at once, and is back": func(t *testing.T) {
			s := newStale(t, 3*time.Second)
			s.rooms = s.rooms[1:] // in the other one there is nobody to notice
			s.save()
			for _, h := range s.all {
				h.Hear(app, nil)
			}
			s.b.rise(s.b.mustSit("r", "b"))
			until(t, "the other node has heard that it has gone", func() bool {
				there, _, err := s.a.Count(t.Context(), app, "r") // behind which it has come
				return err == nil && there == 1 && s.a.partition(app, "r", false).inbox.idle()
			})
			s.redis.Kill()
			for _, h := range s.all {
				h.Hear(app, h)
			}
			s.redis.Run()
			s.b.insist("r", "b")
			s.settled(t)
			s.want(t, "r  [true]", "r a [true]", "r b [true]")
		},
		// What a node knows is not newer than data that have what another one, which has ended, told since.
		"came and went long before": func(t *testing.T) {
			s := newStale(t, 0)
			ids := s.sit(t)
			ends := s.remember()
			s.rise(ids)
			s.settled(t)
			s.fence(t)
			ends()
			s.save()
			s.goesBack()
			s.settled(t)
			s.fence(t)
			s.want(t, bWent...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t)
		})
	}
}
