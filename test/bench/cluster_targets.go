//go:build linux

package main

import "fmt"

// clusterTargets are beside the other servers with their Redis.
var clusterTargets = []target{
	{"cluster-paced", "p99 ms", joined, centrifugoes, false, 1},
	{"cluster-paced", "p99 ms", joined, sio4s, false, 1},
	{"cluster-paced", "p99 ms", joined4, centrifugoes, false, 1},
	{"cluster-paced", "p99 ms", joined4, sio4s, false, 1},
	{"cluster-burst", "cpu us", joined, centrifugoes, false, 0.5},
	{"cluster-burst", "cpu us", joined, sio4s, false, 0.25},
	{"cluster-burst", "cpu us", joined4, centrifugoes, false, 0.5},
	{"cluster-burst", "cpu us", joined4, sio4s, false, 0.25},
	{"cluster-rooms", "publishes/s", joined, centrifugoes, true, 1.5},
	{"cluster-rooms", "publishes/s", joined4, centrifugoes, true, 1.5},
}

// withinLease is the default of CLUSTER_LEASE and two seconds, in ms.
const withinLease = 12_000

var clusterBounds = []bound{
	{"cluster-killed", "rosters ms", joinedPusher, withinLease},
	{"cluster-killed", "webhooks ms", joinedPusher, withinLease},
	{"cluster-back", "right ms", joined, 5000},
	{"cluster-back", "right ms", joined4, 5000},
	{"cluster-passed", "passed growth", joinedPoll4, 2.5},
	{"cluster-passed", "passed growth", joinedPoll3, 2.5},
}

// A difference is what a median of poosh may be more than another of its own.
type difference struct {
	work   string
	metric string
	poosh  entrant
	to     entrant
	most   float64
}

var differences = []difference{
	{"cluster-paced", "p99 ms", joined, poosh, 5},
	{"cluster-paced", "p99 ms", joined4, poosh4, 5},
}

// differenceRows are rows of the table of targets.
func (r *results) differenceRows() (rows [][]string) {
	for _, d := range differences {
		ours, ok := r.median(d.work, d.poosh, d.metric)
		alone, ok2 := r.median(d.work, d.to, d.metric)
		if !ok || !ok2 {
			continue
		}
		rows = append(rows, []string{
			d.work, d.metric, d.poosh.protocol.String(), titles[d.to.server], number(ours), number(alone),
			"", fmt.Sprintf("at most %v more", d.most), yes(ours-alone <= d.most),
		})
	}
	return rows
}
