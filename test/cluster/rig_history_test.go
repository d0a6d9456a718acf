//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"poosh/auth"
)

// An entry is an event in the history of a room.
type entry struct{ ID, Payload string }

// historyOf reads all that a node has of a room, page by page.
func historyOf(n *rigNode, room string) (all []entry, err error) {
	for since := "all"; ; {
		query := url.Values{"since": {since}, "limit": {"1000"}}
		if room != everyone {
			query.Set("room", room)
		}
		path := "/history?" + query.Encode()
		a := asked(http.MethodGet, "http://"+n.at(n.server)+path, auth.PooshSign(secret, []byte(path)), nil)
		var page struct {
			ID     string
			More   bool
			Events []entry
		}
		if a.err != nil || a.status != http.StatusOK {
			return nil, fmt.Errorf("%d %.200s %w", a.status, a.body, a.err)
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Events...)
		if !page.More {
			return all, nil
		}
		since = page.ID
	}
}

// quietHistory looks whether each node has the same history of all rooms, which ends with what was sent last, and
// whether that is what those got who were there.
func (r *rig) quietHistory(last map[string]string) {
	for _, room := range append(slices.Clone(pooshRooms), everyone, realRoom) {
		var first []entry
		r.await("the history is the same everywhere", func() (left []string) {
			for i, n := range r.nodes {
				all, err := historyOf(n, room)
				if !r.more {
					all = all[max(0, len(all)-1):]
				}
				if i == 0 {
					first = all
				}
				if err != nil || len(all) == 0 || all[len(all)-1].Payload != last[room] || !slices.Equal(all, first) {
					left = append(left, fmt.Sprintf("node %d has %d of %s, the last %v, the first node %d, %v, and %s was sent last", i, len(all), room, all[max(0, len(all)-2):], len(first), err, last[room]))
				}
			}
			return left
		})
		if r.stuck || !r.more {
			continue
		}
		for _, fault := range r.truth.recorded(room, first, r.round.fault.reset) {
			r.blame("the history of %s: %s", room, fault)
		}
	}
}

// recorded reports what is wrong with the history of a room at a quiet moment, before [chronicle.judge]: it has each event
// once that was taken, and in the order, without a gap, in which who was there got them. An engine that forgot
// everything meanwhile has it begin anew.
func (c *chronicle) recorded(room string, all []entry, forgot bool) (faults []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.space(room)
	place := make(map[string]int, len(all)) // of those since the last quiet moment
	seen := make(map[string]bool, len(all))
	var own []*letter
	latest := int64(0)
	for i, e := range all {
		if seen[e.Payload] {
			faults = append(faults, "it has "+e.Payload+" twice")
		}
		seen[e.Payload] = true
		if i > 0 && e.ID <= all[i-1].ID {
			faults = append(faults, fmt.Sprintf("%s of %s is behind %s", e.ID, e.Payload, all[i-1].ID))
		}
		l := s.letters[e.Payload]
		if l == nil || l.old {
			continue
		}
		if l.fate == refused {
			faults = append(faults, "it has "+e.Payload+", whose sender was told that it was not sent")
		}
		if l.fate == taken && l.ended < latest {
			faults = append(faults, "it has "+e.Payload+" behind what was sent when it had been taken")
		}
		latest = max(latest, l.began)
		place[e.Payload], own = len(own), append(own, l)
	}
	for text, l := range s.letters {
		_, has := place[text]
		since := !forgot || len(own) > 0 && own[0].ended > 0 && l.began > own[0].ended
		if l.fate == taken && !l.old && since && !has {
			faults = append(faults, "it lacks "+text)
		}
	}
	for _, at := range s.seats {
		faults = append(faults, s.follows(at, own, place, forgot)...)
	}
	return faults[:min(6, len(faults))]
}

// follows compares what one seat got with the history since the last quiet moment. mu of the chronicle is held.
func (s *space) follows(at *seat, own []*letter, place map[string]int, forgot bool) (faults []string) {
	next := -1 // place of what comes next, once something came
	for _, text := range at.got {
		i, has := place[text]
		if l := s.letters[text]; !has && !forgot && l != nil && !l.old {
			return []string{fmt.Sprintf("%s got %s, which it lacks", at.who, text)}
		}
		if !has {
			continue
		}
		for ; next >= 0 && next < i && own[next].except != "" && own[next].except == at.id; next++ {
		}
		if next >= 0 && i != next {
			return []string{fmt.Sprintf("%s got %s, which has place %d of it, where it has %s", at.who, text, i, own[min(next, len(own)-1)].text)}
		}
		next = i + 1
	}
	return nil
}
