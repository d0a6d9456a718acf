//go:build unix

package cluster

import (
	"context"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// leastRights are those that docs/cluster.md tells an operator to give, but for the channels.
func leastRights(t *testing.T, prefix string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, found := strings.Cut(string(page), "\nACL SETUSER poosh reset on >password ")
	line, _, ends := strings.Cut(line, " &poosh:*\n")
	if !found || !ends {
		t.Fatal("docs/cluster.md does not say which rights the user of CLUSTER_REDIS needs")
	}
	return strings.Fields(strings.ReplaceAll(line, "poosh:", prefix+":"))
}

func try(t *testing.T, cfg Config) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := Try(ctx, cfg, nil)
	if err == nil {
		return ""
	}
	if text := err.Error(); strings.Contains(text, "sesame") {
		t.Errorf("it tells the password: %s", text)
	}
	return err.Error()
}

// What keeps a node from joining is named, and so it is when it tries.
func TestTry(t *testing.T) {
	t.Parallel()
	plain := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "open-sesame")
	old := redistest.Start(t, "--rename-command", "SPUBLISH", "")
	older := redistest.Start(t, "--rename-command", "HELLO", "", "--rename-command", "AUTH", "", "--requirepass", "open-sesame")
	nobody, _ := redistest.FreePort(t)
	full := redistest.Start(t, "--maxmemory", "1")
	host, port, _ := strings.Cut(plain.Addr, ":")
	replica := redistest.Start(t, "--replicaof", host, port)
	for name, test := range map[string]struct{ url, want string }{
		"it is there":       {at(plain.Addr), ""},
		"with a password":   {"redis://:open-sesame@" + locked.Addr, ""},
		"a database":        {at(plain.Addr) + "/3", ""},
		"nobody is there":   {"redis://:open-sesame@" + nobody, " is not there: "},
		"a wrong password":  {"redis://:closed-sesame@" + locked.Addr, " does not let this node in: want its user and password in CLUSTER_REDIS: "},
		"no password":       {at(locked.Addr), " does not let this node in: "},
		"a wrong user":      {"redis://poosh:open-sesame@" + locked.Addr, " does not let this node in: "},
		"a needless one":    {"redis://poosh:open-sesame@" + plain.Addr, " does not let this node in: "},
		"a wrong database":  {at(plain.Addr) + "/99", " does not have the database whose number CLUSTER_REDIS ends with: "},
		"a command less":    {at(old.Addr), " does not know a command: want Redis 7 or Valkey, with no command renamed: "},
		"one that is full":  {at(full.Addr), " is full: want more maxmemory for it: "},
		"a replica":         {at(replica.Addr), " is a replica, which takes nothing: want its primary"},
		"no Redis Cluster":  {at(plain.Addr) + "," + full.Addr, " is no Redis Cluster, which several addresses are for: "},
		"nothing of RESP 3": {"redis://:open-sesame@" + older.Addr, " does not know a command: want Redis 7 or Valkey, with no command renamed: "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, test.url)
			got := try(t, cfg)
			if test.want == "" && got != "" || !strings.Contains(got, test.want) || got != "" && !strings.HasPrefix(got, "CLUSTER_REDIS: redis://127.0.0.1:") {
				t.Errorf("it says %q; want %q", got, test.want)
			}
			if test.want == "" || name == "a command less" { // which is found as it is published
				return
			}
			cfg.Timeout = 300 * time.Millisecond
			err := New(cfg).Join(t.Context(), Options{Log: discard})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("a node that starts says %v; want %q", err, test.want)
			}
		})
	}
	if keys := plain.Do("DBSIZE"); keys != ":0" {
		t.Errorf("it left something there: %s", keys)
	}
}

// An engine that takes connections and says nothing is not waited for longer than was said.
func TestTryEnds(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	redis.Signal(syscall.SIGSTOP)
	t.Cleanup(func() { redis.Signal(syscall.SIGCONT) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := Try(ctx, config(t, at(redis.Addr)), nil)
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), " does not answer in time") || took > 30*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

// Each right that the page lists is needed, and missed by name when it is not there.
func TestTryRights(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, "redis://poosh:open-sesame@"+redis.Addr)
	rights := append(leastRights(t, cfg.Prefix), "&"+cfg.Prefix+":*")
	for i, right := range rights {
		redis.Do(append([]string{"ACL", "SETUSER", "poosh", "reset", "on", ">open-sesame"}, slices.Delete(slices.Clone(rights), i, i+1)...)...)
		if got := try(t, cfg); !strings.Contains(got, "docs/cluster.md") || !strings.Contains(strings.ToLower(got), "perm") {
			t.Errorf("without %s it says %q", right, got)
		}
	}
	redis.Do(append([]string{"ACL", "SETUSER", "poosh", "reset", "on", ">open-sesame"}, rights...)...)
	if got := try(t, cfg); got != "" {
		t.Errorf("with all of them: %s", got)
	}
}

