package main

import (
	"regexp"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/pushsocket/store/postgrestest"
)

// What commands say where a node is one of a cluster.
func TestCommandsInACluster(t *testing.T) {
	redis := redistest.Start(t)
	s := startStation(t, "CLUSTER_REDIS=redis://"+redis.Addr, "CLUSTER_TIMEOUT=5s", "PUSH_SOCKET_DB="+postgrestest.Start(t, "fsync=off").Schema(t))
	if code, out, err := s.run("check", "--running"); code != 0 {
		t.Error(code, out, err)
	}
	for _, room := range []string{"", "news"} {
		args := []string{"send", "--explain"}
		if room != "" {
			args = append(args, "--room", room)
		}
		out := s.wants(0, "sent ", "", append(args, "hello")...)
		if !regexp.MustCompile(`^sent [0-9a-v]{8}-[0-9]{12}, which went to the engine of the cluster, and from there to (1 node|all nodes); who took it, on all of them, nobody counts\n$`).MatchString(out) {
			t.Errorf("of room %q: %q", room, out)
		}
	}
	if out := s.wants(0, "ready ", "", "status"); !regexp.MustCompile(`\nnodes         1 node\n              \S{6}(?: at 127\.0\.0\.1:[0-9]+)?: version \S+, since \S+Z, this one, [0-9]+ connections?, [0-9.]+ processors, lag [0-9.]+ ms\n`).MatchString(out) {
		t.Errorf("status: %s", out)
	}
	s.wants(1, "sent ", "poosh: several nodes act as one, and nobody counts over all of them", "send", "--explain", "--require-subscriber", "hello")
}
