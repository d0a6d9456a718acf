//go:build unix

package loadtest

import (
	"syscall"
	"time"
)

// ownCPU is the processor time that this process has used; 0 where that is not known.
func ownCPU() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
