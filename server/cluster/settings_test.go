package cluster

import (
	"strings"
	"testing"

	"poosh/server/setting"
)

func TestParseEngine(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h":                                "redis://h:6379",
		"redis://user:p%40ss@h:1/3":                "redis://h:1/3",
		"rediss://:secret@h1:1,h2,[::1]:3":         "rediss://h1:1,h2:6379,[::1]:3",
		"valkey://[fe80::1]":                       "redis://[fe80::1]:6379",
		"redis-sentinel://:p@s1,s2:5/main/2":       "redis-sentinel://s1:26379,s2:5/main/2",
		"REDISS-sentinel://s1/main?password=other": "rediss-sentinel://s1:26379/main",
		"redis://:p@a@b@h":                         "redis://h:6379",
	} {
		e, err := ParseEngine(url)
		if err != nil || e.String() != want {
			t.Errorf("%q is %s, %v; want %s", url, e, err, want)
		}
	}
	e, err := ParseEngine("rediss-sentinel://us%3Aer:p%40:ss@s1/main/2?user=su&password=s%26p")
	if err != nil || e.user != "us:er" || e.password != "p@:ss" || e.db != 2 || e.master != "main" || e.sentinelUser != "su" || e.sentinelPassword != "s&p" || !e.tls {
		t.Errorf("it is %+v, %v", e, err)
	}
}

func TestParseEngineSaysNoSecret(t *testing.T) {
	for _, url := range []string{
		"", "h:6379", "http://:hush@h", "redis://:hush@", "redis://:hush@h:port", "redis://:hush@h:0", "redis://:hush@h:70000", "redis://:hush@h,", "redis://:hush@h/x",
		"redis://:hush@h1,h2/1", "redis://:hush@::1", "redis://:hu%sh@h", "redis://:hu/sh@h", "redis://:hush@h?a=hush", "redis-sentinel://:hush@h", "redis-sentinel://:hush@h/", "redis-sentinel://:x@h/m/hush",
		"redis-sentinel://:hush@h/m?%zz", "redis://h o:1", "redis://:hush@redis://h",
	} {
		e, err := ParseEngine(url)
		if err == nil {
			t.Errorf("%q is %s", url, e)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func FuzzParseEngine(f *testing.F) {
	f.Add("redis://user:p%40ss@h:1/3")
	f.Add("redis-sentinel://:p@s1,[::1]:5/main/2?user=a&password=b")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseEngine(text)
		if err != nil {
			return
		}
		again, err := ParseEngine(e.String())
		if err != nil || again.String() != e.String() || len(again.addresses) != len(e.addresses) {
			t.Errorf("%q is %s, and that %s, %v", text, e, again, err)
		}
	})
}

func TestSettings(t *testing.T) {
	read := func(values map[string]string) (Config, error) {
		var c Config
		group := c.Settings()
		m := new(setting.Mistakes)
		groups := []*setting.Group{group}
		setting.Read(groups, setting.Environment{Lookup: func(name string) (string, bool) { v, ok := values[name]; return v, ok }}, m)
		setting.Fill(group.Settings)
		setting.Check(groups, m)
		return c, m.Err()
	}
	c, err := read(nil)
	if err != nil || c.On() || c.Prefix != "poosh" || c.Lease.Seconds() != 10 || c.Timeout.Seconds() != 2 || c.Backlog != 4<<20 || c.QueueBytes != 32<<20 {
		t.Errorf("the defaults are %+v, %v", c, err)
	}
	c, err = read(map[string]string{"CLUSTER_REDIS": "redis://h", "CLUSTER_WHEN_DOWN": "local", "CLUSTER_BACKLOG": "off", "CLUSTER_ADDR": "10.0.0.1:7000"})
	if err != nil || !c.On() || c.WhenDown != Local || c.Backlog != -1 || c.Addr != "10.0.0.1:7000" {
		t.Errorf("it is %+v, %v", c, err)
	}
	for name, value := range map[string]string{
		"CLUSTER_REDIS": "redis://", "CLUSTER_PREFIX": "a{b}", "CLUSTER_WHEN_DOWN": "maybe", "CLUSTER_ADDR": "0.0.0.0:1", "CLUSTER_SECRET": "short",
		"CLUSTER_LEASE": "1s", "CLUSTER_TIMEOUT": "0", "CLUSTER_BACKLOG": "1", "CLUSTER_QUEUE_BYTES": "1",
	} {
		if _, err := read(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if _, err := read(map[string]string{"CLUSTER_LEASE": "5s", "CLUSTER_TIMEOUT": "3s"}); err == nil || !strings.Contains(err.Error(), "twice CLUSTER_TIMEOUT") {
		t.Errorf("a lease that is too short: %v", err)
	}
	for name, value := range map[string]string{"CLUSTER_ADDR": "10.0.0.1:7000", "CLUSTER_SECRET": "0123456789abcdef"} {
		if _, err := read(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), "without CLUSTER_REDIS") {
			t.Errorf("%s alone: %v", name, err)
		}
	}
}

// Every node comes to the same partition, in each version.
func TestPartitions(t *testing.T) {
	for _, v := range []struct {
		app, room string
		want      int
	}{{"poosh", "", 6}, {"poosh", "news", 13}, {"shop", "a", 14}} {
		if got := partitionOf(v.app, v.room, partitions); got != v.want {
			t.Errorf("%s/%s is in %d, want %d", v.app, v.room, got, v.want)
		}
	}
	seen := make(map[int]int)
	for _, room := range numbered(1, 1600) {
		seen[partitionOf("poosh", room, partitions)]++
	}
	for i := range partitions {
		if seen[i] < 50 || seen[i] > 200 {
			t.Errorf("%d of 1,600 rooms are in partition %d", seen[i], i)
		}
	}
}
