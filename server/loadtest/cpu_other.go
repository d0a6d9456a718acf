//go:build !unix

package loadtest

import "time"

// ownCPU is the processor time that this process has used; 0 where that is not known.
func ownCPU() time.Duration { return 0 }
