//go:build linux

package load

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"poosh/server/loadtest"
)

const (
	sources      = 8         // addresses that clients connect from
	inflight     = 256       // handshakes under way at once
	readSize     = 512 << 10 // the one buffer all sockets are read into
	heartbeat    = 25 * time.Second
	pollBeat     = 15 * time.Second // polling clients of EIO3 can only speak between two fetches
	beatInterval = 250 * time.Millisecond
	waitAtMost   = 20 // milliseconds of one epoll_wait
)

// A Config says who a crowd talks to.
type Config struct {
	Addr        netip.AddrPort   // where clients connect
	Also        []netip.AddrPort // more nodes of the same cluster, at which clients are in turn
	Protocol    Protocol
	PayloadSize int // bytes of each event's payload
	// Elsewhere has polling clients ask for their session at another node than the one where
	// it began, as behind a balancer without stickiness.
	Elsewhere bool
	// Loose takes events of one publisher in another order than it sent them, as long as
	// none is missing or comes twice, for clusters that keep no order from node to node.
	Loose bool

	TLS      bool   // clients connect with TLS, and check no certificate
	Rooms    Rooms  // that clients join; polling clients know one room alone
	Presence bool   // Pusher: the rooms are presence channels, and each client is in one
	Secret   string // that joining a presence channel is signed with
	Cookie   string // that every client sends; a session cookie if empty
	// Patience, if set, is how long a client may take to join before it drops its
	// connection and begins anew, for servers that lose a first packet now and
	// then. Zero means that all are waited for.
	Patience time.Duration
}

// A Crowd is many clients of one server. It belongs to one
// goroutine, which is locked to its thread for as long as the crowd pumps.
type Crowd struct {
	cfg        Config
	host       string
	handshakes []handshake // of each browser
	epoll      int
	events     []syscall.EpollEvent
	buf        []byte
	clients    []client
	byFD       []int32 // index in clients, by descriptor
	begun      int     // clients that have begun to connect
	joined     int
	retried    int
	nextBeat   int64
	request    []byte      // scratch for what clients ask by HTTP
	scratch    []byte      // scratch for what came in pieces
	shaken     chan shaken // clients after their TLS handshakes
	rosters    []roster    // of members of a presence channel, by client
	churn      churn
	returning
	ledger
}

