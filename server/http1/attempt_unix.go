//go:build unix

package http1

import "syscall"

// socket is a connection's descriptor. Owned by whoever writes.
type socket struct {
	raw   syscall.RawConn // nil until the first attempt
	try   func(fd uintptr) bool
	bytes []byte // what is left of an attempt
}

// attempt writes what the socket takes at once and returns what is left. An error
// is for the next write to find.
func (c *conn) attempt(text []byte) []byte {
	s := &c.socket
	if s.raw == nil {
		sc, ok := c.nc.(syscall.Conn)
		if !ok {
			return text
		}
		raw, err := sc.SyscallConn()
		if err != nil {
			return text
		}
		s.raw = raw
		s.try = func(fd uintptr) bool {
			if n, err := syscall.Write(int(fd), s.bytes); err == nil && n > 0 {
				s.bytes = s.bytes[n:]
			}
			return true
		}
	}
	s.bytes = text
	_ = s.raw.Write(s.try)
	left := s.bytes
	s.bytes = nil
	return left
}
