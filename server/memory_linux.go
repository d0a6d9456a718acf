package server

import (
	"bufio"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// MemoryLimit returns how many bytes of memory the process may have by what the kernel
// says: the least of what its control groups, its resource limits and the machine
// allow. It reports false when it cannot be known.
func MemoryLimit() (bytes int64, ok bool) {
	least := int64(math.MaxInt64)
	for _, n := range append(groupLimits(readLines("/proc/self/cgroup"), readNumber), resourceLimits()...) {
		least = min(least, n)
	}
	for _, line := range readLines("/proc/meminfo") {
		if value, found := strings.CutPrefix(line, "MemTotal:"); found {
			if kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
				least = min(least, kb<<10)
			}
		}
	}
	return least, least < math.MaxInt64
}

// groupLimits reads the limits of the control groups named in lines of
// /proc/self/cgroup, and of all above them (cgroups(7)): "0::/a/b" is one of version 2,
// "4:memory:/a/b" one of version 1. In a container the files of its own group are at
// the root, whatever it is called outside.
func groupLimits(lines []string, read func(file string) (int64, bool)) (limits []int64) {
	for _, line := range lines {
		_, rest, _ := strings.Cut(line, ":")
		controllers, group, found := strings.Cut(rest, ":")
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case !found || !strings.HasPrefix(group, "/"):
			continue
		case controllers == "":
		case controllers == "memory":
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Clean(group); ; dir = path.Dir(dir) {
			if n, ok := read(path.Join(root, dir, file)); ok {
				limits = append(limits, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return limits
}

// resourceLimits are those of setrlimit(2) that a Go program runs into.
func resourceLimits() (limits []int64) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &limit); err == nil && limit.Cur < math.MaxInt64 {
		limits = append(limits, int64(limit.Cur))
	}
	return limits
}

// readNumber reads a file that is a number. "max" is none.
func readNumber(file string) (int64, bool) {
	lines := readLines(file)
	if len(lines) != 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(lines[0], 10, 64)
	return n, err == nil && n > 0
}

// readLines reads a small file of the kernel's; one that cannot be read has no lines.
func readLines(file string) (lines []string) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}
