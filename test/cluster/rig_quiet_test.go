//go:build unix

package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// quiet waits until all rest, and looks at everything. Where something is not so in time it waits no more, and
// says what else is wrong by what is known already.
func (r *rig) quiet() {
	r.ready()
	r.quietDevices()
	r.quietSentAway()
	r.quietSubscriptions()
	r.quietCrowd()
	r.quietVisitors()
	r.quietStreams()
	r.quietWhispers()
	last := r.marks()
	for _, room := range r.truth.rooms() {
		r.await("all have what was sent", func() []string { return r.truth.owed(room) })
	}
	r.quietHistory(last)
	for _, text := range r.truth.judge(r.round.fault.reset) {
		r.blame("%s", text)
	}
	r.quietQuestions()
	r.quietOnline()
	r.quietHooks()
	r.quietIDs()
	stall := time.Duration(r.stall.Swap(0))
	if stall >= rigStall {
		r.t.Logf("round %d: the machine stood still for %v: what a node does that takes Redis for away is no fault", r.round.number, stall)
	}
	r.quietEnds(stall >= rigStall)
	r.quietSenders(stall >= rigStall)
	r.quietKick()
}

// marks sends to each room until all who are there have got something, and then once more. It returns
// the last text of each room of POST /send.
func (r *rig) marks() map[string]string {
	last := make(map[string]string)
	mark := func(room string, send func() (*letter, fate)) {
		for range 2 {
			var l *letter
			r.await("a send to "+room, func() []string {
				got, f := send()
				if l = got; f == taken {
					return nil
				}
				return []string{fmt.Sprint("its fate is ", f)}
			})
			if r.stuck {
				return
			}
			last[room] = l.text
			// Who has just joined may be there a moment later only: it is told again.
			r.await("all have the last event", func() []string {
				lacking := r.truth.lacking(l)
				if len(lacking) > 0 && r.truth.unconfirmed(room) {
					if again, f := send(); f == taken {
						l, last[room] = again, again.text
					}
				}
				return lacking
			})
		}
	}
	for _, room := range append(slices.Clone(pooshRooms), everyone, realRoom) {
		mark(room, func() (*letter, fate) { return r.sends(r.anyNode(r.dice), room, "") })
	}
	for _, channel := range pusherChannels {
		mark(channel, func() (*letter, fate) {
			list, f := r.triggers(r.anyNode(r.dice), "", channel)
			return list[0], f
		})
	}
	return last
}

// pages are the connections of Pusher that are there.
func (r *rig) pages() (list []*pusherGuest) {
	for _, s := range r.pusher {
		if g := s.here(); g != nil {
			list = append(list, g)
		}
	}
	return list
}

// quietSubscriptions waits until who subscribed is in its channel, and who left it is not.
func (r *rig) quietSubscriptions() {
	r.await("pages are in their channels", func() (left []string) {
		for _, g := range r.pages() {
			g.mu.Lock()
			for channel, s := range g.channels {
				if !s.in || s.leaving > 0 {
					left = append(left, fmt.Sprintf("%s, %s: in %v, leaving %v", g.name, channel, s.in, s.leaving > 0))
				}
			}
			g.mu.Unlock()
		}
		return left
	})
}

// present is who is where: users by channel, and how many subscriptions.
func (r *rig) present() (users map[string]map[string]bool, subscriptions map[string]int) {
	users, subscriptions = make(map[string]map[string]bool), make(map[string]int)
	is := func(channel, user string) {
		if users[channel] == nil {
			users[channel] = make(map[string]bool)
		}
		users[channel][user] = true
		subscriptions[channel]++
	}
	for _, g := range r.pages() {
		g.mu.Lock()
		for channel := range g.channels {
			is(channel, g.user)
		}
		g.mu.Unlock()
	}
	r.visitors.present(is)
	return users, subscriptions
}

