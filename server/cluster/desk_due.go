package cluster

import (
	"strconv"
	"time"

	"poosh/server/guard"
	"poosh/server/presence"
)

const (
	dueAtOnce = 64  // happenings that are taken in one command
	dueMost   = 256 // that this node tells of at once, in each partition
)

// takeDue takes what the applications are to be told, and has them told. It reports whether there
// may be more.
func (d *desk) takeDue(l *link) bool {
	apps := d.p.c.heardApps()
	d.mu.Lock()
	now := time.Now()
	if d.dueAt.IsZero() {
		d.dueAt = now // what others left behind
	}
	room := min(dueAtOnce, dueMost-d.telling)
	if now.Before(d.dueAt) || room <= 0 || len(apps) == 0 {
		if len(apps) == 0 || room <= 0 {
			d.dueAt = now.Add(d.p.c.cfg.Lease / 2)
		}
		d.mu.Unlock()
		return false
	}
	name := d.seat.name
	d.mu.Unlock()
	answer, err := d.script(l, dueScript, append([]string{name, strconv.Itoa(room)}, apps...)...).ToArray()
	if err != nil || len(answer) < 2 {
		d.failed(l, err)
		return false
	}
	status, _ := answer[0].ToString()
	wait, _ := answer[1].AsInt64()
	var list []presence.Happening
	var apps2 []string
	for i := 2; i+1 < len(answer); i += 2 {
		item, _ := answer[i].ToString()
		is, _ := answer[i+1].ToString()
		fields := netstrings(item)
		if len(fields) < 3 {
			continue
		}
		apps2 = append(apps2, fields[0])
		list = append(list, presence.Happening{Room: fields[1], User: fields[2], There: is == "1"})
	}
	d.mu.Lock()
	if status == "gone" && d.seat.name == name && !d.seat.lost {
		d.lose()
	}
	// Who took what is due may be gone before it has told of it.
	next := d.p.c.cfg.Lease / 2
	if wait >= 0 {
		next = min(next, time.Duration(wait)*time.Millisecond)
	}
	d.dueAt = time.Now().Add(next)
	d.telling += len(list)
	d.mu.Unlock()
	for i, h := range list {
		d.happened(apps2[i], h)
	}
	return len(list) > 0
}

// happened has the applications told.
func (d *desk) happened(app string, h presence.Happening) {
	told := func() {
		d.mu.Lock()
		d.telling--
		d.mu.Unlock()
		s := &step{kind: stepDone}
		s.entry.App, s.entry.Room, s.entry.User = app, h.Room, h.User
		d.put(s)
	}
	once := make(chan struct{}, 1)
	done := func() {
		select {
		case once <- struct{}{}:
			told()
		default:
		}
	}
	l := d.p.c.listener(app)
	if l == nil {
		return // it has just ceased to listen: another one is told when this node has gone
	}
	guard.Call(d.p.c.log, "an application is told who came or went", func() { l.Due(h, done) })
}
