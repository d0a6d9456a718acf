package returning

import (
	"net/netip"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
)

// maxRooms bounds the rooms of one client in a file: more than any setting lets it be in.
const maxRooms = 1 << 20

// Save writes who may come back to the next process: those who are away, and those who are
// still there, as if they left now. Their pids are in it. Nobody waits for the disk meanwhile.
func (a *States[C, M]) Save(w *handover.Writer) {
	list := a.snapshot()
	w.Uint(uint64(len(list)))
	for i := range list {
		a.save(w, &list[i])
	}
}

// snapshot returns what there is to save of each state.
func (a *States[C, M]) snapshot() []State[C, M] {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.expire(now)
	list := make([]State[C, M], 0, len(a.byName))
	add := func(st *State[C, M], until time.Time) *State[C, M] {
		list = append(list, State[C, M]{PID: st.PID, SID: st.SID, Start: st.Start, Rooms: st.Rooms, Members: st.Members, Joined: st.Joined, Log: st.Log, until: until})
		return &list[len(list)-1]
	}
	for e := a.away.Front(); e != nil; e = e.Next() {
		st := e.Value.(*State[C, M])
		add(st, st.until)
	}
	var none C
	for _, st := range a.byName {
		if st.open != none {
			a.note(add(st, now.Add(a.cfg.Most)), st.open)
		}
	}
	return list
}

func (a *States[C, M]) save(w *handover.Writer, st *State[C, M]) {
	w.Text(st.PID)
	w.Text(st.SID)
	w.Uint(st.Start.Epoch)
	w.Uint(st.Start.Number)
	w.Uint(uint64(st.until.UnixNano()))
	w.Uint(uint64(len(st.Rooms)))
	for _, room := range st.Rooms {
		w.Text(room)
		w.Uint(st.Joined[room])
		if a.has(room) {
			a.cfg.Member.Save(w, st.Members[room])
		}
	}
}

// has reports whether clients are somebody in a room.
func (a *States[C, M]) has(room string) bool { return a.cfg.Member != nil && a.cfg.Member.Has(room) }

// Restore reads what Save wrote, within the bounds of time and bytes that hold now. Of whose
// network a client is nobody knows any more.
func (a *States[C, M]) Restore(r *handover.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for range r.Count(6) {
		st := &State[C, M]{PID: r.Text(), SID: r.Text(), Start: hub.Position{Epoch: r.Uint(), Number: r.Uint()}}
		left := time.Unix(0, int64(r.Uint())).Sub(now)
		rooms := r.Count(2)
		if rooms > maxRooms {
			r.Fail("a client is in more rooms than it may be")
			break
		}
		a.restore(r, st, rooms)
		if at := st.Start; at.Epoch == 0 || max(at.Epoch, at.Number) >= 1<<50 { // as zero it would ask for nothing, and miss nothing
			r.Fail("a client began where no log is")
		}
		if r.Err() == nil && (len(st.PID) != pidName+pidSecret || st.SID == "" || a.byName[st.PID[:pidName]] != nil) {
			r.Fail("a client's id is none, or there twice")
		}
		if r.Err() != nil {
			break
		}
		if left > 0 {
			a.keep(st, netip.Addr{}, now.Add(min(left, a.cfg.Most)))
			a.expire(now)
		}
	}
	return r.End()
}

// restore reads the rooms of a client.
func (a *States[C, M]) restore(r *handover.Reader, st *State[C, M], rooms int) {
	st.Joined, st.Log = make(map[string]uint64), st.Start.Epoch // in one process there is no other log
	for range rooms {
		room := r.Text()
		st.Rooms, st.Joined[room] = append(st.Rooms, room), r.Uint()
		if !a.has(room) {
			continue
		}
		if st.Members == nil {
			st.Members = make(map[string]M)
		}
		st.Members[room] = a.cfg.Member.Restore(r)
	}
}
