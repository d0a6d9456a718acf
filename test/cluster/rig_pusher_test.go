//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"poosh/auth"
	"poosh/server/pusher/pushertest"
)

// pusherChannels are those that clients of Pusher subscribe to.
var pusherChannels = []string{"news", "private-p", "presence-a", "presence-b", "cache-c"}

// A pusherSlot is a client of Pusher of a user, which comes and goes. Its worker alone changes it.
type pusherSlot struct {
	r     *rig
	user  string
	stays bool // connects anew to its node when it has to, and is in all channels
	node  int
	now   atomic.Pointer[pusherGuest]
}

// A pusherGuest is one connection of it.
type pusherGuest struct {
	*guest
	user     string
	channels map[string]*subscription // guarded by mu of guest
	pings    int                      // that it sent
	pongs    int                      // that came
	asked    bool                     // to sign in
	signed   int64                    // since when it is signed in, by the clock; 0 for not yet
	online   map[string]bool          // whom it watches, and whether it was told that they are there
	whispers []*letter                // of which it may be told yet that nobody gets them
}

// A subscription is what a connection knows of a channel.
type subscription struct {
	seat    *seat
	in      bool
	leaving int  // the ping behind which it has left; 0 for one that stays
	cached  bool // the next event is the last one of before
	members map[string]bool
}

func (s *pusherSlot) end() {
	if g := s.now.Load(); g != nil {
		g.end()
	}
}

// here reports whether it is connected.
func (s *pusherSlot) here() *pusherGuest {
	if g := s.now.Load(); g != nil && g.here() {
		return g
	}
	return nil
}

// act does something that such a client may do.
func (s *pusherSlot) act(dice *rand.Rand) {
	g := s.here()
	switch {
	case s.r.calm.Load():
		return
	case g == nil:
		s.connect(dice)
		return
	}
	channel := pusherChannels[dice.IntN(len(pusherChannels))]
	switch n := dice.IntN(60); {
	case s.stays:
	case n == 0:
		g.end()
	case n < 5:
		g.subscribe(channel)
	case n < 8:
		g.unsubscribe(channel)
	case n < 10:
		g.signIn()
	}
}

func (s *pusherSlot) connect(dice *rand.Rand) {
	at := s.node
	if !s.stays {
		at = dice.IntN(len(s.r.nodes))
	}
	n := s.r.nodes[at]
	l, err := dialLink("ws://" + n.at(n.pusher) + "/app/" + pushertest.Key + "?protocol=7&client=rig&version=1")
	if err != nil {
		return
	}
	var first pushertest.Frame
	var data struct {
		SocketID string `json:"socket_id"`
	}
	_ = l.ws.SetReadDeadline(time.Now().Add(rigPatience))
	text, err := l.hear()
	_ = l.ws.SetReadDeadline(time.Time{})
	if err != nil || json.Unmarshal([]byte(text), &first) != nil || json.Unmarshal([]byte(first.Text()), &data) != nil || data.SocketID == "" {
		l.close()
		return
	}
	g := &pusherGuest{guest: s.r.guest("page of "+s.user, at, data.SocketID, l), user: s.user, channels: make(map[string]*subscription), online: make(map[string]bool)}
	g.as = s.user
	s.now.Store(g)
	go func() { // ends with the connection
		why := g.listen()
		g.mu.Lock() // its worker may be about to subscribe
		channels := slices.Collect(maps.Keys(g.channels))
		g.mu.Unlock()
		for _, channel := range channels {
			g.happened(channel, fmt.Sprint("ends: ", why))
		}
		g.over(why)
	}()
	if s.stays || dice.IntN(2) == 0 {
		g.signIn()
	}
	for _, channel := range pusherChannels {
		if s.stays || dice.IntN(3) == 0 {
			g.subscribe(channel)
		}
	}
}

// subscribe asks for a channel that it has not, and has not just left.
func (g *pusherGuest) subscribe(channel string) {
	g.mu.Lock()
	if g.channels[channel] != nil || g.why != nil { // or its seat would outlive it
		g.mu.Unlock()
		return
	}
	s := &subscription{seat: g.r.truth.sit(channel, g.name, g.id), members: make(map[string]bool)}
	g.channels[channel], g.seats[channel] = s, s.seat
	g.mu.Unlock()
	data := map[string]string{"channel": channel}
	signed := g.id + ":" + channel
	if strings.HasPrefix(channel, "presence-") {
		data["channel_data"] = fmt.Sprintf(`{"user_id":%q,"user_info":{"name":"user %s"}}`, g.user, g.user) // as the site of test/pusher has it
		signed += ":" + data["channel_data"]
	}
	if strings.HasPrefix(channel, "p") {
		data["auth"] = pushertest.Key + ":" + auth.PusherSign(pushertest.Secret, signed)
	}
	g.happened(channel, "subscribes")
	g.tell("pusher:subscribe", data)
}

