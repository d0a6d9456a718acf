package poosh

import (
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
)

// save writes who may come back to the next process: those who are away, and those who are
// still there, as if they left now. Their pids are in it.
func (a *states) save(w *handover.Writer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.expire(now)
	w.Uint(uint64(len(a.byName)))
	for e := a.away.Front(); e != nil; e = e.Next() {
		e.Value.(*state).save(w)
	}
	for _, st := range a.byName {
		if st.open != nil {
			left := state{pid: st.pid, sid: st.sid, start: st.start, joined: st.joined, until: now.Add(a.most)}
			a.note(&left, st.open)
			left.save(w)
		}
	}
}

func (st *state) save(w *handover.Writer) {
	w.Text(st.pid)
	w.Text(st.sid)
	w.Uint(st.start.Epoch)
	w.Uint(st.start.Number)
	w.Uint(uint64(st.until.UnixNano()))
	w.Uint(uint64(len(st.rooms)))
	for _, room := range st.rooms {
		w.Text(room)
		w.Uint(st.joined[room])
	}
}

// restore reads what save wrote, within the bounds of time and bytes that hold now.
func (a *states) restore(r *handover.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for range r.Count(6) {
		st := &state{pid: r.Text(), sid: r.Text(), start: hub.Position{Epoch: r.Uint(), Number: r.Uint()}}
		left := time.Unix(0, int64(r.Uint())).Sub(now)
		st.joined = make(map[string]uint64)
		for range r.Count(2) {
			room := r.Text()
			st.rooms, st.joined[room] = append(st.rooms, room), r.Uint()
		}
		if r.Err() == nil && (len(st.pid) != pidName+pidSecret || st.sid == "" || a.byName[st.pid[:pidName]] != nil) {
			r.Fail("a client's id is none, or there twice")
		}
		if r.Err() != nil {
			break
		}
		if left > 0 {
			a.keep(st, now.Add(min(left, a.most)))
			a.expire(now)
		}
	}
	return r.End()
}

// keep has a client be away until some time. mu is held.
func (a *states) keep(st *state, until time.Time) {
	st.until, st.cost = until, stateCost
	for _, room := range st.rooms {
		st.cost += int64(len(room)) + stateRoomCost
	}
	a.byName[st.pid[:pidName]] = st
	st.at = a.away.PushBack(st)
	a.size += st.cost
}
