package loop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// An Acceptor takes connections off a TCP listener for a loop to carry. They never
// stand in Go's own poller, which would cost four system calls for each.
type Acceptor struct {
	file *os.File // the listener's socket once more: a TCPListener cannot be waited for
	raw  syscall.RawConn
}

// Acceptor returns an acceptor for ln; both have to be closed. It reports false where the loop cannot carry what a listener accepts.
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
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15)
	})
	return &Acceptor{file, raw}, true
}

// Close makes Accept fail, the one under way too.
func (a *Acceptor) Close() { _ = a.file.Close() }

// Accept waits for the next connection. After Close it fails with
// [net.ErrClosed]; an error with Temporary is worth another try.
func (a *Acceptor) Accept() (Socket, error) {
	fd, from, errno := -1, syscall.Sockaddr(nil), error(nil)
	err := a.raw.Read(func(ln uintptr) bool {
		for {
			fd, from, errno = syscall.Accept4(int(ln), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			switch errno {
			case syscall.EINTR, syscall.ECONNABORTED:
				continue
			case syscall.EAGAIN:
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

func addrPort(a syscall.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(fmt.Sprint(a.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}
