package loop

import (
	"errors"
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
const readable = unix.EPOLLIN | unix.EPOLLRDHUP

// A poller waits for many sockets at once. The epoll descriptor itself stands
// in Go's own poller, so that waiting parks a goroutine and no thread.
type poller struct {
	file *os.File // the epoll descriptor
	raw  syscall.RawConn
	fd   int
	over atomic.Bool

	scratch []byte // owned by run

	mu    sync.RWMutex // guards what follows
	table []*Conn      // by descriptor
	gen   uint8        // of the newest connection
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
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

// of returns the connection that an event is about, or nil when it has left: another
// one may have its descriptor now.
func (p *poller) of(ev *unix.EpollEvent) *Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if int(ev.Fd) < len(p.table) {
		if c := p.table[ev.Fd]; c != nil && int32(c.gen) == ev.Pad {
			return c
		}
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
	p.gen++
	c.gen = p.gen
	p.table[c.fd] = c
}

// watch begins to wait for a connection. Its mu is held.
func (p *poller) watch(c *Conn) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(c.fd), interest(c))
}

// modify changes what is waited for. It can fail for lack of memory. c.mu is held.
func (p *poller) modify(c *Conn) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, int(c.fd), interest(c))
}

// interest is what a connection waits for, beside its end. c.mu is held.
func interest(c *Conn) *unix.EpollEvent {
	ev := &unix.EpollEvent{Fd: c.fd, Pad: int32(c.gen)}
	switch {
	case c.life == detaching:
	case c.flags&paused != 0:
		ev.Events = unix.EPOLLRDHUP
	default:
		ev.Events = readable
	}
	if c.flags&blocked != 0 {
		ev.Events |= unix.EPOLLOUT
	}
	return ev
}

// unwatch ends the waiting for a descriptor.
func (p *poller) unwatch(fd int) {
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) // it was watched, or is not
}

// unreadBytes is how many bytes wait to be read from a descriptor.
func unreadBytes(fd int) int {
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

func closeFD(fd int) { _ = unix.Close(fd) }

func shutdownWrite(fd int) { _ = unix.Shutdown(fd, unix.SHUT_WR) }

// run is the shard's reader.
func (p *poller) run(s *shard) {
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, readSize)
	_ = p.raw.Read(func(fd uintptr) bool {
		for !p.over.Load() {
			n, err := unix.EpollWait(int(fd), events, 0)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 || err != nil {
				return false
			}
			for i := range events[:n] {
				if c := p.of(&events[i]); c != nil {
					p.ready(c, events[i].Events, buf)
				}
			}
		}
		return true
	})
}

// ready handles what the kernel says of one socket.
func (p *poller) ready(c *Conn, events uint32, buf []byte) {
	if events&unix.EPOLLOUT != 0 {
		c.writable()
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	corked, ok := c.beginReading()
	if !ok {
		c.peerEnded(events)
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

// peerEnded handles the end of a connection that is not being read for now.
func (c *Conn) peerEnded(events uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flags&watched == 0 || c.flags&paused == 0 && c.life != detaching {
		return
	}
	if ended := uint32(unix.EPOLLHUP | unix.EPOLLERR); events&ended != 0 || c.life != detaching && events&unix.EPOLLRDHUP != 0 {
		c.kill(ErrPeerClosed)
	}
}

// readOnce and writeOnce go past the scheduler's hooks, which unix.Read and unix.Write
// do not: the descriptors never block, and the hooks cost a tenth of a small read or
// write. again says that the socket has, or takes, no more for now.
func readOnce(fd int, buf []byte) (n int, again bool, err error) {
	for {
		r, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		switch errno {
		case 0:
			return int(r), false, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, true, nil
		default:
			return 0, false, errno
		}
	}
}

func writeOnce(fd int, b []byte) (n int, again bool, err error) {
	for n < len(b) {
		r, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n))
		switch errno {
		case 0:
			n += int(r)
		case unix.EINTR:
		case unix.EAGAIN:
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
	fd := -1
	var dup error
	err = raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3) })
	if err = errors.Join(err, dup); err != nil {
		return -1, err
	}
	if err := nc.Close(); err != nil {
		closeFD(fd)
		return -1, err
	}
	return fd, nil
}
