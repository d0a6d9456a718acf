//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// saw takes what a client reports.
func (p *visitors) saw(saw report) {
	if saw.ID == "" {
		if saw.Saw == "fault" {
			p.r.blame("the clients of Pusher have a fault: %s", saw.Text)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.list, func(c *visitor) bool { return c.id == saw.ID })
	if i < 0 {
		return // it was made anew
	}
	c := p.list[i]
	switch saw.Saw {
	case "connected":
		c.there, c.knows = true, make(map[string]bool)
	case "state":
		if saw.Name != "connected" && c.there {
			p.left(c, saw.Name)
		}
		if saw.Name == "failed" {
			p.fails(c)
		}
	case "watchlist":
		p.watched(c, saw)
	case "channel", "members", "echo":
		p.inChannel(c, saw)
	}
}

// left notes that a client's connection has ended. mu is held.
func (p *visitors) left(c *visitor, state string) {
	c.there = false
	p.lost++
	p.story = append(p.story, c.id+" is "+state)
	for _, at := range c.places {
		at.in = false
		if at.seat != nil && c.resumes {
			p.r.truth.cut(at.seat)
		} else if at.seat != nil {
			p.r.truth.rise(at.seat)
			at.seat = nil
		}
	}
}

// fails has a client made anew that takes WebSockets for broken. mu is held.
func (p *visitors) fails(c *visitor) {
	for _, at := range c.places {
		if at.seat != nil {
			p.r.truth.rise(at.seat)
			at.seat = nil
		}
	}
	c.id = ""
	go p.open(c) // ends when that is written
}

// inChannel takes what a client saw in a channel. mu is held.
func (p *visitors) inChannel(c *visitor, saw report) {
	channel := saw.Channel
	if c.echo {
		channel = visitorChannels[slices.IndexFunc(visitorChannels, func(channel string) bool {
			_, name := echoOf(channel)
			return name == saw.Channel
		})]
	}
	at := c.places[channel]
	switch what := strings.TrimPrefix(strings.TrimPrefix(saw.Name, "pusher:"), "."); {
	case saw.Saw == "members":
		var told struct{ IDs [][2]json.RawMessage }
		_ = json.Unmarshal([]byte(saw.Text), &told)
		at.members = make(map[string]bool)
		for _, pair := range told.IDs {
			at.members[strings.Trim(string(pair[0]), `"`)] = true
		}
	case what == "here":
		var told []struct{ Name string }
		_ = json.Unmarshal([]byte(saw.Text), &told)
		at.members = make(map[string]bool)
		for _, one := range told {
			at.members[strings.TrimPrefix(one.Name, "user ")] = true
		}
	case what == "subscription_succeeded" || what == "subscribed":
		p.isIn(c, channel, at)
	case what == "resume_failed":
		p.beginsAnew(c, channel, at, saw.Text)
	case what == "member_added" || what == "joining":
		p.moved(c, channel, at, saw, true)
	case what == "member_removed" || what == "leaving":
		p.moved(c, channel, at, saw, false)
	case what == "e" || what == whisper || what == "whisper":
		var text string
		_ = json.Unmarshal([]byte(saw.Text), &text)
		for text := range strings.FieldsSeq(text) {
			if roomOf(text) != channel {
				continue // it was sent to two
			}
			if at.seat == nil {
				p.r.truth.stray(c.id, text)
			} else {
				p.r.truth.heard(at.seat, text)
			}
		}
	case what == "subscription_error" || what == "error":
		p.story = append(p.story, c.id+" is told "+saw.Text+" of "+channel)
	}
}

// isIn notes that a client was let into a channel. mu is held.
func (p *visitors) isIn(c *visitor, channel string, at *place) {
	if at.in {
		p.r.blame("%s is let into %s twice", c.id, channel)
	}
	at.in = true
	if at.seat != nil { // what it missed is what comes next
		p.r.truth.goOn(at.seat)
		p.r.rare.wentOn.Add(1)
		return
	}
	at.seat = p.r.truth.sit(channel, c.id, c.id)
	p.r.truth.confirm(at.seat)
}

// beginsAnew notes that a client cannot go on where it was in a channel. mu is held.
func (p *visitors) beginsAnew(c *visitor, channel string, at *place, why string) {
	p.anew = append(p.anew, c.id+" cannot go on in "+channel+": "+why)
	if at.seat != nil {
		p.r.truth.rise(at.seat)
	}
	at.seat = p.r.truth.sit(channel, c.id, c.id)
	p.r.truth.confirm(at.seat)
}

// moved notes that a client was told of a member who came or went. mu is held.
func (p *visitors) moved(c *visitor, channel string, at *place, saw report, came bool) {
	var one struct{ ID, Name string }
	_ = json.Unmarshal([]byte(saw.Text), &one)
	user := one.ID
	if c.echo {
		user = strings.TrimPrefix(one.Name, "user ")
	}
	if at.members[user] == came {
		p.r.blame("%s is told %s of %q in %s, and has %v", c.id, saw.Name, user, channel, sorted(at.members))
	}
	if came {
		at.members[user] = true
	} else {
		delete(at.members, user)
	}
}

// watched notes that a client was told of a user whom it watches. mu is held.
func (p *visitors) watched(c *visitor, saw report) {
	var told struct {
		UserIDs []string `json:"user_ids"`
	}
	if json.Unmarshal([]byte(saw.Text), &told) != nil || len(told.UserIDs) == 0 {
		p.r.blame("%s is told %s %s of its watchlist", c.id, saw.Name, saw.Text)
	}
	for _, user := range told.UserIDs {
		is, knew := c.knows[user]
		if came := saw.Name == "online"; knew && is == came {
			p.r.blame("%s is told that %s is %s, and knew that", c.id, user, saw.Name)
		}
		c.knows[user] = saw.Name == "online"
		p.r.happened(online+user, "%s is told %s", c.id, saw.Name)
	}
}

// connected is how many there are.
func (p *visitors) connected() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.list {
		if c.there {
			n++
		}
	}
	return n
}

// present calls is for each channel that a client is in.
func (p *visitors) present(is func(channel, user string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.list {
		for channel, at := range c.places {
			if at.in {
				is(channel, c.user)
			}
		}
	}
}

// online notes who of the users of a map is signed in here.
func (p *visitors) online(is map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.list {
		if _, watched := is[c.user]; watched && c.watches && c.there {
			is[c.user] = true
		}
	}
}

// watching complains of clients that do not know who is online.
func (p *visitors) watching(is map[string]bool) (left []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.list {
		if c.watches && !maps.Equal(c.knows, is) {
			left = append(left, fmt.Sprintf("%s has %v: %s", c.id, c.knows, p.r.differing(c.knows, is)))
		}
	}
	return left
}

// members complains of clients that do not know who is in a channel.
func (p *visitors) members(users map[string]map[string]bool) (left []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.list {
		for channel, at := range c.places {
			if strings.HasPrefix(channel, "presence-") && !maps.Equal(at.members, users[channel]) {
				left = append(left, fmt.Sprintf("%s has %v in %s, where are %v", c.id, sorted(at.members), channel, sorted(users[channel])))
			}
		}
	}
	return left
}
