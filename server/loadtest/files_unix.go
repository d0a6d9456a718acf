//go:build unix

package loadtest

import (
	"fmt"
	"syscall"
)

// raiseFileLimit raises the soft limit of open files to the hard one, as far as the system
// lets it, and returns what it is then. Children inherit it.
func raiseFileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("open-file limit: %w", err)
	}
	raised := limit
	raised.Cur = raised.Max
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil { // macOS has a bound below its hard limit
		limit = raised
	}
	return uint64(limit.Cur), nil
}
