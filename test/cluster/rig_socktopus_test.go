//go:build unix

package cluster

import (
	"errors"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// octopusIDs are those of the clients of Socktopus. Some have two clients, of which the last that joined stays.
var octopusIDs = []string{"id-0", "id-1", "id-2", "id-3", "id-4", "id-5", "id-6"}

// octopusSlots is how many clients there are: the first ids have two.
const octopusSlots = 9

// idOf is the id of a client of Socktopus, by the client's name; empty for anybody else.
func idOf(who string) string {
	if rest, ok := strings.CutPrefix(who, "client "); ok {
		id, _, _ := strings.Cut(rest, " ")
		return id
	}
	return ""
}

// rivals reports whether a client that ended had a rival, who may have taken its place.
func rivals(who string) bool {
	return slices.Contains(octopusIDs[:octopusSlots-len(octopusIDs)], idOf(who))
}

// An octopusSlot is a client of Socktopus, which comes and goes. Its worker alone changes it.
type octopusSlot struct {
	r     *rig
	id    string
	stays bool
	node  int
	now   atomic.Pointer[guest]
}

func (s *octopusSlot) end() { s.now.Load().end() }

// act does something that such a client may do.
func (s *octopusSlot) act(dice *rand.Rand) {
	if g := s.now.Load(); g.here() {
		if !s.stays && dice.IntN(60) == 0 {
			g.end()
		}
		return
	}
	if dice.IntN(10) == 0 { // two clients of an id would do nothing else
		s.connect(dice)
	}
}

func (s *octopusSlot) connect(dice *rand.Rand) {
	at := s.node
	if !s.stays {
		at = dice.IntN(len(s.r.nodes))
	}
	n, born := s.r.nodes[at], s.r.truth.tick()
	l, err := dialLink("ws://" + n.at(n.socktopus) + "/recieve?token=" + url.QueryEscape(socktopusToken(s.id)))
	if err != nil {
		return
	}
	g := s.r.guest("client "+s.id, at, "", l)
	s.r.happened(s.id, "%s is there", g.name)
	g.as, g.born = s.id, born // it may be kicked before its handshake is known to be over
	seat := g.sit(s.id)
	s.now.Store(g)
	go func() { // ends with the connection
		why := g.octopus(seat)
		s.r.happened(s.id, "%s ends: %v", g.name, why)
		g.over(why)
	}()
	l.say("PING")
}

// errReplaced is why a client ended of whose id there is a newer one.
var errReplaced = errors.New("told CLOSE")

// octopus takes what comes until the connection ends.
func (g *guest) octopus(at *seat) error {
	for {
		text, err := g.link.hear()
		switch data, ok := strings.CutPrefix(text, "DATA:"); {
		case err != nil:
			return err
		case ok:
			g.heard(data)
		case text == "PONG":
			g.r.happened(g.as, "%s is in", g.name)
			g.r.truth.confirm(at)
		case text == "CLOSE":
			return errReplaced
		default:
			g.r.truth.stray(g.name, text)
		}
	}
}

// deliverSome sends to some ids.
func (r *rig) deliverSome(dice *rand.Rand) {
	i := dice.IntN(len(octopusIDs))
	ids := octopusIDs[i:min(len(octopusIDs), i+1+dice.IntN(3))]
	r.delivers(r.anyNode(dice), ids...)
}

// ids are those that have a client, and how many.
func (r *rig) ids() map[string]int {
	have := make(map[string]int)
	for _, s := range r.octopus {
		if s.now.Load().here() {
			have[s.id]++
		}
	}
	return have
}
