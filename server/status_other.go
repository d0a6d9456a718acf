//go:build !unix

package server

// reportOnSignal does nothing where there is no SIGUSR1.
func (s *Server) reportOnSignal() (stop func()) { return func() {} }

func fileLimit() (uint64, bool) { return 0, false }
