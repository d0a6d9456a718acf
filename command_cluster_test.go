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
		if !regexp.MustCompile(`^sent [0-9a-v]{8}-[0-9]{12}, nobody took it\n(for everybody|room "news"): 0 there, 0 took it\n(  node \S{6}: 0 there, 0 took it\n)?  nobody_there: nobody is connected\n$`).MatchString(out) {
			t.Errorf("of room %q: %q", room, out)
		}
	}
	if out := s.wants(0, "ready ", "", "status"); !regexp.MustCompile(`\nnodes         1 node\n              \S{6}(?: at 127\.0\.0\.1:[0-9]+)?: version \S+, since \S+Z, this one, [0-9]+ connections?, [0-9.]+ processors, lag [0-9.]+ ms\n`).MatchString(out) {
		t.Errorf("status: %s", out)
	}
	s.wants(5, "sent ", "poosh: nobody took it", "send", "--explain", "--require-subscriber", "hello")
	s.wants(5, "sent ", "poosh: nobody took it", "send", "--require-subscriber", "hello")
}
