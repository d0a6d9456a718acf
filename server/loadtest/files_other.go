//go:build !unix

package loadtest

// RaiseFileLimit returns 0: there is no such limit that is known.
func RaiseFileLimit() (uint64, error) { return 0, nil }
