//go:build unix

package cluster

import (
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
)

// A busy is a house whose application is told of something, and is not done with it for a while.
type busy struct {
	presence.Listener
	told chan func()
}

func (b *busy) Due(_ presence.Happening, done func()) { b.told <- done }

// A node may have to say twice to one log what the applications were told: it is given up before it has said all. What
// it is about to tell them is still its own to tell.
func TestDeskSaysTwiceWhatWasTold(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := newTown(shortLease(t, redis)).build(t, "")
	redis.Do("SAVE")
	busyApp := &busy{a, make(chan func(), 8)}
	a.Hear(app, busyApp)
	id := a.mustSit("r", "u")
	done := []func(){<-busyApp.told, <-busyApp.told} // that the room is in use, and that u is there
	redis.Kill()
	redis.Run()
	d := a.partition(app, "r", false).desk
	said := func(what string, seat uint64) {
		t.Helper()
		until(t, what, func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.seat.before.young && d.seat.number > seat && !d.seat.lost && d.seat.all && d.doubt == nil && d.held.IsZero()
		})
	}
	said("all is said to the engine with older data", 1)
	d.mu.Lock()
	d.seat.silent = true // as it is until all is said
	d.lose()
	number := d.seat.number
	d.mu.Unlock()
	d.wakeUp()
	said("all is said once more", number)
	for _, f := range done {
		f()
	}
	until(t, "the engine knows that the application was told", func() bool {
		return redis.Do("EVAL", "return table.concat(redis.call('HVALS', KEYS[1]), ' ')", "1", string(d.p.tag)+":dt:"+app+"\x00r") == "1 1"
	})
	a.rise(id)
	until(t, "the application is told that it went, and the room is in use no more", func() bool { return len(busyApp.told) == 2 })
}
