//go:build unix

package cluster

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// Whatever happens to three nodes, at each quiet moment all know what is true, and nobody was told
// what cannot be.
func TestDeskModel(t *testing.T) {
	t.Parallel()
	deskSeeds.each(t, runDeskModel)
}

// So it is where the engine goes back to older data, again and again; and as long as the nodes live nobody is
// told anything twice.
func TestDeskModelOlderData(t *testing.T) {
	t.Parallel()
	olderSeeds.each(t, runOlderModel)
}

var (
	deskSeeds  = newSeeds("desk.seed", 1, 2)
	olderSeeds = newSeeds("desk.older.seed", 1, 34)
)

func runOlderModel(t *testing.T, dice *rand.Rand) {
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease, cfg.Timeout = 8*time.Second, time.Second // no node is given up by chance
	w := newTown(cfg)
	w.hold = time.Duration(dice.IntN(2)) * 500 * time.Millisecond
	rooms := []string{"r0", "r1", "r2", "r3", "r4"}
	list := []*house{w.build(t, redis.Addr), w.build(t, redis.Addr), w.build(t, redis.Addr)}
	redis.Do("SAVE")
	for range 8 {
		var wait sync.WaitGroup
		for _, h := range list {
			mine := rand.New(rand.NewPCG(dice.Uint64(), 2))
			wait.Go(func() { h.live(mine, rooms) })
		}
		pause := time.Duration(dice.IntN(60)) * time.Millisecond
		time.Sleep(pause) // how far it is by then is the dice's
		switch n := dice.IntN(6); n {
		case 0:
			redis.Do("SAVE")
		case 1, 2, 3:
			redis.Kill()
			time.Sleep(pause)
			redis.Run()
		case 4:
			h := list[dice.IntN(len(list))]
			redis.Kill()
			h.wire.Cut() // it is back last
			redis.Run()
			time.Sleep(10 * pause)
			h.wire.Heal()
		}
		wait.Wait()
		settled(t, w, list, rooms)
	}
	for _, text := range w.due() {
		if strings.Contains(text, " again ") {
			t.Error("the applications were told twice:", text)
		}
	}
}

func runDeskModel(t *testing.T, dice *rand.Rand) {
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Lease, cfg.Timeout = 3*time.Second, time.Second
	w := newTown(cfg)
	rooms := []string{"r0", "r1", "r2", "r3", "r4"}
	list := []*house{w.build(t, redis.Addr), w.build(t, redis.Addr), w.build(t, redis.Addr)}
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); {
		var wait sync.WaitGroup
		for _, h := range list {
			mine := rand.New(rand.NewPCG(dice.Uint64(), 2))
			wait.Go(func() { h.live(mine, rooms) })
		}
		n := dice.IntN(6)
		victim := dice.IntN(len(list))
		pause := time.Duration(dice.IntN(300)) * time.Millisecond
		time.Sleep(pause) // how far it is by then is the dice's
		switch n {
		case 0, 1:
			h := list[victim]
			h.wire.Cut()
			time.Sleep(pause)
			h.wire.Heal()
		case 2: // longer than its lease
			h := list[victim]
			h.wire.Cut()
			time.Sleep(cfg.Lease + time.Second + pause)
			h.wire.Heal()
		case 4: // all want the same while the engine stands still
			room := rooms[dice.IntN(len(rooms))]
			redis.Signal(syscall.SIGSTOP)
			for _, h := range list {
				wait.Go(func() { h.insist(room, "u0") })
			}
			time.Sleep(cfg.Timeout + 3*pause)
			redis.Signal(syscall.SIGCONT)
		}
		wait.Wait()
		if n == 3 {
			list[victim].kill()
			list[victim] = w.build(t, redis.Addr)
		}
		settled(t, w, list, rooms)
	}
}

// live has connections of a node come and go.
func (h *house) live(dice *rand.Rand, rooms []string) {
	for range 60 {
		h.mu.Lock()
		ids := slices.Sorted(maps.Keys(h.guests))
		h.mu.Unlock()
		if len(ids) > 0 && dice.IntN(10) < 3+len(ids)/3 {
			h.rise(ids[dice.IntN(len(ids))])
			continue
		}
		_, err := h.sit(rooms[dice.IntN(len(rooms))], "u"+strconv.Itoa(dice.IntN(4)))
		if err != nil && !errors.Is(err, presence.ErrAway) {
			h.t.Error(err)
		}
	}
}

// insist has a user enter a room until it is let in.
func (h *house) insist(room, user string) {
	for {
		_, err := h.sit(room, user)
		if err == nil {
			return
		}
		if !errors.Is(err, presence.ErrAway) {
			h.t.Error(err)
			return
		}
	}
}
