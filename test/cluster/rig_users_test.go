//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"poosh/auth"
	"poosh/server/pusher/pushertest"
)

// whisper is the event that clients of Pusher send each other; Laravel Echo calls it "typing".
const whisper = "client-typing"

// whisperChannels are those in which they may.
var whisperChannels = []string{"private-p", "presence-a", "presence-b"}

// whisperSome has a page, of the rig's own or a real one, whisper in a channel. What becomes of that it is told only where
// nobody gets it.
func (r *rig) whisperSome(dice *rand.Rand) {
	channel := whisperChannels[dice.IntN(len(whisperChannels))]
	if dice.IntN(4) == 0 {
		r.visitors.whisper(dice, channel)
		return
	}
	g := r.pusher[dice.IntN(len(r.pusher))].here()
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock() // so that two are sent in the order in which they are written
	if s := g.channels[channel]; s == nil || !s.in || s.leaving > 0 {
		return
	}
	l := r.truth.whisper(channel, g.id, g.user)
	g.whispers = append(g.whispers, l)
	text, _ := json.Marshal(map[string]any{"event": whisper, "channel": channel, "data": l.text})
	g.link.say(string(text))
}

// overheard takes what another one whispered.
func (g *pusherGuest) overheard(f pushertest.Frame) {
	text := f.Text()
	if roomOf(text) != f.Channel {
		g.r.blame("%s got %s, whispered in another channel", g.name, f.Raw)
		return
	}
	var who struct {
		UserID string `json:"user_id"`
	}
	_ = json.Unmarshal([]byte(f.Raw), &who)
	if of := g.r.truth.whispered(text); strings.HasPrefix(f.Channel, "presence-") && who.UserID != of {
		g.r.blame("%s is told that %q whispered %s, and it was %q", g.name, who.UserID, text, of)
	}
	g.r.rare.whispers.Add(1)
	g.heard(text)
}

// unheard takes that nobody gets what it whispered last in a channel, or that nobody knows.
func (g *pusherGuest) unheard(f pushertest.Frame) {
	g.mu.Lock()
	var of []*letter
	g.whispers = slices.DeleteFunc(g.whispers, func(l *letter) bool {
		is := roomOf(l.text) == f.Channel
		if is {
			of = append(of, l)
		}
		return is
	})
	g.mu.Unlock()
	g.r.truth.doubted(of)
	g.r.answered(g.r.nodes[g.node], answer{body: string(f.Data)}, unsure)
}

// doubted notes that nobody knows what became of letters, but of those that somebody has.
func (c *chronicle) doubted(letters []*letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range letters {
		if !slices.ContainsFunc(c.space(roomOf(l.text)).seats, func(s *seat) bool { return slices.Contains(s.got, l.text) }) {
			l.fate = unsure
		}
	}
}

// quietWhispers waits until nodes have handled what pages whispered: whoever was told of no fault, and is still
// connected, has reached everybody.
func (r *rig) quietWhispers() {
	for _, g := range r.pages() {
		g.mu.Lock()
		g.pings++
		g.mu.Unlock()
		g.tell("pusher:ping", map[string]string{})
	}
	r.await("pages are answered", func() (left []string) {
		for _, g := range r.pages() {
			g.mu.Lock()
			if g.pongs < g.pings {
				left = append(left, fmt.Sprintf("%s has %d pongs for %d", g.name, g.pongs, g.pings))
			}
			g.mu.Unlock()
		}
		return left
	})
	for _, g := range r.pages() {
		g.mu.Lock()
		for _, l := range g.whispers {
			r.truth.handled(l)
		}
		g.whispers = nil
		g.mu.Unlock()
	}
}

// handled notes that a letter, of which nobody was told, has been taken.
func (c *chronicle) handled(l *letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clock++; l.fate == unsure {
		l.fate, l.ended = taken, c.clock
	}
}

// online is what the story of a user begins with who is signed in.
const online = "online "

// watchedUsers are those whom all who sign in watch.
var watchedUsers = []string{"u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "p2", "p3", "nobody"}

// signIn signs a page in, once.
func (g *pusherGuest) signIn() {
	g.mu.Lock()
	asked := g.asked
	g.asked = true
	g.mu.Unlock()
	if asked {
		return
	}
	user, _ := json.Marshal(map[string]any{"id": g.user, "watchlist": watchedUsers})
	g.r.happened(online+g.user, "%s signs in", g.name)
	g.tell("pusher:signin", map[string]string{"user_data": string(user),
		"auth": pushertest.Key + ":" + auth.PusherSign(pushertest.Secret, g.id+"::user::"+string(user))})
}

// watched takes who of those whom a page watches has come or gone.
func (g *pusherGuest) watched(text string) {
	var told struct {
		Events []struct {
			Name    string
			UserIDs []string `json:"user_ids"`
		}
	}
	if json.Unmarshal([]byte(text), &told) != nil || len(told.Events) == 0 {
		g.r.blame("%s is told %s of its watchlist", g.name, text)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range told.Events {
		for _, user := range e.UserIDs {
			is, knew := g.online[user]
			if came := e.Name == "online"; knew && is == came || !came && e.Name != "offline" || !slices.Contains(watchedUsers, user) {
				g.r.blame("%s is told that %s is %s, and knew that", g.name, user, e.Name)
			}
			if knew {
				g.r.rare.notices.Add(1)
				g.moved(online + user)
			}
			g.online[user] = e.Name == "online"
			g.r.happened(online+user, "%s is told %s", g.name, e.Name)
		}
	}
}

// quietOnline waits until all who are signed in know who of those they watch is.
func (r *rig) quietOnline() {
	r.await("who is signed in knows who is online", func() (left []string) {
		is := make(map[string]bool, len(watchedUsers))
		for _, user := range watchedUsers {
			is[user] = false
		}
		pages := r.pages()
		for _, g := range pages {
			g.mu.Lock()
			if g.signed > 0 {
				is[g.user] = true
			} else if g.asked {
				left = append(left, g.name+" is not signed in")
			}
			g.mu.Unlock()
		}
		r.visitors.online(is)
		for _, g := range pages {
			g.mu.Lock()
			if g.signed > 0 && !maps.Equal(g.online, is) {
				left = append(left, fmt.Sprintf("%s has %v: %s", g.name, g.online, r.differing(g.online, is)))
			}
			g.mu.Unlock()
		}
		return append(left, r.visitors.watching(is)...)
	})
}

// differing tells the story of the first user that two do not agree about.
func (r *rig) differing(has, is map[string]bool) string {
	for _, user := range watchedUsers {
		if now, knows := has[user]; now != is[user] || !knows {
			r.mu.Lock()
			defer r.mu.Unlock()
			return fmt.Sprintf("that %s is online is %v: %s; %s", user, is[user], strings.Join(r.story[online+user], ", "), strings.Join(r.story[""], ", "))
		}
	}
	return "nobody"
}
