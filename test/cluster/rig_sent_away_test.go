//go:build unix

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/auth"
)

// rarities are how often something happened that a round may go without.
type rarities struct{ whispers, notices, terminated, kicked, operated, wentOn atomic.Int64 }

// tell tells of them.
func (n *rarities) tell(t *testing.T) {
	t.Logf("%d whispers, %d notices of who is online, %d connections sent away by users, %d by ids, %d by operators; %d went on where they were",
		n.whispers.Load(), n.notices.Load(), n.terminated.Load(), n.kicked.Load(), n.operated.Load(), n.wentOn.Load())
}

// sendAwaySome has an application send a user of Pusher or an id of Socktopus away, now and then. Who stays
// all the time is none of those.
func (r *rig) sendAwaySome(dice *rand.Rand) {
	if r.calm.Load() {
		return
	}
	switch dice.IntN(20) {
	case 0:
		r.terminates(r.anyNode(dice), fmt.Sprint("u", 3+dice.IntN(5)))
	case 1:
		r.kicks(r.anyNode(dice), r.anyNode(dice), octopusIDs[3+dice.IntN(len(octopusIDs)-3)])
	}
}

// toGo notes that somebody is sent away, and returns who of some is there already and has to go for it: not who is
// on a node that may not hear of it.
func (r *rig) toGo(whom string, there []*guest) []*guest {
	r.mu.Lock()
	r.sent[whom] = math.MaxInt64
	r.mu.Unlock()
	return slices.DeleteFunc(there, func(g *guest) bool {
		return r.round.fault.reset || r.round.fault.apart && g.node == r.round.victim
	})
}

// unsureOf reports whether it was a moment ago that nobody knew whether somebody was sent away. A kick that has half failed
// lets nobody in for the life of a token, and what was on its way then may be done a moment later. mu is held.
func (r *rig) unsureOf(whom string) bool {
	return time.Since(r.unsure[whom]) < auth.SocktopusLife+lease
}

// sentAway reports whether a connection ended since an application has sent it away. A node that is apart hears of that
// later, so who comes there just after it may have to go too.
func (g *guest) sentAway(why error) bool {
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	at, is := g.r.sent[g.as]
	late := g.r.round.fault.apart && g.node == g.r.round.victim || g.r.unsureOf(g.as)
	is = is && (g.born < at || late) && (errors.Is(why, errReplaced) || strings.Contains(why.Error(), `"code":4009`))
	switch {
	case !is:
	case errors.Is(why, errReplaced):
		g.r.rare.kicked.Add(1)
	default:
		g.r.rare.terminated.Add(1)
	}
	return is
}

// terminates has all connections end that are signed in as a user.
func (r *rig) terminates(n *rigNode, user string) {
	var there []*guest
	for _, g := range r.pages() {
		g.mu.Lock()
		if g.user == user && g.signed > 0 {
			there = append(there, g.guest)
		}
		g.mu.Unlock()
	}
	there = r.toGo(user, there)
	r.happened(online+user, "is to be terminated")
	r.hasSent(n, user, r.api(n, http.MethodPost, "/users/"+user+"/terminate_connections", nil, "{}"), there)
	r.happened(online+user, "was terminated")
}

// hasSent notes the answer of a node that was asked to send somebody away: for 200 they go, and nobody who comes
// later. Without it somebody may, until a quiet moment some seconds later.
func (r *rig) hasSent(n *rigNode, whom string, a answer, there []*guest) {
	f, strange := a.fate()
	if strange != "" {
		r.blame("who sends somebody away is told %s", strange)
	}
	if fault := r.round.fault; !fault.apart && !fault.ends { // others do not answer
		r.answered(n, a, f)
	}
	if f != taken {
		r.mu.Lock()
		r.unsure[whom] = time.Now()
		r.mu.Unlock()
		return
	}
	at := r.truth.tick()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[whom] = at
	r.doomed = append(r.doomed, there...)
}

// kicks has who has an id of Socktopus go. No node lets anybody in then by a token of before.
func (r *rig) kicks(n, other *rigNode, id string) {
	var there []*guest
	for _, s := range r.octopus {
		if g := s.now.Load(); s.id == id && g.here() {
			g.mu.Lock()
			at := g.seats[id]
			g.mu.Unlock()
			if r.truth.sits(at) {
				there = append(there, g)
			}
		}
	}
	there = r.toGo(id, there)
	token := socktopusToken(id)
	time.Sleep(2 * time.Millisecond) // one of the same millisecond may be one of behind it
	body, _ := json.Marshal(map[string]any{"secretName": "myapp", "secret": socktopusSecret, "connections": []string{id}})
	r.happened(id, "is to be kicked")
	a := asked(http.MethodPost, "http://"+n.at(n.socktopus)+"/kick", "", body)
	r.happened(id, "was kicked: %d", a.status)
	r.hasSent(n, id, a, there)
	if f, _ := a.fate(); f != taken || r.round.fault.reset {
		return
	}
	l, err := dialLink("ws://" + other.at(other.socktopus) + "/recieve?token=" + url.QueryEscape(token))
	if err != nil {
		return
	}
	defer l.close()
	l.say("PING")
	_ = l.ws.SetReadDeadline(time.Now().Add(rigPatience))
	for text := ""; err == nil; {
		if text, err = l.hear(); text == "PONG" {
			r.blame("%s is let in by a token of before it was kicked", id)
			return
		}
	}
}

