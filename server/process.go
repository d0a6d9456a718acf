package server

import (
	"os"
	"runtime/metrics"

	"poosh/server/metric"
)

// hostReadings are numbers that the operating system and the Go runtime tell of the
// process, for the series and the operators' view. Reading them costs next to nothing.
// Prometheus has them as go_* and process_*.
func hostReadings() []metric.Reading {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	var list []metric.Reading
	for i, of := range []struct {
		key  string
		kind metric.Kind
	}{{"heap_bytes", metric.IsGauge}, {"memory_bytes", metric.IsGauge}, {"gc_cycles", metric.IsCounter}, {"allocated_bytes", metric.IsCounter}} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			list = append(list, metric.Reading{Key: of.key, Kind: of.kind, Samples: []metric.Sample{metric.Of(samples[i].Value.Uint64())}})
		}
	}
	if used, ok := cpuSeconds(); ok {
		list = append(list, metric.Counter("cpu_seconds", "", "", used))
	}
	if resident, _, ok := memoryBytes(); ok {
		list = append(list, metric.Gauge("resident_bytes", "", "", resident))
	}
	return list
}

// openFilesQuick returns how many files the process has open where the kernel has that
// number, which costs the same however many there are: Linux from 6.2 on has it as the
// size of the directory.
func openFilesQuick() (int, bool) {
	info, err := os.Stat("/proc/self/fd")
	if err != nil || info.Size() <= 0 {
		return 0, false
	}
	return int(info.Size()), true
}

// openFiles returns how many files the process has open, -1 where that is not told. On an
// older kernel it goes through all of them.
func openFiles() int {
	if n, ok := openFilesQuick(); ok {
		return n
	}
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(list) - 1 // without the one that reads the list
}
