package loop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readSize is the buffer that a shard reads into; connections own none.
const readSize = 64 << 10

// readable is what a connection waits for that is being read.
const readable = unix.EPOLLIN | unix.EPOLLRDHUP

// A poller waits for many sockets at once.
//
// Where there are processors to spare when the loop is made it waits in a system call of
// its own: the thread that wakes up is the one that reads, and no other is woken for it.
// With one processor that would be in everybody's way, so there the epoll
// descriptor stands in Go's own poller, and waiting parks a goroutine.
type poller struct {
	fd   int
	bell int             // a descriptor that stop makes readable; -1 in Go's poller
	file *os.File        // the epoll descriptor in Go's poller; nil otherwise
	raw  syscall.RawConn // of file
	over atomic.Bool
	// spawned says that others became ready to run since the reader waited last: a reader
	// that waits in a system call keeps them waiting for some time, unless it lets them run
	// before.
	spawned atomic.Bool

	// What follows is owned by run.
	events  []unix.EpollEvent
	buf     []byte
	scratch []byte
	writer  *writer
	yielded time.Time // when others were last let run

	mu    sync.RWMutex // guards what follows
	table []*Conn      // by descriptor
	gen   uint8        // of the newest connection
}

func newPoller() (*poller, error) {
	return newPollerFor(runtime.GOMAXPROCS(0))
}

// newPollerFor is newPoller for so many processors.
func newPollerFor(processors int) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &poller{fd: fd, bell: -1}
	if processors > 1 {
		err = p.hang()
	} else {
		err = p.park()
	}
	if err != nil {
		if p.file != nil {
			_ = p.file.Close()
		} else {
			_ = unix.Close(fd)
		}
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p.events, p.buf = make([]unix.EpollEvent, 64), make([]byte, readSize)
	p.scratch, p.writer = make([]byte, 0, 4<<10), newWriter()
	return p, nil
}

// hang hangs up the bell that ends a wait.
func (p *poller) hang() (err error) {
	if p.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, p.bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.bell)})
	if err != nil {
		_ = unix.Close(p.bell)
	}
	return err
}

// park puts the epoll descriptor into Go's poller.
func (p *poller) park() error {
	if err := unix.SetNonblock(p.fd, true); err != nil {
		return err
	}
	p.file = os.NewFile(uintptr(p.fd), "epoll")
	raw, err := p.file.SyscallConn()
	p.raw = raw
	return err
}

// close closes what newPoller opened, when run has ended.
func (p *poller) close() {
	if p.file != nil {
		_ = p.file.Close()
		return
	}
	_ = unix.Close(p.bell)
	_ = unix.Close(p.fd)
}

// stop ends run, which waits or will. No connection is left.
func (p *poller) stop() {
	p.over.Store(true)
	if p.file != nil {
		_ = p.file.Close()
		return
	}
	_, _ = unix.Write(p.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // an eventfd takes eight bytes
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
	case c.flags&(paused|deaf) != 0:
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

// closeConn ends the waiting for a connection's descriptor and closes it. close(2) alone would do
// both. But the reader that looks at the descriptor within epoll_wait just then holds the socket
// (Linux since 6.10), closes it once it returns from there, and may go to sleep first: the
// peer saw no end until something happened to some other connection.
func (p *poller) closeConn(fd int) {
	p.forget(fd)
	p.unwatch(fd)
	closeFD(fd)
}

func closeFD(fd int) { _ = unix.Close(fd) }

func shutdownWrite(fd int) { _ = unix.Shutdown(fd, unix.SHUT_WR) }

// run is the shard's reader.
func (p *poller) run(s *shard) {
	if p.file == nil {
		for !p.over.Load() {
			if p.spawned.Swap(false) {
				runtime.Gosched()
			}
			p.round(s, p.wait(-1))
		}
		return
	}
	_ = p.raw.Read(func(uintptr) bool {
		for !p.over.Load() {
			n := p.wait(0)
			if n == 0 {
				return false
			}
			p.round(s, n)
		}
		return true
	})
}

// noteSpawned says that somebody became ready to run.
func (p *poller) noteSpawned() {
	if p.file == nil && !p.spawned.Load() {
		p.spawned.Store(true)
	}
}

// wait waits for sockets, for so many milliseconds or without an end for -1, and returns
// how many there are in p.events.
func (p *poller) wait(ms int) int {
	for {
		n, err := unix.EpollWait(p.fd, p.events, ms)
		if err != unix.EINTR {
			return max(n, 0)
		}
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

// writable reports whether a socket takes something now.
func writable(fd int) bool {
	ask := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(ask, 0)
	return err == nil && n > 0
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
