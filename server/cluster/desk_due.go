package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"poosh/server/cluster/resp"

	"poosh/server/guard"
	"poosh/server/presence"
)

const (
	dueAtOnce = 64  // happenings that are taken in one command
	dueMost   = 256 // that this node tells one app of at once, in each partition
)

// A taken is a happening of which this node tells an application.
type taken struct {
	at   string // when it was taken, in microseconds of the engine's clock
	over bool   // what became of it is said; guarded by desk.mu
}

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

// done is the step that says that they were.
func (h *happening) done() *step {
	s := &step{kind: stepDone}
	s.entry.App, s.entry.Room, s.entry.User, s.entry.Info = h.app, h.Room, h.User, []byte("0")
	if h.There {
		s.entry.Info = []byte("1")
	}
	return s
}

// takeDue takes what the applications are to be told, and has them told. It reports whether there
// may be more.
func (d *desk) takeDue(l *link) bool {
	apps := d.p.c.heardApps()
	d.mu.Lock()
	now := time.Now()
	poll := now.Add(d.p.c.cfg.Lease / 2)
	if now.Before(d.dueAt) {
		d.mu.Unlock()
		return false
	}
	d.dueAt = poll // who takes something away meanwhile makes it sooner
	name, told := d.seat.name, d.seat.all && len(d.again) == 0 && len(d.steps) == 0 && d.doubt == nil
	args := []string{name, strconv.Itoa(dueAtOnce), strconv.Itoa(len(d.telling))}
	none, rooms := len(args), make(map[string]int)
	for _, app := range apps {
		if room := dueMost - d.tells[app]; room > 0 {
			args = append(args, app, strconv.Itoa(room))
			rooms[app] = room
		}
	}
	d.mu.Unlock()
	if len(args) == none {
		return false
	}
	answer, err := d.script(l, dueScript, args...).ToArray()
	if err != nil || len(answer) < 3 {
		d.dueNow()
		d.failed(l, fmt.Errorf("what applications are told: %w", errors.Join(err, notAnswer(len(answer) < 3))))
		return false
	}
	status, _ := answer[0].ToString()
	wait, _ := answer[1].AsInt64()
	clock, _ := answer[2].ToString()
	list := parseDue(answer[3:])
	for _, h := range list {
		rooms[h.app]--
	}
	d.mu.Lock()
	switch {
	case status == "gone" && d.seat.name == name && !d.seat.lost:
		d.lose()
	case status == "ok" && wait != 0 && told:
		d.catchUp(rooms, now)
	}
	// Who took what is due may be gone before it has told of it.
	if at := now.Add(time.Duration(wait) * time.Millisecond); wait >= 0 && at.Before(d.dueAt) {
		d.dueAt = at
	}
	list = slices.DeleteFunc(list, func(h happening) bool { return d.telling[h] != nil })
	takes := make([]*taken, 0, len(list))
	for _, h := range list {
		takes = append(takes, d.take(h, clock))
	}
	d.mu.Unlock()
	for i, h := range list {
		d.happened(h, takes[i])
	}
	return len(list) > 0 || wait == 0
}

// catchUp notes that nothing that the engine was told by a time was due any more without a node that had taken it: of the
// apps that had places left. mu is held.
func (d *desk) catchUp(places map[string]int, by time.Time) {
	if d.caught == nil {
		d.caught = make(map[string]time.Time, len(places))
	}
	for app, left := range places {
		if left > 0 {
			d.caught[app] = by
		}
	}
}

// take notes what an application is being told, and when that was taken. mu is held.
func (d *desk) take(h happening, at string) *taken {
	t := &taken{at: at}
	d.telling[h] = t
	d.tells[h.app]++
	return t
}

// settled forgets that. mu is held.
func (d *desk) settled(h happening) {
	if d.telling[h] == nil {
		return
	}
	delete(d.telling, h)
	if d.tells[h.app]--; d.tells[h.app] == 0 {
		delete(d.tells, h.app)
	}
	if d.tells[h.app] == dueMost/2 { // there may be more, which had no place
		d.dueAt = time.Now()
	}
}

// finish says to the engine, once, what became of a happening. mu is held.
func (d *desk) finish(h happening, t *taken, kind byte) {
	if t.over {
		return
	}
	t.over = true
	if kind == stepDone {
		d.knows(h, t)
	}
	s := h.done()
	s.kind = kind
	d.queue = append(d.queue, s)
}

// giveBackOf has somebody else tell what this node was telling of an app, or who hears of it from
// now on. d may be nil.
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

// dueNow has run look whether the applications are to be told of something. d may be nil.
func (d *desk) dueNow() {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.dueAt = time.Now()
	d.mu.Unlock()
	d.wakeUp()
}

// parseDue reads an item and whether it is there, in turns.
func parseDue(answer []resp.Value) (list []happening) {
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
	if l == nil { // it has just ceased to listen: another one is told, or this one when it does again
		end(stepBack)
		return
	}
	d.mu.Lock()
	over := t.over
	d.mu.Unlock()
	if over {
		return // it was given back
	}
	guard.Call(d.p.c.log, "an application is told who came or went", func() { l.Due(h.Happening, func() { end(stepDone) }) })
}
