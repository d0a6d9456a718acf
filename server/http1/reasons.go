package http1

import "poosh/server/closed"

// The reasons that connections end for, beside the loop's.
const (
	ErrIdle    = closed.Idle    // a request that did not come
	ErrEvicted = closed.Evicted // its place went to somebody with something to say
)
