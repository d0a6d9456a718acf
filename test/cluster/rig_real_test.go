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
// behind balancers that hand each connection, or request, to the next node. They connect anew by themselves.
type crowd struct {
	r *rig
	w *watcher

	mu    sync.Mutex // guards what follows
	seats map[string]*seat
	lost  int // connections, since the last quiet moment
}

func newCrowd(r *rig) *crowd {
	c := &crowd{r: r, seats: make(map[string]*seat)}
	c.w = &watcher{t: r.t, got: make(map[string][]string), ended: make(map[string]string), on: make(map[string]*node), also: c.saw}
	in := c.w.drive()
	fronts, turns := r.fronts(readiness, func(n *rigNode) int { return n.Port }), make(map[string]int)
	for _, v := range versions {
		url := "http://" + fronts[turns[v.way]%len(fronts)]
		turns[v.way]++
		line, err := json.Marshal(map[string]any{"op": "open", "id": v.version + " by " + v.way, "version": v.version, "way": v.way,
			"url": url, "listen": []string{"e"}, "rooms": []string{realRoom}, "quiet": true})
		if err == nil {
			_, err = in.Write(append(line, '\n'))
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return c
}

// saw takes what a client reports.
func (c *crowd) saw(id, saw, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.seats[id]
	switch saw {
	case "connect":
		if at != nil {
			c.r.truth.rise(at)
		}
		c.seats[id] = c.r.truth.sit(realRoom, id, "")
	case "disconnect":
		if c.lost++; at != nil {
			c.r.truth.rise(at)
			delete(c.seats, id)
		}
	case "event":
		text = strings.Trim(text, `"[] `)
		switch {
		case roomOf(text) != realRoom: // to everyone
		case at == nil:
			c.r.truth.stray(id, text)
		default:
			c.r.truth.heard(at, text)
		}
	}
}

// away are those that are not connected.
func (c *crowd) away() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range versions {
		if id := v.version + " by " + v.way; c.seats[id] == nil {
			ids = append(ids, id+" is not connected")
		}
	}
	return ids
}

// ends is how many connections ended since it was called last.
func (c *crowd) ends() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.lost
	c.lost = 0
	return n
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
	n := r.crowd.ends()
	if n > 0 {
		r.t.Logf("round %d: %d connections of clients of socket.io ended: %v", r.round.number, n, ended)
	}
	if n > 0 && !r.round.fault.ends && !r.round.fault.reset && !r.round.fault.apart {
		r.blame("%d connections of clients of socket.io ended: %v", n, ended)
	}
}

// sendReal sends to the clients of socket.io.
func (r *rig) sendReal(dice *rand.Rand) { r.sends(r.anyNode(dice), realRoom, "") }
