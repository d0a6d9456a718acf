// Package leaktest fails a package's tests when goroutines are left behind. Only
// tests import it.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// grace is how long goroutines that are on their way out are waited for.
const grace = 30 * time.Second

// Main runs the tests of a package, ends what they shared, and then waits briefly for the
// number of goroutines to be what it was. Call it from TestMain; it does not return. m is the
// [testing.M], or what runs it more than once.
func Main(m interface{ Run() int }, ends ...func()) {
	before := len(stacks())
	code := m.Run()
	for _, end := range ends {
		end()
	}
	if code != 0 {
		os.Exit(code)
	}
	for end := time.Now().Add(grace); ; time.Sleep(10 * time.Millisecond) {
		now := stacks()
		if len(now) <= before {
			os.Exit(0)
		}
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "%d goroutines, %d before the tests:\n%s\n", len(now), before, strings.Join(now, "\n\n"))
			os.Exit(1)
		}
	}
}

// stacks returns the stack of every goroutine but the one that os/signal starts
// once and for all.
func stacks() []string {
	buf := make([]byte, 4<<20)
	var list []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(stack, "os/signal.loop") {
			list = append(list, stack)
		}
	}
	return list
}
