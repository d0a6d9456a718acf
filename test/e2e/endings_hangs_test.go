package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"poosh/server/certificate/certificatetest"
)

// soon is how long an end may take that only strangers stand in the way of, or
// clients that do not answer: well before SHUTDOWN_TIMEOUT.
const soon = 10 * time.Second

// hangs are all of them.
func hangs() []hang {
	list := []hang{
		{name: "nothing", limit: soon},
		{name: "polling handshakes and nothing more", limit: soon, begin: func(e *ending) {
			for _, eio := range []int{3, 4} {
				ask(e.t, "GET", fmt.Sprintf("%s/socket.io/?EIO=%d&transport=polling", e.clientURL(), eio), "")
			}
		}},
		{name: "a poller that does not come back", limit: soon, begin: func(e *ending) { e.silentPoller() }},
		{name: "a poller that does not come back for its events", limit: endingTime, begin: func(e *ending) {
			e.silentPoller()
			e.flood(pooshDialect(3), "silent", nil, 10)
		}},
		{name: "many pollers that do not come back for their events", limit: endingTime, begin: func(e *ending) { e.absentPollers(300) }},
		{name: "a webhook that never answers", limit: endingTime, begin: func(e *ending) { e.enterHooked("dead").Close() }},
		{name: "a kick that waits", limit: soon, begin: (*ending).waitingKick},
		{name: "a large answer that nobody reads", limit: soon, begin: (*ending).unreadScript},
		{name: "answers that nobody reads before a request of another kind", limit: endingTime, begin: (*ending).unreadPolls},
		{name: "handshakes that are half there", limit: soon, begin: func(e *ending) {
			for _, port := range e.ports() {
				e.say(port, string(plainHead("/", sampleKey))[:60])
				e.say(port, "")
			}
		}},
		{name: "halves of events that would be taken", limit: soon, begin: (*ending).halfEvents},
		{name: "over TLS: nothing", limit: soon, tls: true},
		{name: "over TLS: peers in the middle of a handshake", limit: soon, tls: true, begin: (*ending).halfHandshakes},
		{name: "over TLS: halves of heads and of events", limit: soon, tls: true, begin: func(e *ending) {
			for _, port := range e.ports() {
				e.say(port, string(plainHead("/", sampleKey))[:60])
				e.say(port, "")
			}
			e.halfEvents()
		}},
		{name: "over TLS: many pollers that do not come back for their events", limit: endingTime, tls: true, begin: func(e *ending) { e.absentPollers(100) }},
		{name: "over TLS: a large answer that nobody reads", limit: soon, tls: true, begin: (*ending).unreadScript},
	}
	for where, overTLS := range map[string]bool{"": false, "over TLS: ": true} {
		list = append(list,
			hang{name: where + "streams of events that are not read", limit: endingTime, tls: overTLS, begin: (*ending).unreadStreams},
			hang{name: where + "streams of events whose clients do not go", limit: soon, tls: overTLS, begin: (*ending).muteStreams},
			hang{name: where + "halves of requests for events", limit: soon, tls: overTLS, begin: func(e *ending) {
				e.say(e.clientPort, "GET /events?room=r HTTP/1.1\r\nHost: e2e.example\r\nLast-Event")
			}},
		)
	}
	for _, length := range []int{100, 100_000, 1_000_000} { // read on the loop, elsewhere, by net/http
		list = append(list, hang{name: fmt.Sprintf("bodies of %d bytes that do not come", length), limit: soon, begin: func(e *ending) {
			for name, path := range posted {
				e.say(e.ports()[name], announced(path, length, "{"))
			}
		}})
	}
	for _, d := range dialects() {
		list = append(list,
			hang{name: d.name + ": a WebSocket that does not read", limit: endingTime, begin: func(e *ending) { e.unreadSocket(d) }},
			hang{name: d.name + ": a WebSocket that does not answer the close frame", limit: soon, begin: func(e *ending) { e.join(d, "mute") }},
		)
	}
	d := pooshDialect(4) // below the dialects all are one
	return append(list,
		hang{name: "over TLS: a WebSocket that does not read", limit: endingTime, tls: true, begin: func(e *ending) { e.unreadSocket(d) }},
		hang{name: "over TLS: a WebSocket that does not answer the close frame", limit: soon, tls: true, begin: func(e *ending) { e.join(d, "mute") }},
	)
}