// Nodes that are there have another secret, or are of a version that this one cannot be beside.
func TestTryBesideOthers(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Secret = "a secret of an operator"
	a := join(t, cfg)
	if got := try(t, cfg); got != "" {
		t.Errorf("with the same secret: %s", got)
	}
	other := cfg
	other.Secret = "another sesame of another one"
	if got := try(t, other); got != errSecret.Error() {
		t.Errorf("with another secret: %q", got)
	}
	for _, what := range []string{"partitions", "format"} {
		was := redis.Do("HGET", a.nodes.meta(), what)
		redis.Do("HSET", a.nodes.meta(), what, "99")
		if got := try(t, cfg); got != errFormat(&cfg).Error() {
			t.Errorf("beside one with another %s: %q", what, got)
		}
		redis.Do("HSET", a.nodes.meta(), what, was)
	}
}

// A node that a Redis Cluster does not tell of its servers takes it for one server, and does not start. It starts once it is
// told, with as many partitions as it has to have.
func TestOneServerOfRedisCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t)
	cfg := config(t, at(servers[0].Addr))
	rights := append(leastRights(t, cfg.Prefix), "&"+cfg.Prefix+":*")
	set := func(rights []string) {
		for _, s := range servers {
			s.Do(append([]string{"ACL", "SETUSER", "poosh", "reset", "on", ">open-sesame"}, rights...)...)
		}
	}
	reach := func(s *redistest.Server) *Cluster {
		cfg.Redis, _ = ParseEngine("redis://poosh:open-sesame@" + s.Addr)
		return New(cfg)
	}
	cfg.Timeout = time.Second
	set(rights)
	for _, s := range servers { // one of them has what nodes agree on
		if c := reach(s); c.Join(t.Context(), Options{Log: discard}) == nil {
			t.Error("a node starts that cannot know that it is a Redis Cluster")
			_ = c.Close(t.Context())
		}
	}
	set(append(rights, "+cluster"))
	cfg.Timeout = config(t, at(servers[0].Addr)).Timeout
	c := reach(servers[0])
	if got := try(t, cfg); got != "" {
		t.Errorf("with the right it would not start: %s", got)
	}
	if err := c.Join(t.Context(), Options{Log: discard}); err != nil {
		t.Fatal(err)
	}
	if got := len(c.rooms()); got != partitions {
		t.Errorf("it has %d partitions, want %d", got, partitions)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// An engine that is too old says so itself. Debian has none to try.
func TestOldEngines(t *testing.T) {
	t.Parallel()
	for info, want := range map[string]string{
		"# Server\r\nredis_version:6.2.14\r\nos:Linux\r\n":                                  "is too old: it is Redis 6.2.14, want Redis 7 or Valkey",
		"# Server\r\nredis_version:7.0.15\r\nos:Linux\r\n":                                  "",
		"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n": "",
		"# Server\r\nredis_version:10.0.0\r\n":                                              "",
	} {
		got := ""
		if err := oldEngine(info); err != nil {
			got = Engine{}.worded(err).Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", info, got, want)
		}
	}
}

// So it is with a Redis Cluster, where other servers keep other partitions.
func TestTryCluster(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t)
	url := "redis://poosh:open-sesame@" + servers[0].Addr
	cfg := config(t, url)
	rights := append(leastRights(t, cfg.Prefix), "&"+cfg.Prefix+":*", "+cluster")
	set := func(s *redistest.Server, rights []string) {
		s.Do(append([]string{"ACL", "SETUSER", "poosh", "reset", "on", ">open-sesame"}, rights...)...)
	}
	for _, s := range servers {
		set(s, rights)
	}
	set(servers[2], rights[2:])
	if got := try(t, cfg); !strings.Contains(got, "docs/cluster.md") {
		t.Errorf("where one of the servers does not let it do what it has to it says %q", got)
	}
	set(servers[2], rights)
	if got := try(t, cfg); got != "" {
		t.Errorf("with all rights: %s", got)
	}
	c := New(cfg)
	if err := c.Join(t.Context(), Options{Log: discard}); err != nil {
		t.Errorf("a node does not start with these rights: %v", err)
	} else if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := try(t, config(t, url+"/3")); !strings.Contains(got, "is a Redis Cluster, which has no databases") {
		t.Errorf("with a number of a database: %q", got)
	}
	for _, s := range servers {
		set(s, rights[:len(rights)-1])
	}
	if got := try(t, cfg); !strings.Contains(got, "docs/cluster.md") {
		t.Errorf("without +cluster: %q", got)
	}
}
