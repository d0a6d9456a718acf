//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A rigHooks is the application that takes webhooks, and what it takes for true by them.
type rigHooks struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	total  int
	is     map[string]bool  // a channel that is occupied, or a channel and a member that is there
	faults []hookFault      // what was told though it was so, since the last quiet moment
	moves  map[string]int   // how often something was told, since then
	times  map[string]int64 // of the last webhook about something, in milliseconds
	tell   func(what, format string, args ...any)
}

// A hookFault is a webhook about something that should not have come.
type hookFault struct{ what, text string }

func newRigHooks(t *testing.T, tell func(what, format string, args ...any)) *rigHooks {
	h := &rigHooks{tell: tell, is: make(map[string]bool), moves: make(map[string]int), times: make(map[string]int64)}
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *rigHooks) take(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		TimeMS int64 `json:"time_ms"`
		Events []struct {
			Name, Channel string
			UserID        string `json:"user_id"`
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range body.Events {
		var came bool
		switch e.Name {
		case "channel_occupied", "member_added":
			came = true
		case "channel_vacated", "member_removed":
		default:
			continue
		}
		h.total++
		what := strings.TrimSpace(e.Channel + " " + e.UserID)
		h.tell(what, "webhook %s of %d", e.Name, body.TimeMS)
		if body.TimeMS < h.times[what] { // of a node that stood still with it on its way
			h.faults = append(h.faults, hookFault{what, fmt.Sprintf("the application is told %s of %s behind what was later", e.Name, what)})
			continue
		}
		h.times[what] = body.TimeMS
		if h.is[what] == came {
			h.faults = append(h.faults, hookFault{what, fmt.Sprintf("the application is told %s of %s again", e.Name, what)})
		}
		h.is[what] = came
		h.moves[what]++
	}
}

func (h *rigHooks) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// differs says of what the application does not know what is.
func (h *rigHooks) differs(is map[string]bool) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for what := range maps.Keys(h.is) {
		if h.is[what] != is[what] {
			list = append(list, what)
		}
	}
	for what := range is {
		if _, ok := h.is[what]; !ok {
			list = append(list, what)
		}
	}
	slices.Sort(list)
	return list
}

// again is what it was told twice since the last quiet moment, and how often it was told something.
func (h *rigHooks) again() (faults []hookFault, moves map[string]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	faults, moves = h.faults, h.moves
	h.faults, h.moves = nil, make(map[string]int)
	return faults, moves
}

// stayed are the channels, and their members, that some page far from the fault was in from one quiet moment to
// the next, and the users as whom one was signed in.
func (r *rig) stayed() (list []string) {
	if r.round.fault.reset || r.round.reset {
		return nil
	}
	for _, g := range r.pages() {
		if g.node == r.round.victim {
			continue
		}
		g.mu.Lock()
		if g.signed > 0 && g.signed < r.round.began {
			list = append(list, online+g.user)
		}
		for channel, s := range g.channels {
			if !r.truth.satSince(s.seat, r.round.began) {
				continue
			}
			list = append(list, channel)
			if strings.HasPrefix(channel, "presence-") {
				list = append(list, channel+" "+g.user)
			}
		}
		g.mu.Unlock()
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// hooksAgain is how many webhooks may come twice where a node ends or is cut off: those that it was telling.
const hooksAgain = 3

// quietOnce looks whether the application was told nothing twice, and nobody that somebody went who had not.
func (r *rig) quietOnce() {
	faults, moves := r.hooks.again()
	blames := r.t.Logf
	if f := r.round.fault; !f.reset && !r.round.reset && (len(faults) > hooksAgain || !f.ends && !f.apart) {
		blames = func(format string, args ...any) { r.blame(format, args...) }
	}
	for _, f := range faults {
		blames("round %d: %s: %s", r.round.number, f.text, r.tale(f.what))
	}
	r.mu.Lock()
	seen := r.moves
	r.moves = make(map[string]int)
	r.mu.Unlock()
	for _, what := range r.stayed() {
		if moves[what] > 0 || seen[what] > 0 {
			r.mu.Lock()
			story := strings.Join(r.story[what], ", ")
			r.mu.Unlock()
			r.blame("%s was there all the time, and %d webhooks and %d events say that it came or went: %s", what, moves[what], seen[what], story)
		}
	}
}

// moved notes that a page was told that a member came or went.
func (g *pusherGuest) moved(what string) {
	if g.node == int(g.r.victim.Load()) {
		return
	}
	g.r.mu.Lock()
	defer g.r.mu.Unlock()
	g.r.moves[what]++
}
