package server

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func TestMemoryMax(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		{"a service", map[string]string{"proc/self/cgroup": "0::/system.slice/poosh.service\n",
			"sys/fs/cgroup/system.slice/poosh.service/memory.max": "1000000\n", "sys/fs/cgroup/system.slice/memory.max": "max\n"}, 1000000},
		{"a group above has less", map[string]string{"proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "3000\n", "sys/fs/cgroup/a/memory.max": "2000\n"}, 2000},
		{"only a group above", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "2000\n"}, 2000},
		{"both versions", map[string]string{"proc/self/cgroup": "12:memory:/x\n0::/y\n", "sys/fs/cgroup/y/memory.max": "7000\n",
			"sys/fs/cgroup/x/memory.max": "1\n"}, 7000},
		{"outside of the namespace", map[string]string{"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/memory.max": "9000\n"}, 9000},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"not a number", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "-5\n"}, 0},
		{"version 1", map[string]string{"proc/self/cgroup": "3:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "5\n"}, 0},
		{"no groups", nil, 0},
	} {
		root := fstest.MapFS{}
		for path, text := range test.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		got, ok := memoryMax(root)
		if ok != (test.want > 0) || ok && got != test.want {
			t.Errorf("%s: %d, %v, want %d", test.name, got, ok, test.want)
		}
	}
}

func TestTuneRuntime(t *testing.T) {
	gc, memory := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() {
		debug.SetGCPercent(gc)
		debug.SetMemoryLimit(memory)
	})
	t.Setenv("GOGC", "50")
	t.Setenv("GOMEMLIMIT", "1GiB")
	if limit := TuneRuntime(); limit != 0 || debug.SetGCPercent(100) != 100 || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		t.Errorf("the environment did not win: %d", limit)
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	limit := TuneRuntime()
	if got := debug.SetGCPercent(100); got != gcPercent {
		t.Errorf("GC percentage %d", got)
	}
	want := int64(math.MaxInt64)
	if limit != 0 {
		want = limit
	}
	if got := debug.SetMemoryLimit(-1); got != want {
		t.Errorf("memory limit %d, want %d", got, want)
	}
}
