package echo

import (
	"net/netip"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
)

// maxStateRooms bounds the channels of one client: more than ECHO_MAX_CHANNELS may be.
const maxStateRooms = 1 << 20

// save writes who may come back to the next process: those who are away, and those who are
// still there, as if they left now. Their pids are in it. Nobody waits for the disk meanwhile.
func (a *states) save(w *handover.Writer) {
	list := a.snapshot()
	w.Uint(uint64(len(list)))
	for i := range list {
		list[i].save(w)
	}
}

// snapshot returns what there is to save of each state.
func (a *states) snapshot() []state {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.expire(now)
	list := make([]state, 0, len(a.byName))
	for e := a.away.Front(); e != nil; e = e.Next() {
		st := e.Value.(*state)
		list = append(list, st.alone(st.until))
	}
	for _, st := range a.byName {
		if st.open != nil {
			a.note(st, st.open)
			list = append(list, st.alone(now.Add(a.most)))
		}
	}
	return list
}

// alone is a state that is in no list, until some time.
func (st *state) alone(until time.Time) state {
	return state{pid: st.pid, sid: st.sid, start: st.start, rooms: st.rooms, members: st.members, joined: st.joined, log: st.log, until: until}
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
		if kindOf(room).presence {
			m := st.members[room]
			w.Text(m.id)
			w.Bytes(m.entry)
		}
	}
}

// restore reads what save wrote, within the bounds of time and bytes that hold now. Of whose
// network a client is nobody knows any more.
func (a *states) restore(r *handover.Reader) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for range r.Count(6) {
		st := &state{pid: r.Text(), sid: r.Text(), start: hub.Position{Epoch: r.Uint(), Number: r.Uint()}}
		left := time.Unix(0, int64(r.Uint())).Sub(now)
		rooms := r.Count(2)
		if rooms > maxStateRooms {
			r.Fail("a client is in more channels than it may be")
			break
		}
		st.restore(r, rooms)
		if at := st.start; at.Epoch == 0 || max(at.Epoch, at.Number) >= 1<<50 { // as zero it would ask for nothing, and miss nothing
			r.Fail("a client began where no log is")
		}
		if r.Err() == nil && (len(st.pid) != pidName+pidSecret || st.sid == "" || a.byName[st.pid[:pidName]] != nil) {
			r.Fail("a client's id is none, or there twice")
		}
		if r.Err() != nil {
			break
		}
		if left > 0 {
			a.keep(st, netip.Addr{}, now.Add(min(left, a.most)))
			a.expire(now)
		}
	}
	return r.End()
}

// restore reads the channels of a client.
func (st *state) restore(r *handover.Reader, rooms int) {
	st.joined, st.members, st.log = make(map[string]uint64), make(map[string]*member), st.start.Epoch // in one process there is no other log
	for range rooms {
		room := r.Text()
		st.rooms, st.joined[room] = append(st.rooms, room), r.Uint()
		if !kindOf(room).presence {
			continue
		}
		m := &member{id: r.Text(), entry: r.Bytes()}
		if m.bare = bareOf(m.entry); r.Err() == nil && (m.id == "" || len(m.bare) < 2 || len(m.bare) == len(m.entry)) {
			r.Fail("a member has no id")
		}
		st.members[room] = m
	}
}
