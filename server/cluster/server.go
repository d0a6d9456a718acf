package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// server is the address of the server that has a partition now: the one that there is, the primary that the
// Sentinels name, or the one of a Redis Cluster that has its slot.
func (c *Cluster) server(ctx context.Context, t tag) (string, error) {
	if c.isShared() {
		for address := range c.client.Nodes() {
			return address, nil
		}
		return "", errors.New("no server is known")
	}
	b := c.client.B()
	slot, err := c.client.Do(ctx, b.ClusterKeyslot().Key(t.state()).Build()).AsInt64()
	if err != nil {
		return "", err
	}
	list, err := c.client.Do(ctx, b.ClusterSlots().Build()).ToArray()
	if err != nil {
		return "", err
	}
	for _, m := range list {
		if address, ok := primaryOf(m, slot, c.cfg.Redis.addresses[0]); ok {
			return address, nil
		}
	}
	return "", errors.New("CLUSTERDOWN no server has a part of the rooms")
}

var errOther = errors.New("the Sentinels name another primary")

// followPrimary ends the connection that links share where the Sentinels name another server than its own. One that
// they could not reach as they chose another may still be there, and take what no other node hears.
func (c *Cluster) followPrimary() {
	if c.client.Mode() != rueidis.ClientModeSentinel || !c.lines.mu.TryLock() {
		return // or one is being made, to where they say
	}
	n := c.lines.now
	c.lines.mu.Unlock()
	if n == nil || n.isOver() {
		return
	}
	if address, err := c.server(c.over, c.nodes); err == nil && address != n.server {
		n.fail(errOther)
	}
}

// primaryOf reads one entry of CLUSTER SLOTS: the first slot and the last, and servers of which the first is the primary,
// each with its host and port. A server that does not know its own host is the one that was asked.
func primaryOf(m rueidis.RedisMessage, slot int64, asked string) (address string, ok bool) {
	entry, err := m.ToArray()
	if err != nil || len(entry) < 3 {
		return "", false
	}
	first, err := entry[0].AsInt64()
	last, wrong := entry[1].AsInt64()
	server, wrongToo := entry[2].ToArray()
	if errors.Join(err, wrong, wrongToo) != nil || slot < first || slot > last || len(server) < 2 {
		return "", false
	}
	host, err := server[0].ToString()
	if err != nil || host == "" || host == "?" {
		host, _, _ = net.SplitHostPort(asked)
	}
	port, err := server[1].AsInt64()
	return net.JoinHostPort(host, strconv.FormatInt(port, 10)), err == nil
}

// dialWire makes a connection to the server that has a partition; one that could not be made is broken.
func (c *Cluster) dialWire(t tag, heard incoming) *wire {
	ctx, cancel := context.WithTimeout(c.over, c.cfg.Timeout)
	defer cancel()
	address, err := c.server(ctx, t)
	if err != nil {
		return brokenWire(err)
	}
	nc, err := c.cfg.Redis.dial(ctx, address, "poosh-"+c.name)
	if err != nil {
		return brokenWire(c.cfg.Redis.Worded(err)) // a server that knows no HELLO says again what it was told
	}
	w := attach(c.loop, nc, heard, &c.wires)
	w.server = address
	return w
}

// dial connects to one server and says hello, within ctx, which has a deadline.
func (e *Engine) dial(ctx context.Context, address, name string) (net.Conn, error) {
	var nc net.Conn
	var err error
	d := net.Dialer{KeepAlive: time.Second}
	if e.tls {
		nc, err = (&tls.Dialer{NetDialer: &d, Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", address)
	} else {
		nc, err = d.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	if err := greet(ctx, nc, e, name); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}
