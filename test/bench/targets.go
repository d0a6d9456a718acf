//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
)

// A target is what a ratio of poosh's median to another server's must be.
type target struct {
	work   string
	metric string
	poosh  entrant
	to     entrant
	least  bool // the ratio must be at least the limit; else at most
	limit  float64
}

var targets = slices.Concat([]target{
	{"burst", "cpu us", poosh, centrifuge, false, 0.5},
	{"burst", "cpu us", poosh, sio4, false, 0.25},
	{"burst", "cpu us", poosh4, sio4, false, 0.25},
	{"burst", "cpu us", poosh, sio1, false, 0.2},
	{"burst", "cpu us", poosh, zishang, false, 1},
	{"burst", "cpu us", poosh, floor, false, 1},
	{"burst", "deliveries/s", poosh, centrifuge, true, 1.4},
	{"burst", "deliveries/s", poosh, sio4, true, 4},
	{"paced", "cpu us", poosh, floor, false, 1.3},
	{"paced", "p99 ms", poosh, centrifuge, false, 1},
	{"paced", "p99 ms", poosh, zishang, false, 1},
	{"paced", "p99 ms", poosh, sio4, false, 1},
	{"paced", "p99 ms", poosh, sio1, false, 1},
	{"paced10k", "cpu us", poosh, floor, false, 1.3},
	{"paced10k", "p99 ms", poosh, centrifuge, false, 1},
	{"paced10k", "p99 ms", poosh, zishang, false, 1},
	{"paced10k", "p99 ms", poosh, sio4, false, 1},
	{"paced10k", "p99 ms", poosh, sio1, false, 1},
	{"connect", "KB/connection", poosh, sio1, false, 0.5},
	{"connect", "KB/connection", poosh, sio4, false, 0.6},
	{"connect", "KB/connection", poosh, centrifuge, false, 0.4},
	{"idle15k", "KB/connection", poosh, sio1, false, 0.5},
	{"idle15k", "KB/connection", poosh, sio4, false, 0.6},
	{"idle15k", "KB/connection", poosh, centrifuge, false, 0.4},
	{"connect", "connects/s", poosh, centrifuge, true, 1},
	{"connect", "connects/s", poosh, zishang, true, 1},
	{"connect", "connects/s", poosh, sio4, true, 1},
	{"connect", "connects/s", poosh, sio1, true, 1},
	{"publish", "requests/s", poosh, sio1, true, 10},
	{"burst", "cpu us", operated, poosh, false, watched},
	{"burst", "cpu us", operatedPusher, pooshPusher, false, watched},
	{"burst", "deliveries/s", operated, poosh, true, 1 / watched},
	{"paced", "cpu us", operated, poosh, false, watched},
	{"paced", "cpu us", operatedPusher, pooshPusher, false, watched},
	{"paced", "p99 ms", operated, poosh, false, watched},
	{"publish", "requests/s", operated, poosh, true, 1 / watched},
	{"publish", "cpu us/request", operated, poosh, false, watched},
	{"polling", "cpu us", pooshPoll4, sio4Poll, false, 0.5},
	{"polling", "cpu us", pooshPoll3, sio4Poll, false, 0.5},

	{"rooms", "publishes/s", poosh, before, true, 1.55},
	{"rooms", "publishes/s", poosh4, before4, true, 1.55},
	{"rooms", "publishes/s", pooshPusher, beforePusher, true, 1.68},
	{"rooms-paced", "cpu us/publish", poosh, before, false, 0.5},
	{"rooms-paced", "cpu us/publish", poosh4, before4, false, 0.5},
	{"rooms-paced", "cpu us/publish", pooshPusher, beforePusher, false, 0.5},
	{"rooms-paced", "cpu us/publish", poosh, nbio, false, 0.5},
	{"groups-paced", "cpu us/publish", poosh, before, false, 0.6},
	{"groups-paced", "cpu us/publish", poosh4, before4, false, 0.6},
	{"groups-paced", "cpu us/publish", pooshPusher, beforePusher, false, 0.6},
	{"groups", "p99 ms", poosh, nbio, false, 1},
	{"groups", "p99 ms", poosh, centrifugo, false, 1},
	{"groups", "p99 ms", pooshPusher, centrifugo, false, 1},
	{"churn", "cpu us/operation", pooshPusher, sockudo, false, 1},
	{"churn", "cpu us/operation", pooshPusher, gws, false, 1},
	{"churn", "cpu us/operation", pooshPusher, nbio, false, 1},
	{"churn", "cpu us/operation", pooshPusher, beforePusher, false, 0.6},
	{"big10k", "cpu us", poosh, floor, false, atFloor},
	{"big10k", "cpu us", pooshPusher, floor, false, atFloor},
	{"big100k", "cpu us", poosh, floor, false, atFloor},
	{"big100k", "cpu us", pooshPusher, floor, false, atFloor},
}, clusterTargets)

// watched is how much more poosh may cost when operators look at it.
const watched = 1.02

// atFloor is how much more than one write(2) a large delivery may cost: what is
// measured in one run differs by as much.
const atFloor = 1.1

// A bound is what a median of poosh may be at most, whatever others do.
type bound struct {
	work   string
	metric string
	poosh  entrant
	most   float64
}

var bounds = slices.Concat([]bound{
	{"growth", "burst growth", poosh, 1.2},
	{"growth", "paced growth", poosh, 1.2},
	{"idle15k", "KB/connection", poosh, 7},
	{"churn", "p99 growth", pooshPusher, 1.1},
	{"presence", "age growth", pooshPusher, 1.1},
	{"cookies", "cpu growth", poosh, 1.1},
	{"cookies", "cpu growth", pooshPusher, 1.1},
	{"cookies", "memory growth", poosh, 1.1},
	{"cookies", "memory growth", pooshPusher, 1.1},
	{"proxy", "cpu growth", poosh, 1.1},
	{"proxy", "cpu growth", pooshPusher, 1.1},
	{"seats", "bytes/room", poosh, 400},
	{"seats", "bytes/seat", poosh, 200},
}, clusterBounds)

// printTargets prints the ratios of medians, as far as both sides were measured.
func (r *results) printTargets(w io.Writer) {
	var rows [][]string
	for _, t := range targets {
		ours, ok := r.median(t.work, t.poosh, t.metric)
		theirs, ok2 := r.median(t.work, t.to, t.metric)
		if !ok || !ok2 || theirs == 0 {
			continue
		}
		bound, met := "at most", ours/theirs <= t.limit
		if t.least {
			bound, met = "at least", ours/theirs >= t.limit
		}
		rows = append(rows, []string{
			t.work, t.metric, t.poosh.protocol.String(), titles[t.to.server], number(ours), number(theirs),
			number(ours / theirs), fmt.Sprintf("%s %.3g", bound, t.limit), yes(met),
		})
	}
	for _, b := range bounds {
		if v, ok := r.median(b.work, b.poosh, b.metric); ok {
			rows = append(rows, []string{
				b.work, b.metric, b.poosh.protocol.String(), "itself", number(v), "",
				"", fmt.Sprintf("at most %v", b.most), yes(v <= b.most),
			})
		}
	}
	rows = append(rows, r.differenceRows()...)
	if len(rows) > 0 {
		fmt.Fprint(w, "\n### What poosh is to reach\n\n")
		printTable(w, []string{"work", "what", "clients", "beside", "poosh", "other", "ratio", "to reach", "reached"}, rows)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
