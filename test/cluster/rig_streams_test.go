//go:build unix

package cluster

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// listens has a stream begin, at a node: where the one before was cut off, in the rooms of that one, if there was one.
func (s *pooshSlot) listens(at int, rooms []string) {
	n, was := s.r.nodes[at], s.now.Load()
	query := url.Values{"room": rooms}
	if was != nil && was.last != "" {
		query = url.Values{"room": was.rooms(), "since": {was.last}}
	}
	l, run, err := openStream("http://" + n.at(n.Port) + "/events?" + query.Encode())
	if err != nil {
		return
	}
	g := s.r.guest("stream", at, "", l)
	g.keeps = true
	if query.Has("since") {
		g.seats = maps.Clone(was.seats)
		g.last = was.last
	} else {
		if was != nil {
			was.rise()
		}
		for _, room := range append([]string{everyone}, rooms...) {
			g.sit(room)
		}
	}
	s.now.Store(g)
	go func() { g.over(run(g.streamed)) }() // ends with the stream
}

// rise has a connection that has ended go on nowhere.
func (g *guest) rise() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.seats {
		g.r.truth.rise(s)
	}
}

// rooms are those of a connection, but for everyone's.
func (g *guest) rooms() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(g.seats)), func(room string) bool { return room == everyone })
}

// streamed takes an event of a stream.
func (g *guest) streamed(name, data, id string) {
	switch {
	case name == "poosh:connected":
		g.goesOn(data)
	case name == "poosh:closed":
		g.mu.Lock()
		g.told = data
		g.mu.Unlock()
	case !strings.HasPrefix(name, "poosh:"):
		var text string
		if json.Unmarshal([]byte(data), &text) == nil {
			g.heard(text)
		}
	}
	g.mu.Lock()
	g.last = id
	g.mu.Unlock()
}

// goesOn takes what a stream begins with: whether it has what it missed.
func (g *guest) goesOn(data string) {
	var said struct{ Recovered *bool }
	err := json.Unmarshal([]byte(data), &said)
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.last != ""
	switch {
	case err != nil || asked != (said.Recovered != nil):
		g.r.blame("%s is told %s, and had %q", g.name, data, g.last)
	case !asked:
	case *said.Recovered:
		g.r.rare.wentOn.Add(1)
		for _, s := range g.seats {
			g.r.truth.goOn(s)
		}
	default:
		g.r.mu.Lock()
		g.r.anew = append(g.r.anew, ending{who: g.name + " is told " + data, node: g.node})
		g.r.mu.Unlock()
		for room, s := range g.seats {
			g.r.truth.rise(s)
			g.seats[room] = g.r.truth.sit(room, g.name, g.id)
			g.r.truth.confirm(g.seats[room])
		}
	}
}

// quietStreams has all streams go on that were cut off.
func (r *rig) quietStreams() {
	r.await("streams go on", func() (left []string) {
		for i, s := range r.poosh {
			if !s.stream {
				continue
			}
			if g := s.now.Load(); g != nil && !g.here() {
				s.listens(i%len(r.nodes), nil)
				left = append(left, g.name+" is cut off")
			}
		}
		return left
	})
	r.mu.Lock()
	anew := r.anew
	r.anew = nil
	r.mu.Unlock()
	for _, e := range anew {
		r.lostPlaces(e.node, []string{e.who})
	}
}
