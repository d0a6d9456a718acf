//go:build linux

package load

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"poosh/server/loadtest"
)

// An API is how events are sent to a server.
type API int

// The APIs.
const (
	SendAPI       API = iota // POST /send with the token of the Node server Poosh
	PusherAPI                // signed requests to the app's events
	CentrifugoAPI            // POST /api/publish with a key
)

// request appends the request that sends a payload to a room.
func (a API) request(b []byte, host, secret, room string, p loadtest.Payload) []byte {
	switch a {
	case PusherAPI:
		return pusherRequest(b, host, secret, room, p)
	case CentrifugoAPI:
		return centrifugoRequest(b, host, secret, room, p)
	}
	return request(b, host, secret, room, p)
}

// A PublisherConfig says what publishers send, and where.
type PublisherConfig struct {
	Addr        netip.AddrPort
	Also        []netip.AddrPort // more nodes of the same cluster, to which each sends in turn
	API         API
	Secret      string // that they sign with
	Publishers  int    // each with one kept connection to each node, at most [loadtest.MaxPublishers]
	Rooms       Rooms  // that they send to, in turn
	PayloadSize int
	Timeout     time.Duration // longest wait for the next answer
	Progress    *Progress     // of publisher 0; may be nil
}

// Publishers send events, each one after the other over one kept connection to each
// node and each once the one before was answered. A server that ends a connection with its
// answer, and says so, gets another one. One thread serves them all.
type Publishers struct {
	cfg   PublisherConfig
	host  string
	epoll int
	timer int // descriptor of the clock of paced events
	list  []publisher
	run   Sent
	plan  plan
}

// A publisher is one connection to each node, of which it uses one at a time.
type publisher struct {
	fd      int   // the one in use
	nodes   []int // the descriptors of all
	node    int   // which of them is in use
	event   loadtest.Payload
	out     []byte // what the kernel has not taken of the request
	request []byte // scratch for the next
	answer  []byte // what has come of the answer
	sent    int    // events of this run
	waiting bool   // for an answer
}

// A plan is what a run sends, and when.
type plan struct {
	next, events int
	begin        int64
	interval     int64 // between two events, whoever sends them; zero for no pause
}

// late is how much later than its time a paced event may be sent without being
// counted.
const late = 5 * time.Millisecond

// Sent is what publishers did.
type Sent struct {
	Events int           // that were answered
	First  time.Duration // just before the first, on the clock of Tally.Last
	Last   time.Duration // when the last was answered
	Late   int           // paced events that the server's answers kept back
	Err    error
}

