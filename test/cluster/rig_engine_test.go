//go:build unix

package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// A rigEngine is the Redis of a rig, in one of the shapes that it comes in, and what can happen to that.
type rigEngine struct {
	servers []*redistest.Server // that nodes have a wire to
	url     func(addrs []string) string
	faults  []rigFault
	holders func() []string // whose data holds, while nothing happens to it; nil where nobody else's can
}

// rigEngines are the shapes, by the name that -rig.engine has.
var rigEngines = map[string]func(*testing.T) *rigEngine{
	"redis": oneRedis, "sentinel": sentinelRedis, "cluster": clusterRedis, "replicas": replicasRedis,
}

// oneRedis is one that forgets everything now and then.
func oneRedis(t *testing.T) *rigEngine {
	redis := redistest.Start(t)
	return &rigEngine{
		servers: []*redistest.Server{redis},
		url:     func(addrs []string) string { return "redis://" + addrs[0] },
		faults: []rigFault{
			{name: "SIGKILL of Redis", reset: true, do: func(r *rig) { r.killsRedis("Redis", redis) }},
			{name: "FLUSHALL", reset: true, do: func(r *rig) { r.flushes("FLUSHALL", redis) }},
		},
	}
}

// killsRedis kills a server and starts it again, with nothing.
func (r *rig) killsRedis(what string, s *redistest.Server) {
	r.pause(1000)
	r.happened("", "%s is killed", what)
	s.Kill()
	r.pause(2500)
	s.Run()
	r.happened("", "%s is back", what)
	r.pause(1500)
}

func (r *rig) flushes(what string, s *redistest.Server) {
	r.pause(1000)
	r.happened("", "%s", what)
	s.Do("FLUSHALL")
	r.pause(1500)
}

// sentinelDown is for how long a primary has to be away before Sentinels take it for dead: longer than a busy
// machine has it stand still.
const sentinelDown = 3 * time.Second

// sentinelRedis is a primary with a replica, which goes on when it is killed.
func sentinelRedis(t *testing.T) *rigEngine {
	primary, replica, sentinels := redistest.Sentinel(t)
	for _, s := range sentinels {
		s.Do("SENTINEL", "SET", redistest.Master, "down-after-milliseconds", fmt.Sprint(sentinelDown.Milliseconds()))
	}
	known := func() (list []string) { // the primary, by each Sentinel
		for _, s := range sentinels {
			list = append(list, redistest.PrimaryOf(s))
		}
		return list
	}
	return &rigEngine{
		servers: append([]*redistest.Server{primary, replica}, sentinels...),
		url: func(addrs []string) string {
			return "redis-sentinel://" + strings.Join(addrs[2:], ",") + "/" + redistest.Master
		},
		faults: []rigFault{{name: "a failover of Sentinels", reset: true, do: func(r *rig) {
			r.pause(1000)
			r.fails("the primary", primary, func() []string {
				return unless(replica.Addr, known())
			}, "--replicaof", strings.Replace(replica.Addr, ":", " ", 1)) // as Sentinels have it within ten seconds
			primary, replica = replica, primary
			r.await("the one that was killed is a replica", func() []string { return follows(replica) })
			r.pause(1500)
		}}},
		holders: func() []string { return known()[:1] },
	}
}

// unless are those of some that are not what they should be.
func unless(want string, got []string) []string {
	return slices.DeleteFunc(got, func(is string) bool { return is == want })
}

// follows complains of a server that is no replica, or has not all that its primary has.
func follows(s *redistest.Server) []string {
	info, err := s.Try("INFO", "replication")
	if err == nil && strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up") {
		return nil
	}
	return []string{fmt.Sprintf("%s says %.120q %v", s.Addr, info, err)}
}

// fails kills a server that has a replica, waits until that goes on, and starts it again with more arguments.
func (r *rig) fails(what string, s *redistest.Server, left func() []string, more ...string) {
	r.happened("", "%s is killed", what)
	s.Kill()
	r.await("a replica goes on", left)
	r.happened("", "its replica goes on")
	r.pause(1500)
	s.RunAs(more...)
	r.happened("", "it is back")
}

// clusterRedis is a Redis Cluster of three, each of which forgets now and then what it has.
func clusterRedis(t *testing.T) *rigEngine {
	servers := redistest.Cluster(t)
	return &rigEngine{
		servers: servers,
		url:     func(addrs []string) string { return "redis://" + strings.Join(addrs, ",") },
		faults: []rigFault{
			{name: "SIGKILL of one of three", reset: true, do: func(r *rig) {
				at := r.dice.IntN(len(servers))
				r.killsRedis(fmt.Sprint("server ", at), servers[at])
				r.await("the Redis Cluster is whole", func() []string { return broken(servers) })
			}},
			{name: "FLUSHALL of one of three", reset: true, do: func(r *rig) {
				at := r.dice.IntN(len(servers))
				r.flushes(fmt.Sprint("FLUSHALL of server ", at), servers[at])
			}},
		},
	}
}

// broken complains of servers of a Redis Cluster that take it for broken.
func broken(servers []*redistest.Server) (left []string) {
	for _, s := range servers {
		if info, err := s.Try("CLUSTER", "INFO"); err != nil || !strings.Contains(info, "cluster_state:ok") {
			left = append(left, fmt.Sprintf("%s says %.60q %v", s.Addr, info, err))
		}
	}
	return left
}

// replicasRedis is a Redis Cluster of three, each with a replica, which goes on when it is killed.
func replicasRedis(t *testing.T) *rigEngine {
	servers := redistest.ClusterWithReplicas(t, 2*sentinelDown)
	primaries := func() (list []*redistest.Server) {
		for _, s := range servers {
			if info, err := s.Try("INFO", "replication"); err == nil && strings.Contains(info, "role:master") {
				list = append(list, s)
			}
		}
		return list
	}
	return &rigEngine{
		servers: servers,
		url:     func(addrs []string) string { return "redis://" + strings.Join(addrs, ",") },
		faults: []rigFault{{name: "a failover of one of three", reset: true, do: func(r *rig) {
			r.pause(1000)
			all := primaries()
			victim := all[r.dice.IntN(len(all))]
			others := slices.DeleteFunc(slices.Clone(servers), func(s *redistest.Server) bool { return s == victim })
			r.fails("a server of three", victim, func() []string {
				if n := len(primaries()); n != len(all) {
					return []string{fmt.Sprint(n, " of ", len(all))}
				}
				return broken(others)
			})
			r.await("the one that was killed is a replica", func() []string { return follows(victim) })
			r.pause(1500)
		}}},
		holders: func() (list []string) {
			for _, s := range primaries() {
				list = append(list, s.Addr)
			}
			return list
		},
	}
}
