package server

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// node is a server in a cluster.
func node(t *testing.T, redis string, more ...string) *running {
	t.Helper()
	env := map[string]string{"CLUSTER_REDIS": "redis://" + redis, "CLUSTER_TIMEOUT": "5s"}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return run(t, env, nil)
}

// What one node takes reaches the clients of another, and it gives its lease back at the end.
func TestNodesActAsOne(t *testing.T) {
	redis := redistest.Start(t)
	a, b := node(t, redis.Addr), node(t, redis.Addr)
	here, there := a.listen(t, "r"), b.listen(t, "r")
	subscribed(t, redis, "r", 2)
	for i, r := range []*running{a, b, a} {
		payload := string(rune('1' + i))
		if res := r.send(t, "r", "e", payload); res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
		a.hear(t, here, `42["e",`+payload)
		b.hear(t, there, `42["e",`+payload)
	}
	if n := len(a.cluster.Nodes()); n != 2 {
		t.Errorf("%d nodes", n)
	}
	b.stop()
	if err := b.wait(t); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, "the other node to be gone", func() bool { return len(a.cluster.Nodes()) == 1 })
}

// subscribed waits until so many nodes are subscribed to a room.
func subscribed(t *testing.T, redis *redistest.Server, room string, nodes int) {
	t.Helper()
	const count = `local n = 0
for _, channel in ipairs(redis.call('PUBSUB', 'SHARDCHANNELS')) do
  if channel:sub(-#ARGV[1]) == ARGV[1] then n = n + redis.call('PUBSUB', 'SHARDNUMSUB', channel)[2] end
end
return n`
	redistest.Until(t, "subscriptions", func() bool {
		return redis.Do("EVAL", count, "0", "\x00"+room) == ":"+strconv.Itoa(nodes)
	})
}

// A node does not start alone by mistake, and says why without a password.
func TestNodeWithoutAnEngine(t *testing.T) {
	addr, _ := redistest.FreePort(t)
	cfg := configured(t, map[string]string{"CLUSTER_REDIS": "redis://:hushhush@" + addr, "CLUSTER_TIMEOUT": "200ms", "CLUSTER_LEASE": "3s"})
	s, err := New(cfg, discard)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = s.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "CLUSTER_REDIS") || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v", took)
	}
	if len(s.Addrs()) != 0 {
		t.Errorf("ports are open: %v", s.Addrs())
	}
}

// What is not whole in a cluster is in none.
func TestClusterRefusesDialects(t *testing.T) {
	for name, env := range map[string]string{
		"pusher":      "PUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_APP_SECRET=0123456789-secret\n",
		"socktopus":   "A_SOCKTOPUS_SECRET=0123456789-secret\n",
		"push socket": "PUSH_SOCKET_PORT=18082\n",
	} {
		errs, _ := findingsOf(t, "SERVER_SECRET="+testSecret+"\nCLUSTER_REDIS=redis://:hushhush@127.0.0.1:1\n"+env, nil, false)
		all := strings.Join(errs, "\n")
		if !strings.Contains(all, "CLUSTER_REDIS is set") || !strings.Contains(all, name) || strings.Contains(all, "hush") {
			t.Errorf("%s: %q", name, errs)
		}
	}
	if errs, _ := findingsOf(t, "SERVER_SECRET="+testSecret+"\nCLUSTER_REDIS=redis://127.0.0.1:1\nHISTORY=1m\nHISTORY_FILE=x\n", nil, false); len(errs) != 1 || !strings.HasPrefix(errs[0], "HISTORY_FILE") {
		t.Errorf("with a file: %q", errs)
	}
}
