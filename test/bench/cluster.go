//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"poosh/test/bench/load"
)

// The entrants that are several processes joined by Redis.
var (
	joined       = entrant{"cluster", poosh.protocol}
	joined4      = entrant{"cluster", poosh4.protocol}
	centrifugoes = entrant{"centrifugo-redis", centrifugo.protocol}
	joinedPoll4  = entrant{"cluster", load.Poll4}
	joinedPoll3  = entrant{"cluster", load.Poll3}
	joinedPusher = entrant{"cluster", load.Pusher}
	sio4s        = entrant{"socketio4-redis", sio4.protocol}
)

// clustered reports whether a server is several processes.
func (e entrant) clustered() bool {
	return slices.Contains([]string{"cluster", "centrifugo-redis", "socketio4-redis"}, e.server)
}

// A cluster is some nodes of one server and the Redis between them.
type cluster struct {
	redis *process
	dir   string     // where redis runs
	nodes []*process // those that are running; a dead one is nil
	site  *site      // that gets webhooks; nil if the work has none
}

// startCluster starts Redis and the nodes of a work one after the other. Stop it.
func startCluster(o options, w work, e entrant) (*cluster, error) {
	dir, err := os.MkdirTemp("", "bench-redis-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	if c.redis, err = startRedis(dir, netip.AddrPort{}); err != nil {
		c.stop()
		return nil, err
	}
	w.redis = c.redis.clients
	if w.told {
		if c.site, err = startSite(); err != nil {
			c.stop()
			return nil, err
		}
		w.limits = append(slices.Clone(w.limits), "PUSHER_WEBHOOK_URL="+c.site.url)
	}
	for range o.nodes {
		node, err := e.start(o, w)
		if err != nil {
			c.stop()
			return nil, err
		}
		c.nodes = append(c.nodes, node)
	}
	return c, nil
}

// startRedis starts a Redis that keeps nothing on disk, at an address or, if that is zero, on
// a free port.
func startRedis(dir string, at netip.AddrPort) (*process, error) {
	program, err := findRedis()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(func(p *process) ([]string, []string, error) {
		if at.IsValid() {
			p.clients = at
		}
		p.only = []netip.AddrPort{p.clients}
		return []string{
			program, "--bind", p.clients.Addr().String(), "--port", strconv.Itoa(int(p.clients.Port())),
			"--save", "", "--appendonly", "no", "--dir", dir,
		}, nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return p, nil
}

func findRedis() (string, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("redis-server is not installed: apt-get install redis-server, or leave out the works whose names begin with cluster")
	}
	return program, nil
}

// stop kills all that runs.
func (c *cluster) stop() {
	for _, p := range append(slices.Clone(c.nodes), c.redis) {
		if p != nil {
			p.stop()
		}
	}
	if c.site != nil {
		_ = c.site.server.Close()
	}
	_ = os.RemoveAll(c.dir)
}

// survivors is the cluster without a node.
func (c *cluster) survivors(dead int) *cluster {
	rest := *c
	rest.nodes = slices.Delete(slices.Clone(c.nodes), dead, dead+1)
	return &rest
}

// kill ends a node as a power cut does, without a word to anybody.
func (c *cluster) kill(node int) {
	c.nodes[node].stop()
	c.nodes[node] = nil
}

// cpu returns the processor time that the nodes and Redis have used.
func (c *cluster) cpu() (nodes, redis time.Duration, err error) {
	for _, p := range c.nodes {
		if p == nil {
			continue
		}
		d, err := p.cpu()
		if err != nil {
			return 0, 0, err
		}
		nodes += d
	}
	redis, err = c.redis.cpu()
	return nodes, redis, err
}

// clusterSettings tell a node where Redis is.
func (e entrant) clusterSettings(redis netip.AddrPort) []string {
	url := "redis://" + redis.String()
	switch e.server {
	case "cluster":
		return []string{"CLUSTER_REDIS=" + url}
	case "centrifugo-redis":
		return []string{"CENTRIFUGO_ENGINE_TYPE=redis", "CENTRIFUGO_ENGINE_REDIS_ADDRESS=" + url}
	case "socketio4-redis":
		return []string{"REDIS=" + url}
	}
	return nil
}

// more are the addresses of the nodes behind the first, as part says which.
func (s *trial) more(part func(*process) netip.AddrPort) (list []netip.AddrPort) {
	if s.cluster == nil {
		return nil
	}
	nodes := s.cluster.nodes[1:]
	if s.work.heavy {
		nodes = append(slices.Clone(nodes), nodes[len(nodes)-1])
	}
	for _, p := range nodes {
		list = append(list, part(p))
	}
	return list
}

func clientsOf(p *process) netip.AddrPort { return p.clients }
func sendersOf(p *process) netip.AddrPort { return p.senders }
