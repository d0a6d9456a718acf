//go:build !unix

package loadtest

// raiseFileLimit returns 0: there is no such limit that is known.
func raiseFileLimit() (uint64, error) { return 0, nil }
