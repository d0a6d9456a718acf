package wire

// Cost returns what a queued frame counts as in every bound: its bytes, and about
// what holding it takes besides, which for frames of two or three bytes is far more.
func Cost(frame []byte) int { return len(frame) + 64 }