// quietQuestions asks each node what it knows of channels, and looks at what pages were told.
func (r *rig) quietQuestions() {
	r.await("pages know who is there", func() (left []string) {
		users, _ := r.present()
		for _, g := range r.pages() {
			g.mu.Lock()
			for channel, s := range g.channels {
				if strings.HasPrefix(channel, "presence-") && !maps.Equal(s.members, users[channel]) {
					left = append(left, fmt.Sprintf("%s has %v in %s, where are %v", g.name, sorted(s.members), channel, sorted(users[channel])))
				}
			}
			g.mu.Unlock()
		}
		return append(left, r.visitors.members(users)...)
	})
	r.await("nodes know who is there", func() (left []string) {
		users, subscriptions := r.present()
		for i, n := range r.nodes {
			if n == r.dead {
				continue
			}
			ask := func(want, path string, query url.Values) {
				if a := r.api(n, http.MethodGet, path, query, ""); a.body != want {
					left = append(left, fmt.Sprintf("node %d says of %s %d %s %v, and it is %s", i, path, a.status, a.body, a.err, want))
				}
			}
			ask(fmt.Sprintf(`{"connections":%d}`, len(r.pages())+r.visitors.connected()), "/connections", nil)
			for _, channel := range pusherChannels {
				there := subscriptions[channel]
				info := fmt.Sprintf(`{"occupied":%v,"subscription_count":%d}`, there > 0, there)
				asks := "subscription_count"
				if strings.HasPrefix(channel, "presence-") {
					info = fmt.Sprintf(`{"occupied":%v,"user_count":%d,"subscription_count":%d}`, there > 0, len(users[channel]), there)
					asks = "user_count,subscription_count"
					a := r.api(n, http.MethodGet, "/channels/"+channel+"/users", nil, "")
					if got := usersOf(a.body); !slices.Equal(got, sorted(users[channel])) {
						left = append(left, fmt.Sprintf("node %d has %v in %s, where are %v", i, got, channel, sorted(users[channel])))
					}
				}
				ask(info, "/channels/"+channel, url.Values{"info": {asks}})
			}
			list := make(map[string]struct{})
			for channel, there := range subscriptions {
				if there > 0 {
					list[channel] = struct{}{}
				}
			}
			text, _ := json.Marshal(map[string]any{"channels": list})
			ask(string(text), "/channels", nil)
		}
		return left
	})
}

// usersOf reads an answer about users, whose order is nobody's.
func usersOf(body string) (ids []string) {
	var said struct{ Users []struct{ ID string } }
	_ = json.Unmarshal([]byte(body), &said)
	for _, u := range said.Users {
		ids = append(ids, u.ID)
	}
	slices.Sort(ids)
	return ids
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }

// quietHooks looks whether the application knows what is so, and was told nothing twice.
func (r *rig) quietHooks() {
	r.quietKnown()
	r.quietOnce()
}

// quietKnown waits until the application knows what is so.
func (r *rig) quietKnown() {
	r.await("the application knows who is there", func() []string {
		users, subscriptions := r.present()
		is := make(map[string]bool)
		for channel := range subscriptions {
			is[channel] = true
			if strings.HasPrefix(channel, "presence-") {
				for user := range users[channel] {
					is[channel+" "+user] = true
				}
			}
		}
		left := r.hooks.differs(is)
		for i, what := range left {
			left[i] = fmt.Sprintf("that %s is there is %v: %s", what, is[what], r.tale(what))
		}
		return left
	})
}

// quietIDs looks whether each id has one client, and each node knows which have.
func (r *rig) quietIDs() {
	r.await("ids are right", func() (left []string) {
		have := r.ids()
		for id, n := range have {
			if n > 1 {
				left = append(left, fmt.Sprintf("%s has %d clients", id, n))
			}
		}
		for i, n := range r.nodes {
			_, succeeded, f := r.delivers(n, octopusIDs...)
			slices.Sort(succeeded)
			if want := slices.Sorted(maps.Keys(have)); f != taken || !slices.Equal(succeeded, want) {
				left = append(left, fmt.Sprintf("node %d knows %v, and there are %v (%v)", i, succeeded, want, f))
				for _, id := range want {
					if f == taken && !slices.Contains(succeeded, id) {
						left = append(left, r.tale(id))
					}
				}
			}
		}
		return left
	})
	for _, id := range octopusIDs {
		r.await("who has an id has what was sent to it", func() []string { return r.truth.owed(id) })
	}
}

// abrupt reports whether a connection ended without a word.
func abrupt(why error) bool {
	return websocket.IsCloseError(why, websocket.CloseAbnormalClosure) || errors.Is(why, syscall.ECONNRESET)
}

// quietEnds looks whether connections ended that should not have.
func (r *rig) quietEnds(stalled bool) {
	r.mu.Lock()
	ends := r.ends
	r.ends = nil
	r.mu.Unlock()
	counts := make(map[bool]int)
	for _, e := range ends {
		hit := e.node == r.round.victim
		ok := errors.Is(e.why, errReplaced) && rivals(e.who) || (r.round.fault.reset || stalled) && !abrupt(e.why) || hit && r.round.fault.ends ||
			hit && r.round.fault.apart && (e.at > r.round.began || r.round.reset)
		counts[ok]++
		if !ok {
			r.blame("%s ended, which was there since %d of %d: %v; %s", e.who, e.at, r.round.began, e.why, r.tale(idOf(e.who)))
		}
	}
	kinds := make(map[string]int)
	for _, e := range ends {
		kind, _, _ := strings.Cut(e.who, " ")
		why := e.why.Error()
		if _, said, ok := strings.Cut(why, ", told "); ok {
			why = said
		}
		kinds[kind+" "+why[:min(80, len(why))]]++
	}
	r.t.Logf("round %d: %d connections ended as they may, in all %v", r.round.number, counts[true], kinds)
}
