package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A status is what the server logs about itself when it gets SIGUSR1.
type status struct {
	goroutines, fds, connections, sessions, queuedBytes, closedSlow int
}

var statusField = regexp.MustCompile(`(\w+)=(\d+)`)

// status asks the server for a status and waits for it.
func (s *server) status(t *testing.T) status {
	t.Helper()
	lines := func() []string {
		var found []string
		for line := range strings.Lines(s.log.String()) {
			if strings.Contains(line, "msg=status") && strings.HasSuffix(line, "\n") {
				found = append(found, line)
			}
		}
		return found
	}
	before := len(lines())
	s.running()
	s.signal(syscall.SIGUSR1)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.running()
		if now := lines(); len(now) > before {
			return parseStatus(t, now[len(now)-1])
		}
	}
	t.Fatalf("waited %v for a status line after SIGUSR1\n%s", patience, s.log.Tail())
	return status{}
}

func parseStatus(t *testing.T, line string) status {
	t.Helper()
	var st status
	fields := map[string]*int{
		"goroutines": &st.goroutines, "fds": &st.fds, "connections": &st.connections,
		"sessions": &st.sessions, "queued_bytes": &st.queuedBytes, "closed_slow": &st.closedSlow,
	}
	for _, m := range statusField.FindAllStringSubmatch(line, -1) {
		if at := fields[m[1]]; at != nil {
			*at, _ = strconv.Atoi(m[2])
			delete(fields, m[1])
		}
	}
	for name := range fields {
		t.Fatalf("the status line has no %s: %s", name, line)
	}
	return st
}

// descriptors counts what the server has open.
func (s *server) descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// resident is the memory of the server in bytes.
func (s *server) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no VmRSS in %s", text)
	}
	kb, _ := strconv.Atoi(string(m[1]))
	return kb * 1024
}