// unsubscribe leaves a channel, whether it was let in or not.
func (g *pusherGuest) unsubscribe(channel string) {
	g.mu.Lock()
	s := g.channels[channel]
	if s == nil || s.leaving > 0 {
		g.mu.Unlock()
		return
	}
	g.pings++
	s.leaving = g.pings
	g.mu.Unlock()
	g.r.truth.rise(s.seat)
	g.happened(channel, "leaves")
	g.tell("pusher:unsubscribe", map[string]string{"channel": channel})
	g.tell("pusher:ping", map[string]string{})
}

// happened notes what happened to it in a channel.
func (g *pusherGuest) happened(channel, what string) {
	if strings.HasPrefix(channel, "presence-") {
		channel += " " + g.user
	}
	g.r.happened(channel, "%s %s", g.name, what)
}

func (g *pusherGuest) tell(event string, data map[string]string) {
	text, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err == nil {
		g.link.say(string(text))
	}
}

// listen takes what comes until the connection ends.
func (g *pusherGuest) listen() error {
	for {
		text, err := g.link.hear()
		if err != nil {
			return err
		}
		var f pushertest.Frame
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return err
		}
		f.Raw = text
		g.took(f)
	}
}

// took takes one frame.
func (g *pusherGuest) took(f pushertest.Frame) {
	switch f.Event {
	case "e":
		g.mu.Lock()
		s := g.channels[f.Channel]
		cached := s != nil && s.cached
		if cached {
			s.cached = false
		}
		g.mu.Unlock()
		for text := range strings.FieldsSeq(f.Text()) {
			if roomOf(text) == f.Channel && !cached {
				g.heard(text)
			}
		}
		return
	case whisper:
		g.overheard(f)
		return
	case "pusher:signin_success":
		g.mu.Lock()
		g.signed = g.r.truth.tick()
		g.mu.Unlock()
		return
	case "pusher_internal:watchlist_events":
		g.watched(f.Text())
		return
	case "pusher:ping":
		g.tell("pusher:pong", map[string]string{})
		return
	case "pusher:error":
		g.mu.Lock()
		g.told = string(f.Data)
		g.mu.Unlock()
		if f.Channel != "" {
			g.unheard(f)
		}
		return
	case "pusher:pong":
		g.mu.Lock()
		defer g.mu.Unlock()
		g.pongs++
		for channel, s := range g.channels {
			if s.leaving > 0 && s.leaving <= g.pongs {
				delete(g.channels, channel)
				delete(g.seats, channel)
			}
		}
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.channels[f.Channel]
	if s == nil {
		if f.Channel != "" && f.Event != "pusher:subscription_error" {
			g.r.truth.stray(g.name, f.Raw)
		}
		return
	}
	switch f.Event {
	case "pusher_internal:subscription_succeeded":
		if s.in {
			g.r.blame("%s is let into %s twice", g.name, f.Channel)
		}
		g.happened(f.Channel, "is in")
		s.in, s.cached = true, strings.HasPrefix(f.Channel, "cache-")
		if s.leaving == 0 {
			g.r.truth.confirm(s.seat)
		}
		var data struct{ Presence struct{ IDs []string } }
		_ = json.Unmarshal([]byte(f.Text()), &data)
		for _, id := range data.Presence.IDs {
			s.members[id] = true
		}
	case "pusher:cache_miss":
		s.cached = false
	case "pusher_internal:member_added", "pusher_internal:member_removed":
		var data struct {
			UserID string `json:"user_id"`
		}
		added := f.Event == "pusher_internal:member_added"
		if json.Unmarshal([]byte(f.Text()), &data) != nil || s.members[data.UserID] == added {
			g.r.blame("%s is told %s of %s in %s, and has %v", g.name, f.Event, f.Text(), f.Channel, slices.Sorted(maps.Keys(s.members)))
		}
		g.moved(f.Channel + " " + data.UserID)
		if added {
			s.members[data.UserID] = true
		} else {
			delete(s.members, data.UserID)
		}
	}
}

// triggerSome sends to a channel, or two, and sometimes leaves somebody out.
func (r *rig) triggerSome(dice *rand.Rand) {
	i, except := dice.IntN(len(pusherChannels)), ""
	channels := []string{pusherChannels[i]}
	if dice.IntN(3) == 0 {
		channels = append(channels, pusherChannels[(i+1)%len(pusherChannels)])
	}
	if g := r.pusher[dice.IntN(len(r.pusher))].here(); dice.IntN(5) == 0 && g != nil {
		except = g.id
	}
	r.triggers(r.anyNode(dice), except, channels...)
}
