//go:build linux

package load

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// ipBindAddressNoPort is IP_BIND_ADDRESS_NO_PORT of Linux: the port is chosen
// when connecting, so that each pair of addresses has all ports.
const ipBindAddressNoPort = 24

// RaiseFileLimit raises the soft limit of open files to the hard one and returns
// it. Children inherit it.
func RaiseFileLimit() (uint64, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("open-file limit: %w", err)
	}
	lim.Cur = lim.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("open-file limit: %w", err)
	}
	return lim.Cur, nil
}

func sockaddr(a netip.AddrPort) *syscall.SockaddrInet4 {
	return &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
}

// dial begins to connect a non-blocking socket from one of the addresses
// 127.0.0.2 and up: an address has too few ports for a large crowd.
func dial(to netip.AddrPort, source int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + source)}), 0)
	err = errors.Join(
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		// A reset at the end: no port waits in TIME_WAIT.
		syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}),
		syscall.Bind(fd, sockaddr(from)),
	)
	if err == nil {
		// A signal does not stop a connect that has begun, connect(2).
		if err = syscall.Connect(fd, sockaddr(to)); err == syscall.EINPROGRESS || err == syscall.EINTR {
			err = nil
		}
	}
	if err != nil {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("connect to %v from %v: %w", to, from.Addr(), err)
	}
	return fd, nil
}

// dialBlocking connects a socket whose reads and writes block, up to timeout.
func dialBlocking(to netip.AddrPort, timeout time.Duration) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	limit := syscall.NsecToTimeval(int64(timeout))
	if err := errors.Join(
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit),
		connectBlocking(fd, sockaddr(to)),
	); err != nil {
		_ = syscall.Close(fd)
		return -1, fmt.Errorf("connect to %v: %w", to, err)
	}
	return fd, nil
}

// connectBlocking connects a socket that blocks. A signal, which Go's runtime sends
// to its own threads, ends the wait but not the connecting: asked again, Linux goes on
// to wait for it.
func connectBlocking(fd int, to syscall.Sockaddr) error {
	for {
		switch err := syscall.Connect(fd, to); err {
		case syscall.EINTR:
		case syscall.EISCONN:
			return nil
		default:
			return err
		}
	}
}
