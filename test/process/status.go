//go:build unix

package process

import (
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var statusField = regexp.MustCompile(`(\w+)=(\d+)`)

// Status asks the process for the line it logs about itself on SIGUSR1 and returns
// its numbers by name, such as sessions and websockets.
func (p *Process) Status() map[string]int {
	p.T.Helper()
	before := len(p.statusLines())
	p.Signal(syscall.SIGUSR1)
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		lines := p.statusLines()
		if len(lines) == before {
			continue
		}
		numbers := make(map[string]int)
		for _, m := range statusField.FindAllStringSubmatch(lines[len(lines)-1], -1) {
			numbers[m[1]], _ = strconv.Atoi(m[2])
		}
		return numbers
	}
	p.T.Fatalf("waited %v for a status line after SIGUSR1\n%s", Patience, p.Log())
	return nil
}

// statusLines are the whole lines about the status so far.
func (p *Process) statusLines() []string {
	var found []string
	for line := range strings.Lines(p.Log()) {
		if strings.Contains(line, "msg=status") && strings.HasSuffix(line, "\n") {
			found = append(found, line)
		}
	}
	return found
}
