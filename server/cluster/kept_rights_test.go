//go:build unix

package cluster

import (
	"testing"

	"poosh/server/cluster/redistest"
)

// What is kept needs no more rights than all else: those that docs/cluster.md lists.
func TestKeptWithLeastRights(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, "redis://poosh:open-sesame@"+redis.Addr)
	user := append([]string{"ACL", "SETUSER", "poosh", "reset", "on", ">open-sesame"}, leastRights(t, cfg.Prefix)...)
	redis.Do(append(user, "&"+cfg.Prefix+":*")...)
	little := much
	little.Bytes = 64 << 10 // so that chunks end and are dropped
	a := openLibrary(t, cfg, little)
	begin := a.head()
	a.mustSend("r", numbered(1, 1000)...)
	b := openLibrary(t, cfg, little)
	if got, _, whole := b.behind("r", begin); whole || len(got) < 100 || got[len(got)-1] != "1000" {
		t.Errorf("it has %d, whole %v", len(got), whole)
	}
}
