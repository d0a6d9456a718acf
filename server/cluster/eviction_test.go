package cluster

import (
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
)

// A node says so where the engine may forget who is in rooms, and nothing where it may not.
func TestEvictionPolicyInLog(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := newTown(config(t, at(redis.Addr)))
	for policy, says := range map[string]bool{"noeviction": false, "volatile-lru": true, "allkeys-lfu": true} {
		redis.Do("CONFIG", "SET", "maxmemory-policy", policy)
		if log := w.build(t, "").log.String(); strings.Contains(log, policy) != says {
			t.Errorf("with %s the log says\n%s", policy, log)
		}
	}
}
