package loop

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readSize is the buffer that a shard reads into; connections own none.
const readSize = 64 << 10

// readable is what a connection waits for that is being read.
const readable = syscall.EPOLLIN | syscall.EPOLLRDHUP

// A poller waits for many sockets at once. The epoll descriptor itself stands
// in Go's own poller, so that waiting parks a goroutine and no thread.
type poller struct {
	file *os.File // the epoll descriptor
	raw  syscall.RawConn
	fd   int
	over atomic.Bool

	scratch []byte // owned by run

	mu    sync.RWMutex // guards table
	table []*Conn      // by descriptor
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, scratch: make([]byte, 0, 4<<10)}
	p.raw, err = p.file.SyscallConn()
	if err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return p, nil
}

// stop ends run, which is parked or will be.
func (p *poller) stop() {
	p.over.Store(true)
	_ = p.file.Close()
}

func (p *poller) all() []*Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var list []*Conn
	for _, c := range p.table {
		if c != nil {
			list = append(list, c)
		}
	}
	return list
}

func (p *poller) at(fd int) *Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if fd < len(p.table) {
		return p.table[fd]
	}
	return nil
}

// insert makes the poller responsible for closing c's descriptor.
func (p *poller) insert(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd := int(c.fd); fd >= len(p.table) {
		p.table = append(p.table, make([]*Conn, fd+1-len(p.table)+256)...)
	}
	p.table[c.fd] = c
}

// watch begins to wait for a descriptor.
func (p *poller) watch(fd int, f flags) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, interest(fd, f))
}

// modify changes what is waited for. It can fail for lack of memory.
func (p *poller) modify(fd int, f flags) error {
	return syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_MOD, fd, interest(fd, f))
}

// interest is what a connection with such flags waits for, beside its end.
func interest(fd int, f flags) *syscall.EpollEvent {
	ev := &syscall.EpollEvent{Fd: int32(fd)}
	switch {
	case f&leaving != 0:
	case f&paused != 0:
		ev.Events = syscall.EPOLLRDHUP
	default:
		ev.Events = readable
	}
	if f&blocked != 0 {
		ev.Events |= syscall.EPOLLOUT
	}
	return ev
}

// unwatch ends the waiting for a descriptor.
func (p *poller) unwatch(fd int) {
	_ = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, fd, nil) // it was watched, or is not
}

// unread is how many bytes wait to be read from a descriptor.
func unread(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// forget leaves a descriptor to somebody else.
func (p *poller) forget(fd int) {
	p.mu.Lock()
	p.table[fd] = nil
	p.mu.Unlock()
}

// close closes a descriptor, which also ends the waiting for it.
func (p *poller) close(fd int) {
	p.mu.Lock()
	p.table[fd] = nil
	p.mu.Unlock()
	closeFD(fd)
}

func closeFD(fd int) { _ = syscall.Close(fd) }

func shutdownWrite(fd int) { _ = syscall.Shutdown(fd, syscall.SHUT_WR) }

// run is the shard's reader.
func (p *poller) run(s *shard) {
	events := make([]syscall.EpollEvent, 256)
	buf := make([]byte, readSize)
	_ = p.raw.Read(func(fd uintptr) bool {
		for !p.over.Load() {
			n, err := syscall.EpollWait(int(fd), events, 0)
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 || err != nil {
				return false
			}
			for _, ev := range events[:n] {
				if c := p.at(int(ev.Fd)); c != nil {
					p.ready(c, ev.Events, buf)
				}
			}
		}
		return true
	})
}

// ready handles what the kernel says of one socket. An event may be stale, of a
// former owner of the descriptor: a connection that is not watched yet is left alone,
// and of others reading tells.
func (p *poller) ready(c *Conn, events uint32, buf []byte) {
	if events&syscall.EPOLLOUT != 0 {
		c.writable()
	}
	if events&^syscall.EPOLLOUT == 0 {
		return
	}
	corked, ok := c.beginReading()
	if !ok {
		c.unread(events)
		return
	}
	defer c.endReading()
	n, again, err := readOnce(int(c.fd), buf)
	switch {
	case again:
		c.received(nil, p.scratch, corked, nil)
	case err != nil:
		c.received(nil, p.scratch, corked, err)
	case n == 0:
		c.received(nil, p.scratch, corked, io.EOF)
	default:
		c.received(buf[:n], p.scratch, corked, nil)
	}
}

// unread handles the end of a connection that is not being read for now.
func (c *Conn) unread(events uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&watched == 0 || c.flags&(paused|leaving) == 0 {
		return
	}
	if ended := uint32(syscall.EPOLLHUP | syscall.EPOLLERR); events&ended != 0 || c.flags&leaving == 0 && events&syscall.EPOLLRDHUP != 0 {
		c.kill(ErrGone)
	}
}

// readOnce and writeOnce go past the scheduler's hooks: the descriptors never
// block. again says that the socket has, or takes, no more for now.
func readOnce(fd int, buf []byte) (n int, again bool, err error) {
	for {
		r, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		switch errno {
		case 0:
			return int(r), false, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, true, nil
		default:
			return 0, false, errno
		}
	}
}

func writeOnce(fd int, b []byte) (n int, again bool, err error) {
	for n < len(b) {
		r, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n))
		switch errno {
		case 0:
			n += int(r)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return n, true, nil
		default:
			return n, false, errno
		}
	}
	return n, false, nil
}

// claimFD takes a TCP connection's descriptor away from Go's network poller. The
// connection is closed; its socket lives on under the descriptor returned.
func claimFD(nc *net.TCPConn) (int, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, errno := -1, syscall.Errno(0)
	err = raw.Control(func(old uintptr) {
		var r uintptr
		r, _, errno = syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 3)
		fd = int(r)
	})
	if err != nil {
		return -1, err
	}
	if errno != 0 {
		return -1, errno
	}
	if err := nc.Close(); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}
