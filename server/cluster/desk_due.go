package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"poosh/server/guard"
	"poosh/server/presence"
)

const (
	dueAtOnce = 64  // happenings that are taken in one command
	dueMost   = 256 // that this node tells of at once, in each partition
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
	room := min(dueAtOnce, dueMost-len(d.telling))
	if len(apps) == 0 || room <= 0 {
		d.dueAt, d.dueFull = poll, room <= 0
	}
	if now.Before(d.dueAt) {
		d.mu.Unlock()
		return false
	}
	d.dueAt = poll // who takes something away meanwhile makes it sooner
	name, telling := d.seat.name, len(d.telling)
	d.mu.Unlock()
	answer, err := d.script(l, dueScript, append([]string{name, strconv.Itoa(room), strconv.Itoa(telling)}, apps...)...).ToArray()
	if err != nil || len(answer) < 2 {
		d.dueNow()
		d.failed(l, fmt.Errorf("what applications are told: %w", errors.Join(err, notAnswer(len(answer) < 2))))
		return false
	}
	status, _ := answer[0].ToString()
	wait, _ := answer[1].AsInt64()
	list := parseDue(answer[2:])
	d.mu.Lock()
	if status == "gone" && d.seat.name == name && !d.seat.lost {
		d.lose()
	}
	// Who took what is due may be gone before it has told of it.
	if at := now.Add(time.Duration(wait) * time.Millisecond); wait >= 0 && at.Before(d.dueAt) {
		d.dueAt = at
	}
	list = slices.DeleteFunc(list, func(h happening) bool { return d.telling[h] })
	for _, h := range list {
		d.telling[h] = true
	}
	d.mu.Unlock()
	for _, h := range list {
		d.happened(h)
	}
	return len(list) > 0 || wait == 0
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
func (d *desk) happened(h happening) {
	done := sync.OnceFunc(func() { d.put(h.done()) })
	l := d.p.c.listener(h.app)
	if l == nil { // it has just ceased to listen: another one is told, or this one when it does again
		back := h.done()
		back.kind = stepBack
		d.put(back)
		return
	}
	guard.Call(d.p.c.log, "an application is told who came or went", func() { l.Due(h.Happening, done) })
}
