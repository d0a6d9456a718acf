package http1

import "poosh/server/loop"

// The reasons that connections end for, beside the loop's.
const (
	ErrIdle    loop.Reason = "idle timeout" // a request that did not come
	ErrEvicted loop.Reason = "port is full" // its place went to somebody with something to say
)
