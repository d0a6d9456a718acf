package pusher_test

import (
	"fmt"
	"slices"
	"testing"

	"poosh/test/process"
)

// A page is a client behind a cutter of its own, and those that stood in its place before they
// gave up.
type page struct {
	*client
	cutter *process.Cutter
	port   int // where it connects to
	way    way
	echo   bool   // Echo is on top of it
	host   string // the page of the browser that it stands in
	user   string // as whom it is a member
	former []*client
}

// all is what a client saw so far.
func (c *client) all() []report { return c.seen(c.id, "", "", "") }

// latest are the last that a client saw, up to n.
func (c *client) latest(n int) []report {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.reports[c.id]
	return slices.Clone(all[max(0, len(all)-n):])
}

// heard reports whether a client has had, lately, an event of each kind with that number or a
// later one.
func (c *client) heard(from int) bool {
	seen := make(map[byte]bool)
	for _, r := range c.latest(200) {
		var kind byte
		var n int
		if r.Saw != "channel" || r.Name != "e" {
			continue
		}
		if _, err := fmt.Sscanf(r.Text, `"%c%d`, &kind, &n); err == nil && n >= from {
			seen[kind] = true
		}
	}
	return len(seen) == len(eventKinds)
}

// story is what a client saw last, but for events.
func (c *client) story() (text string) {
	for _, r := range c.all() {
		if r.Name != "e" {
			text += fmt.Sprintf("\n  %s %s %s %s %.200s", r.at().Format("05.000"), r.Saw, r.Name, r.Channel, r.Text)
		}
	}
	return text[max(0, len(text)-3000):]
}

// socket is the id of its connection as far as it knows; empty if it has had none.
func (c *client) socket() string {
	all := c.seen(c.id, "connected", "", "")
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Name
}

// enter opens the client of a page in its channels, again if it has given up.
func (p *page) enter(s *server, d *driver) {
	id := fmt.Sprintf("%s behind %d", p.way.name, p.port)
	if p.echo {
		id += " with Echo"
	}
	if p.client != nil {
		p.former = append(p.former, p.client)
		id += fmt.Sprint(" again ", len(p.former))
	}
	more := map[string]any{
		"resume": true, "quiet": true, "wsPort": p.port,
		"activityTimeout": activity.Milliseconds(), "activity_timeout": activity.Milliseconds(),
	}
	if p.host != "" {
		more["page"] = p.host
	}
	if p.echo {
		more["echo"] = "pusher"
	}
	p.client = d.open(s, p.way, id, p.user, more)
	for _, channel := range channels {
		p.op("subscribe", "channel", channel)
	}
	if p.echo {
		for i, kind := range []string{"channel", "private", "join"} {
			p.op("listen", "kind", kind, "channel", bare(channels[i]), "event", ".e")
		}
	}
}

// gaveUp reports whether pusher-js will not try any more.
func (p *page) gaveUp() bool {
	return slices.ContainsFunc(p.latest(10), func(r report) bool { return r.Saw == "state" && r.Name == "failed" })
}

// usersOf are the members that pages are.
func usersOf(pages []*page) map[string]bool {
	users := make(map[string]bool)
	for _, p := range pages {
		users[p.user] = true
	}
	return users
}

// judge looks at what the clients of a page saw that has all by now, where all users are there.
// It returns how many connections they had, and how often they were told that something is
// missing.
func (p *page) judge(t *testing.T, c *course, users map[string]bool) (connections, told int) {
	t.Helper()
	for _, one := range append(p.former, p.client) {
		reports := one.all()
		w := c.see(reports)
		if one == p.client {
			w.end(users)
		}
		if p.echo {
			w.listened(reports)
		}
		if len(w.bad) > 0 {
			t.Errorf("%s:\n  %s", one.id, w.faults())
		}
		connections, told = connections+len(w.own), told+w.told
	}
	return connections, told
}
