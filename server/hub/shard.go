package hub

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// shardCount is how many shards there are: many more than processors.
const shardCount = 64

// A shard holds some of the rooms, and counts what is published to them. Its lock
// is held for a moment only, and nothing is called with it held.
type shard struct {
	mu       sync.RWMutex                // guards the maps, and nothing in a room
	rooms    map[string]map[string]*room // by app and name
	everyone map[string]*room            // by app: the room of all its subscribers

	published atomic.Uint64
	brought   atomic.Uint64 // by a Broker
	delivered atomic.Uint64
	refused   atomic.Uint64
}

// shard is where a room is.
func (h *Hub) shard(app, name string) *shard {
	hash := maphash.String(h.seed, name)
	if app != "" {
		hash += maphash.String(h.seed, app)
	}
	return &h.shards[hash%shardCount]
}

// shardOfEveryone is where the room of all subscribers of an app is.
func (h *Hub) shardOfEveryone(app string) *shard { return h.shard(app, "") }

// shardFor is where the room of a publication is.
func (h *Hub) shardFor(p *Publication) *shard {
	if p.Everyone {
		return h.shardOfEveryone(p.App)
	}
	return h.shard(p.App, p.Room)
}

// find returns a room, or nil.
func (s *shard) find(app, name string, everyone bool) *room {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if everyone {
		return s.everyone[app]
	}
	return s.rooms[app][name]
}

// open finds a room or makes it. It may be over by the time the caller looks.
func (s *shard) open(app, name string) *room {
	if r := s.find(app, name, false); r != nil {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := s.rooms[app]
	if rooms == nil {
		rooms = make(map[string]*room)
		s.rooms[app] = rooms
	}
	r := rooms[name]
	if r == nil {
		r = newRoom(name)
		rooms[name] = r
	}
	return r
}

// openEveryone is open for the room of all subscribers of an app, which has the
// app's name.
func (s *shard) openEveryone(app string) *room {
	if r := s.find(app, "", true); r != nil {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.everyone[app]
	if r == nil {
		r = newRoom(app)
		s.everyone[app] = r
	}
	return r
}

// forget drops a room that is over. Another of its name may be there by now.
func (s *shard) forget(app string, r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rooms := s.rooms[app]; rooms[r.name] == r {
		delete(rooms, r.name)
		if len(rooms) == 0 {
			delete(s.rooms, app)
		}
	} else if s.everyone[app] == r {
		delete(s.everyone, app)
	}
}

// len is how many rooms of an app are here.
func (s *shard) len(app string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.rooms[app])
}

// list appends the rooms of an app that are here to some.
func (s *shard) list(app string, some []*room) []*room {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.rooms[app] {
		some = append(some, r)
	}
	return some
}

func (s *shard) count(took, refused int) {
	if took > 0 {
		s.delivered.Add(uint64(took))
	}
	if refused > 0 {
		s.refused.Add(uint64(refused))
	}
}