// dial opens a connection without room for answers that are not read.
func (e *ending) dial(port int) net.Conn {
	e.t.Helper()
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", addr(port))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	return c
}

// say opens a connection, over TLS where the port speaks it, says something, and nothing more.
func (e *ending) say(port int, text string) net.Conn {
	e.t.Helper()
	c := e.dial(port)
	if e.trusts != nil && port != e.serverPort {
		over := tls.Client(c, e.trusts)
		if err := over.Handshake(); err != nil {
			e.t.Fatal(err)
		}
		c = over
	}
	if _, err := io.WriteString(c, text); err != nil {
		e.t.Fatal(err)
	}
	return c
}

// halfHandshakes are peers that stop at each point of a handshake.
func (e *ending) halfHandshakes() {
	hello := certificatetest.Hello(e.t, e.trusts)
	for _, port := range e.ports() {
		if port == e.serverPort {
			continue
		}
		for _, said := range [][]byte{nil, hello[:3], hello[:len(hello)/2], hello} {
			if _, err := e.dial(port).Write(said); err != nil {
				e.t.Fatal(err)
			}
		}
	}
}

// halfEvents are waited for: they are signed, or what they are signed with has not come.
func (e *ending) halfEvents() {
	e.t.Helper()
	var all []net.Conn
	for _, name := range []string{"PUSHER_PORT", "SOCKTOPUS_PORT"} {
		for _, length := range []int{100, 100_000, 900_000} { // read on the loop, elsewhere, by net/http
			all = append(all, e.say(e.ports()[name], halfEvent(name, length)))
		}
	}
	time.Sleep(200 * time.Millisecond) // in which an answer would have come to any of them
	for i, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // one that is over reads nothing, even of what is there
		b := make([]byte, 200)
		if n, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			e.t.Fatalf("half %d is answered %q, %v: nobody waits for the rest", i, b[:n], err)
		}
	}
}

// absentPollers are sessions over polling that have joined a room, have gone, and do not come
// back for what is sent to it.
func (e *ending) absentPollers(n int) {
	e.t.Helper()
	var joining sync.WaitGroup
	for worker := range 4 {
		joining.Go(func() {
			for i := worker; i < n; i += 4 {
				p := newBrowserPoller(e.fourfold, i%2, 3+i/2%2)
				err := p.join("absent")
				p.close()
				if err != nil {
					e.t.Errorf("%s: %v", p, err)
					return
				}
			}
		})
	}
	joining.Wait()
	e.waitRoom(e.t, "absent", n)
	e.flood(pooshDialect(3), "absent", nil, 3)
}

// join lets one more client in, which does nothing.
func (e *ending) join(d *dialect, room string) *member {
	e.t.Helper()
	m, err := d.enter(e.fourfold, kinds()[1], room)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { m.Close() })
	return m
}

// flood sends events of 10 KB to a room that somebody is in.
func (e *ending) flood(d *dialect, room string, members []*member, events int) {
	e.t.Helper()
	c := &gathering{f: e.fourfold, d: d, room: room, members: members}
	for n := 1; n <= events; n++ {
		if err := c.publish(eventText(0, n, 10_000)); err != nil {
			e.t.Fatal(err)
		}
	}
}

// silentPoller is a session over polling that has joined a room.
func (e *ending) silentPoller() {
	e.t.Helper()
	p := poll(e.t, e.server, "EIO=3")
	p.join("silent")
	e.waitRoom(e.t, "silent", 1)
	p.get() // what waitRoom sent
}