// NewPublishers connects publishers to the port where a server takes events. Close
// them.
func NewPublishers(cfg PublisherConfig) (*Publishers, error) {
	if cfg.Publishers < 1 || cfg.Publishers > loadtest.MaxPublishers {
		return nil, fmt.Errorf("%d publishers, want 1 to %d", cfg.Publishers, loadtest.MaxPublishers)
	}
	p := &Publishers{cfg: cfg, host: cfg.Addr.String(), epoll: -1, timer: -1, list: make([]publisher, cfg.Publishers)}
	for i := range p.list {
		p.list[i] = publisher{event: loadtest.NewPayload(cfg.PayloadSize)}
		for range 1 + len(cfg.Also) {
			p.list[i].nodes = append(p.list[i].nodes, -1)
		}
	}
	if err := p.connect(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Publishers) connect() (err error) {
	if p.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	for i := range p.list {
		for node := range p.list[i].nodes {
			p.list[i].use(node)
			if err := p.dial(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// use has a publisher talk to a node from now on. No answer may be due.
func (b *publisher) use(node int) { b.node, b.fd = node, b.nodes[node] }

// dial gives a publisher a connection in place of the one that it uses.
func (p *Publishers) dial(i int) error {
	b := &p.list[i]
	if b.fd >= 0 {
		_ = syscall.Close(b.fd)
	}
	fd, err := dialBlocking(node(p.cfg.Addr, p.cfg.Also, b.node), p.cfg.Timeout)
	b.fd, b.nodes[b.node] = fd, fd
	if err != nil {
		return err
	}
	return errors.Join(syscall.SetNonblock(fd, true), p.watch(fd, i, syscall.EPOLLIN|syscall.EPOLLOUT))
}

// watch has epoll tell of a descriptor by a number.
func (p *Publishers) watch(fd, number int, events uint32) error {
	const edge = 1 << 31 // EPOLLET
	ev := syscall.EpollEvent{Events: events | edge, Fd: int32(number)}
	if err := syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// Close ends the connections.
func (p *Publishers) Close() {
	for i := range p.list {
		for _, fd := range p.list[i].nodes {
			if fd >= 0 {
				_ = syscall.Close(fd)
			}
		}
	}
	for _, fd := range []int{p.timer, p.epoll} {
		if fd >= 0 {
			_ = syscall.Close(fd)
		}
	}
	p.list, p.timer, p.epoll = nil, -1, -1
}

// Run sends events next to next+events-1 of each publisher. Without an interval each
// is sent as the one before was answered. With one, an event is due each interval, of
// the publishers in turn, and its time is what latency is counted from: what a slow
// server keeps back is late for whoever waits for it. It is to run in a goroutine of
// its own, which it locks to its thread.
func (p *Publishers) Run(next, events int, interval time.Duration) Sent {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := now()
	p.plan = plan{next, events, begin, int64(interval)}
	p.run = Sent{First: time.Duration(begin)}
	for i := range p.list {
		p.list[i].sent = 0
	}
	if err := p.serve(); err != nil {
		p.run.Err = fmt.Errorf("publish: %w", err)
	}
	p.run.Last = time.Duration(now())
	return p.run
}

// timerNumber is what epoll tells of the clock by.
const timerNumber = loadtest.MaxPublishers

func (p *Publishers) serve() error {
	if err := p.startClock(); err != nil {
		return err
	}
	if err := p.sendDue(); err != nil {
		return err
	}
	ready := make([]syscall.EpollEvent, loadtest.MaxPublishers+1)
	last := now()
	for p.run.Events < p.plan.events*len(p.list) {
		n, err := syscall.EpollWait(p.epoll, ready, 1000)
		if err != nil && err != syscall.EINTR {
			return err
		}
		before := p.run.Events
		for _, ev := range ready[:max(n, 0)] {
			if ev.Fd == timerNumber {
				err = p.tick()
			} else {
				err = p.ready(int(ev.Fd))
			}
			if err != nil {
				return err
			}
		}
		switch t := now(); {
		case p.run.Events > before:
			last = t
		case t-last > int64(p.cfg.Timeout)+p.plan.interval:
			return fmt.Errorf("no answer for %v", p.cfg.Timeout)
		}
	}
	return nil
}

// tick takes the clock's word, without which it would say nothing again.
func (p *Publishers) tick() error {
	var ticks [8]byte
	if _, err := syscall.Read(p.timer, ticks[:]); err != nil && err != syscall.EAGAIN && err != syscall.EINTR {
		return fmt.Errorf("timer: %w", err)
	}
	return p.sendDue()
}

// sendDue sends the next event of each publisher who can and has one that is due.
func (p *Publishers) sendDue() error {
	for i := range p.list {
		if err := p.sendNext(i); err != nil {
			return err
		}
	}
	return nil
}

// sendNext sends the next event of a publisher if it is due.
func (p *Publishers) sendNext(i int) error {
	b := &p.list[i]
	if b.waiting || b.sent == p.plan.events {
		return nil
	}
	t := now()
	at := t
	if p.plan.interval > 0 {
		if at = p.plan.begin + int64(b.sent*len(p.list)+i)*p.plan.interval; at > t {
			return nil
		}
		if t-at > int64(late) {
			p.run.Late++
		}
	}
	n := p.plan.next + b.sent
	b.event.Set(at, i, n)
	b.use(p.cfg.Rooms.sentTo(n, len(b.nodes)))
	room := p.cfg.Rooms.nameFor(i, len(p.list), n)
	b.request = p.cfg.API.request(b.request[:0], p.host, p.cfg.Secret, room, b.event)
	b.out, b.answer, b.waiting = b.request, b.answer[:0], true
	b.sent++
	if i == 0 && p.cfg.Progress != nil {
		p.cfg.Progress.begun.Store(int32(n) + 1)
	}
	return b.write()
}

// ready serves a publisher whose socket has an answer or takes more of a request.
func (p *Publishers) ready(i int) error {
	b := &p.list[i]
	if err := b.write(); err != nil {
		return err
	}
	whole, err := b.read()
	if err != nil || !whole {
		return err
	}
	b.waiting = false
	if closes(b.answer) {
		if err := p.dial(i); err != nil {
			return err
		}
	}
	p.run.Events++
	if i == 0 && p.cfg.Progress != nil {
		p.cfg.Progress.answered.Store(int32(p.plan.next + b.sent))
	}
	return p.sendNext(i)
}

// write writes what is left of a request, as far as the kernel takes it.
func (b *publisher) write() error {
	for len(b.out) > 0 {
		n, err := syscall.Write(b.fd, b.out)
		switch err {
		case nil:
			b.out = b.out[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return nil
		default:
			return err
		}
	}
	return nil
}

// read reads what has come of an answer and reports whether it is whole. It must be
// of status 200.
func (b *publisher) read() (whole bool, err error) {
	for {
		if len(b.answer) == cap(b.answer) {
			b.answer = append(b.answer, make([]byte, 4<<10)...)[:len(b.answer)]
		}
		n, err := syscall.Read(b.fd, b.answer[len(b.answer):cap(b.answer)])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false, nil
		case err != nil:
			return false, err
		case n == 0:
			return false, fmt.Errorf("the server closed the connection after %q", b.answer)
		case !b.waiting:
			return false, errors.New("an answer without a question")
		}
		b.answer = b.answer[:len(b.answer)+n]
		switch _, need, err := nextResponse(b.answer); {
		case err != nil:
			return false, err
		case need == 0 || len(b.answer) < need:
			continue
		case len(b.answer) > need:
			return false, fmt.Errorf("more than an answer: %q", b.answer)
		}
		return true, nil
	}
}

// startClock has epoll tell when an event is due: epoll_wait(2) alone knows
// milliseconds only.
func (p *Publishers) startClock() error {
	if p.plan.interval == 0 && p.timer < 0 {
		return nil
	}
	const monotonic = 1 // CLOCK_MONOTONIC
	if p.timer < 0 {
		fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if errno != 0 {
			return fmt.Errorf("timer: %w", errno)
		}
		p.timer = int(fd)
		if err := p.watch(p.timer, timerNumber, syscall.EPOLLIN); err != nil {
			return err
		}
	}
	step := syscall.NsecToTimespec(p.plan.interval)
	spec := [2]syscall.Timespec{step, step} // struct itimerspec: the interval, the first
	_, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, uintptr(p.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("timer: %w", errno)
	}
	return nil
}

// Requests returns n signed requests of different payloads, for programs that
// only repeat what they are given.
func Requests(host netip.AddrPort, secret string, n, payloadSize int) [][]byte {
	p := loadtest.NewPayload(payloadSize)
	list := make([][]byte, n)
	for i := range list {
		p.Set(now(), 0, i)
		list[i] = request(nil, host.String(), secret, Room, p)
	}
	return list
}
