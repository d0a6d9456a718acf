//go:build linux

package load

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"
)

// A Publisher sends events one after the other over one kept connection, each
// once the one before was answered.
type Publisher struct {
	fd     int
	host   string
	to     Protocol
	secret string
	number int // among the publishers of a run
	event  payload
	buf    []byte
	answer []byte
}

// late is how much later than its time a paced event may be sent without being
// counted.
const late = 5 * time.Millisecond

// NewPublisher connects publisher number (from 0) to the port where a server takes
// events for clients of a protocol. Calls wait for answers up to timeout. Close it.
func NewPublisher(to netip.AddrPort, clients Protocol, secret string, number, payloadSize int, timeout time.Duration) (*Publisher, error) {
	fd, err := dialBlocking(to, timeout)
	if err != nil {
		return nil, err
	}
	return &Publisher{
		fd: fd, host: to.String(), to: clients, secret: secret, number: number,
		event: newPayload(payloadSize), answer: make([]byte, 4<<10),
	}, nil
}

// Close ends the connection.
func (p *Publisher) Close() { _ = syscall.Close(p.fd) }

// Send publishes event n and waits for the answer, which must be 200.
func (p *Publisher) Send(n int) error {
	p.event.set(now(), p.number, n)
	if p.to == Pusher {
		p.buf = pusherRequest(p.buf[:0], p.host, p.secret, p.event)
	} else {
		p.buf = request(p.buf[:0], p.host, p.secret, p.event)
	}
	for b := p.buf; len(b) > 0; {
		wrote, err := syscall.Write(p.fd, b)
		if err != nil && err != syscall.EINTR {
			return fmt.Errorf("publish: %w", err)
		}
		b = b[max(wrote, 0):]
	}
	got := 0
	for {
		n, err := syscall.Read(p.fd, p.answer[got:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("publish: the server closed the connection after %q", p.answer[:got])
		}
		got += n
		if !bytes.Contains(p.answer[:got], []byte("\r\n\r\n")) && got < len(p.answer) {
			continue
		}
		if body, need, err := nextResponse(p.answer[:got]); err != nil {
			return fmt.Errorf("publish: %w", err)
		} else if need > 0 && len(body) == 0 && got < need {
			continue
		}
		return nil
	}
}

// Sent is what a publisher did.
type Sent struct {
	Events int
	First  time.Duration // just before the first, on the clock of Tally.Last
	Last   time.Duration // when the last was answered
	Late   int           // paced events that the server's answers kept back
	Err    error
}

// Run sends events next to next+events-1, each interval after the one before, or
// at once when that is zero, and sends the result to done. It is to run in a
// goroutine of its own, which it locks to its thread.
func (p *Publisher) Run(next, events int, interval time.Duration, done chan<- Sent) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := Sent{First: time.Duration(now())}
	begin := time.Now()
	for i := range events {
		if interval > 0 {
			due := begin.Add(time.Duration(i) * interval)
			time.Sleep(time.Until(due))
			if time.Since(due) > late {
				s.Late++
			}
		}
		if s.Err = p.Send(next + i); s.Err != nil {
			break
		}
		s.Events++
	}
	s.Last = time.Duration(now())
	done <- s
}

// Requests returns n signed requests of different payloads, for programs that
// only repeat what they are given.
func Requests(host netip.AddrPort, secret string, n, payloadSize int) [][]byte {
	p := newPayload(payloadSize)
	list := make([][]byte, n)
	for i := range list {
		p.set(now(), 0, i)
		list[i] = request(nil, host.String(), secret, p)
	}
	return list
}
