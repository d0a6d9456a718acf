package loop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Acceptor takes connections off a TCP listener for a loop. They never
// stand in Go's own poller, which would cost four system calls for each.
type Acceptor struct {
	file *os.File // the listener's socket once more: a TCPListener cannot be waited for
	raw  syscall.RawConn
}

// Acceptor returns an acceptor for ln; both have to be closed. It reports false where
// the loop cannot take what a listener accepts.
func (l *Loop) Acceptor(ln net.Listener) (*Acceptor, bool) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok || l.shards[0].poll == nil {
		return nil, false
	}
	file, err := tcp.File()
	if err != nil {
		return nil, false
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, false
	}
	// Connections have what their listener has: what Go sets for each of its own.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15)
	})
	return &Acceptor{file, raw}, true
}

// Close makes Accept fail, the one under way too.
func (a *Acceptor) Close() { _ = a.file.Close() }

// Accept waits for the next connection. After Close it fails with
// [net.ErrClosed]; an error with Temporary is worth another try.
func (a *Acceptor) Accept() (Socket, error) {
	fd, from, errno := -1, unix.Sockaddr(nil), error(nil)
	err := a.raw.Read(func(ln uintptr) bool {
		for {
			fd, from, errno = unix.Accept4(int(ln), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			switch errno {
			case unix.EINTR, unix.ECONNABORTED:
				continue
			case unix.EAGAIN:
				return false
			}
			return true
		}
	})
	if err != nil {
		return Socket{}, fmt.Errorf("%w: %w", net.ErrClosed, err)
	}
	if errno != nil {
		return Socket{}, os.NewSyscallError("accept4", errno)
	}
	return Socket{fd, addrPort(from)}, nil
}

func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(fmt.Sprint(a.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}
