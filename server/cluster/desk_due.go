package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"poosh/server/guard"
	"poosh/server/presence"
)

const (
	dueAtOnce = 64 // happenings that are taken in one command
	dueOfApp  = 16 // those of them that are one app's
	dueMost   = 64 // that this node tells of at once, of one app in each partition
)

// A happening is one in a room of an app.
type happening struct {
	app string
	presence.Happening
}

// happening is what the applications were told by a step that says so.
func (s *step) happening() happening {
	e := &s.entry
	return happening{e.App, presence.Happening{Room: e.Room, User: e.User, There: string(e.Info) == "1"}}
}

// step is the step that says what became of it.
func (h *happening) step(kind byte) *step {
	s := &step{kind: kind}
	s.entry.App, s.entry.Room, s.entry.User, s.entry.Info = h.app, h.Room, h.User, []byte("0")
	if h.There {
		s.entry.Info = []byte("1")
	}
	return s
}

// A taken is a happening that this node took, to tell the applications.
type taken struct {
	over bool // it has been told, or is given back; guarded by desk.mu
}

// takeDue takes what the applications are to be told, and has them told. It reports whether there
// may be more. Each app has a share of its own: what one of them does not take holds up no other.
func (d *desk) takeDue(l *link) bool {
	apps := d.p.c.heardApps()
	d.mu.Lock()
	now := time.Now()
	poll := now.Add(d.p.c.cfg.Lease / 2)
	if now.Before(d.dueAt) {
		d.mu.Unlock()
		return false
	}
	d.dueAt = poll // who took what is due may be gone before it has told of it
	name := d.seat.name
	args := []string{name, strconv.Itoa(dueAtOnce), strconv.Itoa(dueOfApp), strconv.Itoa(len(d.telling))}
	all := len(args)
	for _, app := range apps {
		if room := dueMost - d.tells[app]; room > 0 {
			args = append(args, app, strconv.Itoa(room))
		}
	}
	d.mu.Unlock()
	if len(args) == all {
		return false
	}
	answer, err := d.script(l, dueScript, args...).ToArray()
	if err != nil || len(answer) < 2 {
		d.failed(l, fmt.Errorf("what applications are told: %w", errors.Join(err, notAnswer(len(answer) < 2))))
		d.mu.Lock()
		d.dueAt = now
		d.mu.Unlock()
		return false
	}
	status, _ := answer[0].ToString()
	wait, _ := answer[1].AsInt64()
	list := parseDue(answer[2:])
	var takes []*taken
	d.mu.Lock()
	if status == "gone" && d.seat.name == name && !d.seat.lost {
		d.lose()
	}
	if at := now.Add(time.Duration(wait) * time.Millisecond); wait >= 0 && at.Before(d.dueAt) {
		d.dueAt = at
	}
	list = slices.DeleteFunc(list, func(h happening) bool { return d.telling[h] != nil })
	for _, h := range list {
		t := new(taken)
		d.telling[h] = t
		d.tells[h.app]++
		takes = append(takes, t)
	}
	d.mu.Unlock()
	for i, h := range list {
		d.happened(h, takes[i])
	}
	return len(list) > 0
}

// told forgets what this node was telling. mu is held.
func (d *desk) told(h happening) {
	if d.telling[h] == nil {
		return
	}
	delete(d.telling, h)
	n := d.tells[h.app] - 1
	if n > 0 {
		d.tells[h.app] = n
	} else {
		delete(d.tells, h.app)
	}
	if n == dueMost/2 { // there may be more, which had no room
		d.dueAt = time.Now()
	}
}

// finish says to the engine, once, what became of a happening. mu is held.
func (d *desk) finish(h happening, t *taken, kind byte) {
	if t.over || d.over {
		return
	}
	t.over = true
	d.queue = append(d.queue, h.step(kind))
}

// giveBackOf has somebody else tell what this node was telling of an app, or whoever hears of it now.
func (d *desk) giveBackOf(app string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tells[app] == 0 {
		return
	}
	for h, t := range d.telling {
		if h.app == app {
			d.finish(h, t, stepBack)
		}
	}
}

// parseDue reads an item and whether it is there, in turns.
func parseDue(answer []rueidis.RedisMessage) (list []happening) {
	for i := 0; i+1 < len(answer); i += 2 {
		item, _ := answer[i].ToString()
		is, _ := answer[i+1].ToString()
		if fields := netstrings(item); len(fields) >= 3 {
			list = append(list, happening{fields[0], presence.Happening{Room: fields[1], User: fields[2], There: is == "1"}})
		}
	}
	return list
}

// happened has the applications told.
func (d *desk) happened(h happening, t *taken) {
	end := func(kind byte) {
		d.mu.Lock()
		d.finish(h, t, kind)
		d.mu.Unlock()
		d.wakeUp()
	}
	l := d.p.c.listener(h.app)
	if l == nil { // it has just ceased to listen
		end(stepBack)
		return
	}
	guard.Call(d.p.c.log, "an application is told who came or went", func() {
		l.Due(h.Happening, func() { end(stepDone) })
	})
}
