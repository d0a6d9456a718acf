package load

import (
	"errors"
	"net/netip"
	"syscall"
)

// at returns the address of the node that a client is at.
func (c *Crowd) at(client int) netip.AddrPort { return c.there(client, 0) }

// there returns the address of the node that is so many further than a client's.
func (c *Crowd) there(client, further int) netip.AddrPort {
	nodes := 1 + len(c.cfg.Also)
	return node(c.cfg.Addr, c.cfg.Also, (c.cfg.Rooms.home(client, nodes)+further)%nodes)
}

// At returns how many clients have joined at a node.
func (c *Crowd) At(addr netip.AddrPort) (n int) {
	for i := range c.clients {
		if c.clients[i].state == joined && c.at(i) == addr {
			n++
		}
	}
	return n
}

// Forsake ends the connections of all clients of a node that is dead. They count as absent
// from now on, and not as lost.
func (c *Crowd) Forsake(addr netip.AddrPort) {
	for i := range c.clients {
		cl := &c.clients[i]
		if c.at(i) != addr || cl.state == gone {
			continue
		}
		_ = syscall.Close(int(cl.fd))
		cl.state, cl.forsaken = gone, true
	}
}

// move has a polling client, which has its session, ask for it at the next node from now on.
func (c *Crowd) move(i int) error {
	cl := &c.clients[i]
	fd, err := dial(c.there(i, 1), i%sources)
	if err != nil {
		return err
	}
	_ = syscall.Close(int(cl.fd))
	cl.state = connecting
	return c.watch(i, fd, syscall.EPOLLIN|syscall.EPOLLOUT)
}

// checkNodes finds what cannot be asked of clients at several nodes.
func (cfg *Config) checkNodes() error {
	if cfg.Elsewhere && (len(cfg.Also) == 0 || !cfg.Protocol.polling()) {
		return errors.New("only clients that poll can ask another node for their session, if there is one")
	}
	return nil
}