// sits reports whether a connection is where it asked to be.
func (c *chronicle) sits(s *seat) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s != nil && !s.over && s.since > 0
}

// quietSentAway waits until all are gone whom an application has sent away.
func (r *rig) quietSentAway() {
	r.mu.Lock()
	all := r.doomed
	r.doomed = nil
	for whom, at := range r.sent {
		if !r.unsureOf(whom) {
			r.sent[whom] = min(at, r.truth.tick())
		}
	}
	r.mu.Unlock()
	r.await("who was sent away is gone", func() (left []string) {
		for _, g := range all {
			if g.here() {
				left = append(left, g.name+" is there")
			}
		}
		return left
	})
}

// quietKick has an operator close some clients at some node: those of a room, or one of another dialect. Each node
// says how many of its own it has closed, and nobody else goes.
func (r *rig) quietKick() {
	if r.stuck {
		return
	}
	var there []*guest
	target := url.Values{}
	switch i := r.dice.IntN(3); i {
	case 0:
		room := pooshRooms[r.dice.IntN(len(pooshRooms))]
		for _, s := range r.poosh {
			g := s.now.Load()
			if !g.here() {
				continue
			}
			g.mu.Lock()
			if g.seats[room] != nil {
				there = append(there, g)
			}
			g.mu.Unlock()
		}
		target.Set("room", room)
	case 1:
		for _, s := range r.pusher[3:] {
			if g := s.here(); g != nil {
				there = []*guest{g.guest}
				target.Set("id", g.id)
				break
			}
		}
	default:
		for _, s := range r.octopus[3:] {
			if g := s.now.Load(); g.here() && !rivals(g.name) {
				there = []*guest{g}
				target = url.Values{"id": {s.id}, "dialect": {"socktopus"}}
				break
			}
		}
	}
	if len(there) == 0 {
		return
	}
	want := make(map[int]int) // nodes, by how many each is to close
	at := make(map[int]int)
	r.rare.operated.Add(int64(len(there)))
	for _, g := range there {
		g.own.Store(true)
		at[g.node]++
	}
	for i := range r.nodes {
		want[at[i]]++
	}
	out, err := r.operates(r.anyNode(r.dice), target)
	var k kicked
	if err == nil {
		err = json.Unmarshal([]byte(out), &k)
	}
	got := make(map[int]int)
	for _, node := range k.Nodes {
		got[node.Kicked]++
	}
	r.await("who was kicked is gone", func() (left []string) {
		for _, g := range there {
			if g.here() {
				left = append(left, g.name+" is there")
			}
		}
		return left
	})
	lost := r.round.fault.reset || r.round.fault.apart // a node may just be closing some by itself, who may have missed something
	if err != nil || k.Kicked > len(there) || !lost && !maps.Equal(got, want) {
		r.blame("%v is kicked, of whom there are %s: %s %v: %s", target, counted(at), out, err, endsOf(there))
	}
}

// endsOf says why connections ended.
func endsOf(list []*guest) string {
	var texts []string
	for _, g := range list {
		g.mu.Lock()
		texts = append(texts, fmt.Sprint(g.name, ": ", g.why))
		g.mu.Unlock()
	}
	return strings.Join(texts, "; ")
}

// operates closes clients as `poosh kick` does, or by that: it takes a second.
func (r *rig) operates(n *rigNode, whom url.Values) (out string, err error) {
	if r.round.number%4 != 1 {
		a := asked(http.MethodPost, "http://"+n.at(n.admin)+"/api/kick?"+whom.Encode(), "Bearer "+adminToken, nil)
		if a.err == nil && a.status != http.StatusOK {
			a.err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return a.body, a.err
	}
	args := []string{"kick", "--json"}
	for name, values := range whom {
		if name == "id" {
			args = append(args, values[0])
		} else {
			args = append(args, "--"+name+"="+values[0])
		}
	}
	code, out, stderr := n.poosh(r.t, args...)
	if code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, stderr)
	}
	return out, err
}

// counted writes how many there are at each node.
func counted(at map[int]int) string {
	var list []string
	for _, node := range slices.Sorted(maps.Keys(at)) {
		list = append(list, strconv.Itoa(at[node])+" at node "+strconv.Itoa(node))
	}
	return strings.Join(list, ", ")
}