// unreadSocket is a WebSocket with events in its outbox that it does not read.
func (e *ending) unreadSocket(d *dialect) {
	e.t.Helper()
	m := e.join(d, "unread")
	socketOf(m.Conn).SetReadBuffer(4096)
	if strings.HasPrefix(d.name, "Poosh") {
		e.waitRoom(e.t, "unread", 1)
	}
	n := 0
	eventually(e.t, patience, "bytes to wait for a client that does not read", func() bool {
		n += 20
		e.flood(d, "unread", []*member{m}, 20)
		return e.numbers(e.t)["stuck_bytes"] > 0
	})
}

// unreadStreams are streams with events in their outboxes that they do not read.
func (e *ending) unreadStreams() {
	e.t.Helper()
	for _, s := range listeners(e.t, e.fourfold, "unread", 1) {
		socketOf(s.Conn).SetReadBuffer(4096)
	}
	eventually(e.t, patience, "bytes to wait for streams that are not read", func() bool {
		e.flood(pooshDialect(3), "unread", nil, 20)
		return e.numbers(e.t)["stuck_bytes"] > 0
	})
}

// muteStreams have nothing more to read, are told of the end, and neither read that nor go.
func (e *ending) muteStreams() { listeners(e.t, e.fourfold, "mute", 1) }

// waitingKick is a request to /kick that is not answered yet: that takes as long as
// the token of who is kicked lives.
func (e *ending) waitingKick() {
	e.t.Helper()
	d := socktopusDialect()
	m := e.join(d, "")
	type result struct {
		a   answer
		err error
	}
	answered := make(chan result, 1)
	go func() { // ends with the answer, or the process
		a, err := postJSON("http://"+addr(e.socktopusPort)+"/kick",
			`{"secretName":"`+socktopusName+`","secret":"`+socktopusSecret+`","connections":["`+m.id+`"]}`)
		answered <- result{a, err}
	}()
	// Nobody comes in by that id while it waits, not with a new token either.
	eventually(e.t, patience, "the kick to wait", func() bool {
		return ask(e.t, "GET", "http://"+addr(e.socktopusPort)+"/receive?token="+socktopusToken(m.id), "").status == 403
	})
	e.after = append(e.after, func() {
		if r := <-answered; r.err != nil || r.a.status != 200 {
			e.t.Errorf("the kick is answered %d %q, %v; want 200", r.a.status, r.a.body, r.err)
		}
	})
}

// unreadScript asks for more than the kernel holds and does not read it: net/http
// writes it.
func (e *ending) unreadScript() {
	c := e.say(e.clientPort, "")
	for range 3 {
		if _, err := io.WriteString(c, "GET /socket.io/socket.io.js HTTP/1.1\r\nHost: e2e.example\r\n\r\n"); err != nil {
			e.t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond) // until the answer is under way; nothing tells
}

// unreadPolls has large answers wait on a connection that is net/http's next.
func (e *ending) unreadPolls() {
	const sessions, events = 12, 90
	var requests []string
	for range sessions {
		p := poll(e.t, e.server, "EIO=3")
		p.join("unread")
		requests = append(requests, "GET "+strings.TrimPrefix(p.url, e.clientURL())+" HTTP/1.1\r\nHost: e2e.example\r\n\r\n")
	}
	e.waitRoom(e.t, "unread", sessions)
	e.flood(pooshDialect(3), "unread", nil, events)
	c := e.say(e.clientPort, "")
	eventually(e.t, patience, "an answer to wait: the kernel does not take a dozen of a megabyte", func() bool {
		if len(requests) > 0 {
			if _, err := io.WriteString(c, requests[0]); err != nil {
				e.t.Fatal(err)
			}
			requests = requests[1:]
			time.Sleep(100 * time.Millisecond) // until it is answered; nobody reads that
		}
		return e.numbers(e.t)["stuck_bytes"] > 0
	})
	if _, err := io.WriteString(c, "GET /robots.txt HTTP/1.1\r\nHost: e2e.example\r\n\r\n"); err != nil {
		e.t.Fatal(err)
	}
}
