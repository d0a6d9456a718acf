//go:build linux

package load

import "fmt"

// Told returns how many messages about members all clients have got.
func (c *Crowd) Told() (n int64) {
	for i := range c.rosters {
		n += c.rosters[i].told
	}
	return n
}

// Members returns how many clients are in presence channels.
func (c *Crowd) Members() int {
	n := c.residents
	for i := range c.stays {
		if c.stays[i].state == inside {
			n++
		}
	}
	return n
}

// AllKnown reports whether every member knows of exactly those who are there in its channel.
func (c *Crowd) AllKnown() bool { return c.Strangers() == nil }

// Strangers tells of a member that knows of more or fewer than are there in its channel, or nil.
func (c *Crowd) Strangers() error {
	present := func(i int) bool {
		s, comes := c.visitor(i)
		return !c.clients[i].forsaken && (!comes || s.state == inside)
	}
	rooms := make([]roster, c.cfg.Rooms.count())
	for i := range c.rosters {
		if all := &rooms[i%len(rooms)]; present(i) {
			all.count++
			all.sum += int64(idOf(i))
		}
	}
	for i := range c.rosters {
		all := &rooms[i%len(rooms)]
		if r := c.rosters[i]; present(i) && (r.count != all.count || r.sum != all.sum) {
			return fmt.Errorf("member %d knows of %d members with a sum of ids of %d, not of %d with %d", i, r.count, r.sum, all.count, all.sum)
		}
	}
	return nil
}

// Lost tells that connections ended, or nil.
func (c *Crowd) Lost() error {
	if c.lost > 0 {
		return fmt.Errorf("%d connections ended: %w", c.lost, c.firstLoss)
	}
	return nil
}
