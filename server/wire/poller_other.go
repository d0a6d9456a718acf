//go:build !linux

package wire

import (
	"errors"
	"net"
)

// A poller is not to be had here: connections have goroutines.
type poller struct{}

func newPoller() (*poller, error)              { return nil, nil }
func (*poller) run(*shard)                     {}
func (*poller) stop()                          {}
func (*poller) all() []*Conn                   { return nil }
func (*poller) insert(*Conn)                   {}
func (*poller) watch(int, bool) error          { return errors.ErrUnsupported }
func (*poller) modify(int, bool)               {}
func (*poller) unwatch(int)                    {}
func (*poller) forget(int)                     {}
func (*poller) close(int)                      {}
func writeOnce(int, []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }
func claimFD(*net.TCPConn) (int, error)        { return -1, errors.ErrUnsupported }
