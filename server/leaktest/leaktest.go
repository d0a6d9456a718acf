// Package leaktest fails a package's tests when goroutines are left behind. Only
// tests import it.
package leaktest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// grace is how long goroutines that are on their way out are waited for.
const grace = 5 * time.Second

// Main runs the tests of a package and then waits briefly for the number of
// goroutines to be what it was. Call it from TestMain; it does not return.
func Main(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	// Fuzzing leaves the goroutine of os/signal behind, which is not ours.
	if f := flag.Lookup("test.fuzz"); code != 0 || f != nil && f.Value.String() != "" {
		os.Exit(code)
	}
	for end := time.Now().Add(grace); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "%d goroutines, %d before the tests:\n%s\n",
				runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
			os.Exit(1)
		}
	}
	os.Exit(0)
}
