package server

import (
	"slices"
	"testing"
)

// TestGroupLimits: the limit of a group holds for all below it, in both versions.
func TestGroupLimits(t *testing.T) {
	files := map[string]int64{
		"/sys/fs/cgroup/memory.max":                              900,
		"/sys/fs/cgroup/system.slice/poosh.service/memory.max":   500,
		"/sys/fs/cgroup/memory/memory.limit_in_bytes":            1 << 62,
		"/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": 300,
		"/sys/fs/cgroup/cpu/docker/memory.limit_in_bytes":        1,
	}
	for _, tt := range []struct {
		name  string
		lines []string
		want  []int64
	}{
		{"version 2", []string{"0::/system.slice/poosh.service"}, []int64{500, 900}},
		{"version 2 in a container", []string{"0::/"}, []int64{900}},
		{"version 1", []string{"5:cpu:/docker", "4:memory:/docker/abc"}, []int64{300, 1 << 62}},
		{"seen from elsewhere", []string{"0::/../../other"}, []int64{900}},
		{"none", []string{"", "x", "0:", "1:memory:"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := groupLimits(tt.lines, func(file string) (int64, bool) { n, ok := files[file]; return n, ok })
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if n, ok := MemoryLimit(); !ok || n < 1<<20 {
		t.Errorf("this machine has %d, %v", n, ok)
	}
}
