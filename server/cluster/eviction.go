package cluster

import (
	"context"
	"strings"
)

// checkEviction has the log say so where the engine may drop what it was told. Every key of a
// cluster ends by itself, so any policy but noeviction may take one, singly, and nobody would know.
func (c *Cluster) checkEviction(ctx context.Context) {
	l := c.own.current()
	if l == nil {
		return
	}
	if policy := evictionPolicy(l.line.do(ctx, "INFO", "memory").ToString()); policy != "" {
		c.log.Warn("CLUSTER_REDIS: maxmemory-policy of the engine is to be noeviction: with another one it may forget who is in rooms, and nobody would know", "policy", policy, "engine", c.cfg.Redis.String())
	}
}

// evictionPolicy is what INFO memory says of it; empty for the good one, and where it does not say.
func evictionPolicy(info string, err error) string {
	if err != nil {
		return ""
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		if policy, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok && policy != "noeviction" {
			return policy
		}
	}
	return ""
}
