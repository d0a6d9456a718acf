//go:build !linux

package loop

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
func (*poller) watch(*Conn) error              { return errors.ErrUnsupported }
func (*poller) modify(*Conn) error             { return errors.ErrUnsupported }
func (*poller) unwatch(int)                    {}
func (*poller) forget(int)                     {}
func (*poller) noteSpawned()                   {}
func (*poller) close()                         {}
func (*poller) closeConn(int)                  {}
func closeFD(int)                              {}
func shutdownWrite(int)                        {}
func unreadBytes(int) int                      { return 0 }
func writable(int) bool                        { return false }
func writeOnce(int, []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }
func claimFD(*net.TCPConn) (int, error)        { return -1, errors.ErrUnsupported }

// An Acceptor is not to be had here.
type Acceptor struct{}

// Acceptor reports that there is none.
func (l *Loop) Acceptor(net.Listener) (*Acceptor, bool) { return nil, false }

// Close does nothing.
func (*Acceptor) Close() {}

// Accept fails.
func (*Acceptor) Accept() (Socket, error) { return Socket{}, errors.ErrUnsupported }
