//go:build unix

package cluster

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// realRoom is where the clients of socket.io are that people have.
const realRoom = "real"

// A crowd is a client of each version of socket.io, by polling, WebSocket and the change between the two,
// behind balancers that hand each connection, or request, to the next node. They connect anew by themselves; every other
// one goes on where it was.
type crowd struct {
	r *rig
	w *watcher

	mu    sync.Mutex // guards what follows
	there map[string]bool
	seats map[string]*seat
	lost  int      // connections, since the last quiet moment
	anew  []string // who could not go on where it was, since then
}

func newCrowd(r *rig) *crowd {
	c := &crowd{r: r, there: make(map[string]bool), seats: make(map[string]*seat)}
	c.w = &watcher{t: r.t, got: make(map[string][]string), ended: make(map[string]string), on: make(map[string]*node), also: c.saw}
	in := c.w.drive()
	fronts, turns := r.fronts(readiness, func(n *rigNode) int { return n.Port }), make(map[string]int)
	for i, v := range versions {
		url := "http://" + fronts[turns[v.way]%len(fronts)]
		turns[v.way]++
		joins := "rooms"
		if c.goesOn(i) {
			joins = "since"
		}
		line, err := json.Marshal(map[string]any{"op": "open", "id": v.version + " by " + v.way, "version": v.version, "way": v.way,
			"url": url, "listen": []string{"e"}, joins: []string{realRoom}, "quiet": true})
		if err == nil {
			_, err = in.Write(append(line, '\n'))
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return c
}

// goesOn reports whether the client of a version, by its place, goes on where it was.
func (c *crowd) goesOn(i int) bool { return i%2 == 1 }

// saw takes what a client reports.
func (c *crowd) saw(id, saw, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.seats[id]
	goesOn := c.goesOn(slices.IndexFunc(versions, func(v struct{ version, way string }) bool { return v.version+" by "+v.way == id }))
	switch saw {
	case "connect":
		c.there[id] = true
		if !goesOn {
			c.sits(id)
		}
	case "recovered":
		c.back(id, text)
	case "disconnect":
		c.there[id] = false
		if c.lost++; goesOn && at != nil {
			c.r.truth.cut(at)
		} else if at != nil {
			c.r.truth.rise(at)
			delete(c.seats, id)
		}
	case "event":
		text, _, _ = strings.Cut(strings.Trim(text, `"[] `), `"`) // what is behind it is a position
		switch {
		case roomOf(text) != realRoom: // to everyone
		case at == nil:
			c.r.truth.stray(id, text)
		default:
			c.r.truth.heard(at, text)
		}
	}
}

// sits has a client begin in the room. mu is held.
func (c *crowd) sits(id string) *seat {
	if at := c.seats[id]; at != nil {
		c.r.truth.rise(at)
	}
	c.seats[id] = c.r.truth.sit(realRoom, id, "")
	return c.seats[id]
}

// back takes the answer to a join of who would go on where it was. mu is held.
func (c *crowd) back(id, text string) {
	var answer struct{ Recovered *bool }
	at := c.seats[id]
	switch err := json.Unmarshal([]byte(text), &answer); {
	case err != nil || at == nil && answer.Recovered != nil && *answer.Recovered:
		c.r.blame("%s, which had been nowhere, is answered %s", id, text)
	case answer.Recovered != nil && *answer.Recovered:
		c.r.truth.goOn(at)
		c.r.rare.wentOn.Add(1)
		return
	case at != nil:
		c.anew = append(c.anew, id+" is answered "+text)
	}
	c.r.truth.confirm(c.sits(id))
}

// away are those that are not connected.
func (c *crowd) away() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range versions {
		if id := v.version + " by " + v.way; !c.there[id] || c.seats[id] == nil {
			ids = append(ids, id+" is not connected")
		}
	}
	return ids
}

// ends is how many connections ended since it was called last, and who could not go on where it was.
func (c *crowd) ends() (n int, anew []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, anew = c.lost, c.anew
	c.lost, c.anew = 0, nil
	return n, anew
}

// quietCrowd waits until all are connected.
func (r *rig) quietCrowd() {
	r.await("clients of socket.io are connected", r.crowd.away)
	c := r.crowd.w
	c.mu.Lock()
	faults := c.faults
	c.got = make(map[string][]string) // the chronicle has it
	ended := slices.Sorted(maps.Values(c.ended))
	c.ended = make(map[string]string)
	c.mu.Unlock()
	for _, text := range faults {
		r.blame("the clients have a fault: %s", text)
	}
	n, anew := r.crowd.ends()
	r.lostPlaces(r.round.victim, anew)
	if n > 0 {
		r.t.Logf("round %d: %d connections of clients of socket.io ended: %v", r.round.number, n, ended)
	}
	if n > 0 && !r.round.fault.ends && !r.round.fault.reset && !r.round.fault.apart {
		r.blame("%d connections of clients of socket.io ended: %v", n, ended)
	}
}

// lostPlaces looks whether clients could not go on where they were, though what they missed is kept: at a node, or
// maybe at it. One that is cut off says no, as it cannot ask.
func (r *rig) lostPlaces(node int, anew []string) {
	switch {
	case len(anew) == 0:
	case r.round.fault.reset || r.round.reset || r.round.fault.apart && node == r.round.victim:
		r.t.Logf("round %d: %d began anew: %s", r.round.number, len(anew), strings.Join(anew[:min(len(anew), 4)], "; "))
	default:
		r.blame("what was kept is lost: %s", strings.Join(anew, "; "))
	}
}

// sendReal sends to the clients of socket.io.
func (r *rig) sendReal(dice *rand.Rand) { r.sends(r.anyNode(dice), realRoom, "") }
