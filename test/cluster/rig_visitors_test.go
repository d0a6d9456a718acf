//go:build unix

package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"poosh/server/pusher/pushertest"
)

// visitorChannels are those that the clients of Pusher are in that people have.
var visitorChannels = []string{"news", "private-p", "presence-b"}

// visitors are clients of pusher-js, and of Laravel Echo on top of it, behind balancers that hand each connection to
// the next node. They connect anew by themselves; some have the plugin of examples/pusher, and go on where they were.
// One that has lost two young WebSockets without a word gives them up for good, and is made anew.
type visitors struct {
	r    *rig
	list []*visitor

	saying sync.Mutex // guards in; taken in front of mu, which is not held while something is written
	in     io.Writer

	mu    sync.Mutex // guards what follows, and what a visitor has behind its own
	lost  int        // connections, since the last quiet moment
	story []string   // of those
	anew  []string   // who could not go on where it was
}

// A visitor is one of them, of a user of its own.
type visitor struct {
	version, user string
	front         string
	echo, resumes bool
	watches       bool // is signed in, and is told who of those that it watches is online

	id     string // another one each time that it is made anew
	made   int
	there  bool
	places map[string]*place // by channel
	knows  map[string]bool   // whom it watches, and whether it was told that they are there
}

// A place is what a visitor knows of a channel.
type place struct {
	seat    *seat // nil for one that begins anew
	in      bool
	members map[string]bool
}

func newVisitors(r *rig) *visitors {
	p := &visitors{r: r}
	fronts := r.fronts("", func(n *rigNode) int { return n.pusher })
	p.drive()
	for i, version := range []string{"4", "4", "7", "7", "8", "8", "8"} {
		c := &visitor{front: fronts[i%len(fronts)], version: version, user: fmt.Sprint("p", i), resumes: i%2 == 1, echo: i == 6, watches: i > 1 && i < 6,
			places: make(map[string]*place), knows: make(map[string]bool)}
		p.list = append(p.list, c)
		for _, channel := range visitorChannels {
			c.places[channel] = &place{members: make(map[string]bool)}
		}
		p.open(c)
	}
	return p
}

// open makes a client, which connects and subscribes to its channels.
func (p *visitors) open(c *visitor) {
	p.mu.Lock()
	c.made++
	c.id = fmt.Sprintf("pusher-js %s of %s, %d", c.version, c.user, c.made)
	id := c.id
	p.mu.Unlock()
	host, port, _ := net.SplitHostPort(c.front)
	at, _ := strconv.Atoi(port)
	params := map[string]any{"params": map[string]any{"user": c.user, "watch": strings.Join(watchedUsers, ",")}}
	options := map[string]any{"wsHost": host, "wsPort": at, "forceTLS": false, "encrypted": false, "enabledTransports": []string{"ws"},
		"disableStats": true, "cluster": "mt1", "authEndpoint": "SITE/auth", "auth": params}
	if c.version != "4" {
		options["userAuthentication"] = map[string]any{"endpoint": "SITE/user", "transport": "ajax", "params": params["params"]}
	}
	cmd := map[string]any{"op": "open", "id": id, "version": c.version, "key": pushertest.Key, "options": options, "quiet": "whole", "resume": c.resumes}
	if c.echo {
		cmd["echo"] = "pusher"
	}
	p.do(cmd)
	for _, channel := range visitorChannels {
		if c.echo {
			kind, name := echoOf(channel)
			p.do(map[string]any{"op": "listen", "id": id, "kind": kind, "channel": name, "event": ".e"})
		} else {
			p.do(map[string]any{"op": "subscribe", "id": id, "channel": channel})
		}
	}
	if c.watches {
		p.do(map[string]any{"op": "signin", "id": id})
	}
}

// echoOf is what Laravel Echo calls a channel: the method, and the name that it is given.
func echoOf(channel string) (kind, name string) {
	switch kind, name, _ := strings.Cut(channel, "-"); kind {
	case "private":
		return "private", name
	case "presence":
		return "join", name
	}
	return "channel", channel
}

// drive starts the process of the clients, which ends with the test.
func (p *visitors) drive() {
	settings, _ := json.Marshal(map[string]any{"app": pushertest.ID, "key": pushertest.Key, "secret": pushertest.Secret,
		"masterKey": "VGhlIDMyIGNoYXJzIGxvbmcgZW5jcnlwdGlvbiBrZXk=", "port": p.r.nodes[0].pusher})
	cmd := exec.Command("node", filepath.Join(pusherClients, "drive", "drive.js"), string(settings))
	in, err := cmd.StdinPipe()
	if err != nil {
		p.r.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.r.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		p.r.t.Fatal(err)
	}
	p.in = in
	done := make(chan struct{})
	go func() { // ends with the process
		defer close(done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			var saw report
			if err := json.Unmarshal(lines.Bytes(), &saw); err != nil {
				saw = report{Saw: "fault", Text: lines.Text()}
			}
			p.saw(saw)
		}
	}()
	p.r.t.Cleanup(func() {
		_ = in.Close()
		<-done
		if err := cmd.Wait(); err != nil {
			p.r.t.Errorf("the clients of Pusher: %v\n%s", err, errs.String())
		}
	})
}

// do has the process of the clients do something.
func (p *visitors) do(cmd map[string]any) {
	p.saying.Lock()
	defer p.saying.Unlock()
	p.say(cmd)
}

// say is do with saying held.
func (p *visitors) say(cmd map[string]any) {
	line, err := json.Marshal(cmd)
	if err == nil {
		_, err = p.in.Write(append(line, '\n'))
	}
	if err != nil {
		p.r.blame("the clients of Pusher: %v", err)
	}
}

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

// whisper has some client whisper in a channel.
func (p *visitors) whisper(dice *rand.Rand, channel string) {
	p.saying.Lock()
	defer p.saying.Unlock() // so that two are sent in the order in which they are written
	c := p.list[dice.IntN(len(p.list))]
	p.mu.Lock()
	at := c.places[channel]
	in, id := at != nil && at.in, c.id
	p.mu.Unlock()
	if !in {
		return
	}
	l := p.r.truth.whisper(channel, id, c.user)
	if _, name := echoOf(channel); c.echo {
		p.say(map[string]any{"op": "whisper", "id": id, "channel": name, "data": l.text})
	} else {
		p.say(map[string]any{"op": "trigger", "id": id, "channel": channel, "event": whisper, "data": l.text})
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

// quietVisitors waits until all clients are in their channels.
func (r *rig) quietVisitors() {
	p := r.visitors
	r.await("clients of pusher-js are in their channels", func() (left []string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.list {
			for channel, at := range c.places {
				if !at.in {
					left = append(left, fmt.Sprintf("%s, which is there %v, is not in %s", c.id, c.there, channel))
				}
			}
		}
		return left
	})
	p.mu.Lock()
	lost, story, anew := p.lost, p.story, p.anew
	p.lost, p.story, p.anew = 0, nil, nil
	p.mu.Unlock()
	r.lostPlaces(anew)
	if len(story) > 0 {
		r.t.Logf("round %d: %d connections of clients of pusher-js ended: %s", r.round.number, lost, strings.Join(story[:min(len(story), 8)], "; "))
	}
	if lost > 0 && !r.round.fault.ends && !r.round.fault.reset && !r.round.fault.apart {
		r.blame("%d connections of clients of pusher-js ended: %v", lost, story)
	}
}
