//go:build unix

package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
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
	r.lostPlaces(r.round.victim, anew)
	if len(story) > 0 {
		r.t.Logf("round %d: %d connections of clients of pusher-js ended: %s", r.round.number, lost, strings.Join(story[:min(len(story), 8)], "; "))
	}
	if lost > 0 && !r.round.fault.ends && !r.round.fault.reset && !r.round.fault.apart {
		r.blame("%d connections of clients of pusher-js ended: %v", lost, story)
	}
}