// NewCrowd returns a crowd of nobody. Close it.
func NewCrowd(cfg Config) (*Crowd, error) {
	if cfg.Protocol.polling() && !cfg.Rooms.single() {
		return nil, errors.New("polling clients join one room alone")
	}
	if !cfg.Rooms.whole() {
		return nil, fmt.Errorf("%d rooms, of which each client is to be in %d: want a multiple", cfg.Rooms.Count, cfg.Rooms.Each)
	}
	if err := errors.Join(cfg.checkNodes(), cfg.checkPresence()); err != nil {
		return nil, err
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if cfg.Cookie == "" {
		cfg.Cookie = sessionCookie
	}
	c := &Crowd{
		cfg:    cfg,
		host:   cfg.Addr.String(),
		epoll:  epoll,
		events: make([]syscall.EpollEvent, 512),
		buf:    make([]byte, readSize),
		shaken: make(chan shaken, shaking),
	}
	c.prepareHandshakes()
	c.tail, c.rooms, c.loose = loadtest.NewPayload(cfg.PayloadSize).Tail(), cfg.Rooms, cfg.Loose
	return c, nil
}

// Len returns how many clients have joined.
func (c *Crowd) Len() int { return c.joined }

// Retried returns how many connections were given up for Config.Patience.
func (c *Crowd) Retried() int { return c.retried }

// Close resets all connections. A second call does nothing.
func (c *Crowd) Close() {
	for i := range c.clients {
		if c.clients[i].state != gone && c.clients[i].fd >= 0 {
			_ = syscall.Close(int(c.clients[i].fd))
		}
	}
	if c.epoll >= 0 {
		_ = syscall.Close(c.epoll)
	}
	c.clients, c.epoll = nil, -1
}

// Connect adds n clients as fast as the server lets it, a few hundred handshakes
// at a time, and returns once every one has joined its rooms as far as its
// protocol tells. How long that took is the result.
func (c *Crowd) Connect(n int, timeout time.Duration) (time.Duration, error) {
	if len(c.stays) > 0 {
		return 0, errors.New("clients that stay connect before those that come and go")
	}
	c.residents = len(c.clients) + n
	return c.add(n, timeout)
}

// add connects n clients more.
func (c *Crowd) add(n int, timeout time.Duration) (time.Duration, error) {
	target := len(c.clients) + n
	atOnce := inflight
	if c.since != "" {
		atOnce = n
	}
	if c.cfg.TLS {
		atOnce = shaking
	}
	if c.cfg.Presence {
		c.rosters = append(c.rosters, make([]roster, n)...)
	}
	c.clients = append(c.clients, make([]client, n)...)
	c.Tally = Tally{}
	begin := time.Now()
	deadline := begin.Add(timeout)
	for c.joined < target {
		for c.begun < target && c.begun-c.joined < atOnce {
			if err := c.begin(c.begun); err != nil {
				return 0, err
			}
			c.begun++
		}
		if err := errors.Join(c.turn(waitAtMost), c.takeShaken(), c.retry(target)); err != nil {
			return 0, err
		}
		if c.lost > 0 {
			return 0, fmt.Errorf("a client could not connect: %w", c.firstLoss)
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("only %d of %d clients had joined after %v", c.joined, target, timeout)
		}
	}
	return time.Since(begin), nil
}

func (c *Crowd) begin(i int) error {
	if c.cfg.TLS {
		c.beginTLS(i)
		return nil
	}
	fd, err := dial(c.at(i), i%sources)
	if err != nil {
		return err
	}
	c.clients[i] = client{state: connecting, beaten: now()}
	return c.watch(i, fd, syscall.EPOLLIN|syscall.EPOLLOUT)
}

// watch has epoll tell of a client's socket: one event tells that it is connected, then
// one tells of each arrival.
func (c *Crowd) watch(i, fd int, events uint32) error {
	for fd >= len(c.byFD) {
		c.byFD = append(c.byFD, make([]int32, 1024)...)
	}
	c.byFD[fd], c.clients[i].fd = int32(i), int32(fd)
	edge := uint32(1) << 31 // EPOLLET
	ev := syscall.EpollEvent{Events: events | edge, Fd: int32(fd)}
	if err := syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// retry begins anew for clients whose patience is over.
func (c *Crowd) retry(target int) error {
	if c.cfg.Patience == 0 || c.cfg.TLS || c.begun < target {
		return nil
	}
	for i := range c.clients {
		cl := &c.clients[i]
		if cl.state >= joined || now()-cl.beaten < int64(c.cfg.Patience) {
			continue
		}
		c.retried++
		_ = syscall.Close(int(cl.fd))
		if err := c.begin(i); err != nil {
			return err
		}
	}
	return nil
}

// Expect begins a new [Tally] of events events of each publisher, the first of
// which has number next.
func (c *Crowd) Expect(next, events, publishers int) {
	c.expect(c.residents, next, events, publishers)
}

// ExpectProbe begins a new [Tally] of one event of publisher 0 to each room, from
// number on, before which clients may have missed some.
func (c *Crowd) ExpectProbe(number int) { c.expectProbe(c.residents, number) }

// Result returns the tally so far. It stays valid until the next Expect.
func (c *Crowd) Result() *Tally { return &c.Tally }

// Pump serves the clients until done, which is asked after every read of many
// sockets, or until timeout. It returns whether done was true.
func (c *Crowd) Pump(timeout time.Duration, done func() bool) (bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	deadline := time.Now().Add(timeout)
	for !done() {
		left := time.Until(deadline)
		if left <= 0 {
			return false, nil
		}
		if err := c.turn(min(waitAtMost, int(left.Milliseconds())+1)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// turn waits for sockets and serves those that are ready.
func (c *Crowd) turn(milliseconds int) error {
	if c.churn.interval > 0 {
		c.operate(now())
		milliseconds = min(milliseconds, 1)
	}
	n, err := syscall.EpollWait(c.epoll, c.events, milliseconds)
	if err != nil && err != syscall.EINTR {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, ev := range c.events[:max(n, 0)] {
		i := int(c.byFD[ev.Fd])
		if err := c.ready(i, ev.Events); err != nil {
			c.drop(i, err)
		}
	}
	if t := now(); t >= c.nextBeat {
		c.nextBeat = t + int64(beatInterval)
		c.beat(t)
	}
	return nil
}

// drop takes note of a connection's end.
func (c *Crowd) drop(i int, err error) {
	cl := &c.clients[i]
	if cl.state == gone {
		return
	}
	c.lose(fmt.Errorf("client %d (%v): %w", i, cl.state, err))
	cl.state = gone
	_ = syscall.Close(int(cl.fd))
}

var errEnded = errors.New("the server closed the connection")

func (c *Crowd) ready(i int, events uint32) error {
	cl := &c.clients[i]
	if cl.state == gone {
		return nil
	}
	if cl.state == connecting {
		if code, _ := syscall.GetsockoptInt(int(cl.fd), syscall.SOL_SOCKET, syscall.SO_ERROR); code != 0 {
			return syscall.Errno(code)
		}
		cl.state = handshaking
		return c.hello(i)
	}
	if events&^syscall.EPOLLOUT == 0 {
		return nil
	}
	if cl.tls != nil {
		return c.readTLS(i)
	}
	for {
		n, err := syscall.Read(int(cl.fd), c.buf)
		switch {
		case err == syscall.EAGAIN:
			return nil
		case err == syscall.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		if err := c.received(i, c.buf[:n]); err != nil || n < len(c.buf) {
			return err
		}
	}
}

// received takes what was read from a client's socket.
func (c *Crowd) received(i int, b []byte) error {
	cl := &c.clients[i]
	t := now()
	whole := b
	if len(cl.rest) > 0 {
		c.scratch = append(append(c.scratch[:0], cl.rest...), b...)
		whole = c.scratch
	}
	var rest []byte
	var err error
	if c.cfg.Protocol.polling() {
		rest, err = c.polled(i, whole, t)
	} else {
		rest, err = c.framed(i, whole, t)
	}
	cl.rest = append(cl.rest[:0], rest...)
	return err
}

// write sends a small request or frame: a socket always takes it, unless the
// server has stopped reading.
func (c *Crowd) write(cl *client, b []byte) error {
	if cl.tls != nil {
		_, err := cl.tls.Write(b)
		return err
	}
	n, err := syscall.Write(int(cl.fd), b)
	if err != nil {
		return err
	}
	if n < len(b) {
		return errors.New("the server does not read")
	}
	return nil
}

// beat sends the heartbeats that are due: in EIO3 it is the client who pings.
func (c *Crowd) beat(t int64) {
	if c.cfg.Protocol != EIO3 {
		return
	}
	for i := range c.clients {
		cl := &c.clients[i]
		if cl.state != joined || t-cl.beaten < int64(heartbeat) {
			continue
		}
		cl.beaten = t
		if err := c.write(cl, sayPing); err != nil {
			c.drop(i, err)
		}
	}
}
