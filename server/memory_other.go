//go:build !linux

package server

// MemoryLimit returns how many bytes of memory the process may have. Here that is not
// known.
func MemoryLimit() (bytes int64, ok bool) { return 0, false }
