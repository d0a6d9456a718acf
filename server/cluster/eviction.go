package cluster

import (
	"context"
	"strings"
)

// checkEviction has the log say so where the engine may drop what it was told. Every key of a
// cluster ends by itself, so any policy but noeviction may take one, singly, and nobody would know.
func (c *Cluster) checkEviction(ctx context.Context) {
	policy := c.evictionPolicy(ctx)
	if policy == "" || policy == "noeviction" {
		return // or it does not say
	}
	c.log.Warn("CLUSTER_REDIS: maxmemory-policy of the engine is to be noeviction: with another one it may forget who is in rooms, and nobody would know", "policy", policy, "engine", c.cfg.Redis.String())
}

// evictionPolicy is what the engine says of it; empty for nothing.
func (c *Cluster) evictionPolicy(ctx context.Context) string {
	l := c.parts[partitions].current()
	if l == nil {
		return ""
	}
	info, err := l.conn.Do(ctx, l.conn.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		if policy, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			return policy
		}
	}
	return ""
}
