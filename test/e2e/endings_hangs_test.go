package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// soon is how long an end may take that only strangers stand in the way of, or
// clients that do not answer: well before SHUTDOWN_TIMEOUT.
const soon = 10 * time.Second

// hangs are all of them.
func hangs() []hang {
	list := []hang{
		{"nothing", soon, nil},
		{"polling handshakes and nothing more", soon, func(e *ending) {
			for _, eio := range []int{3, 4} {
				ask(e.t, "GET", fmt.Sprintf("%s/socket.io/?EIO=%d&transport=polling", e.clientURL(), eio), "")
			}
		}},
		{"a poller that does not come back", soon, func(e *ending) { e.silentPoller() }},
		{"a poller that does not come back for its events", endingTime, func(e *ending) {
			e.silentPoller()
			e.flood(pooshDialect(3), "silent", nil, 10)
		}},
		{"hundreds of pollers that do not come back for their events", endingTime, func(e *ending) {
			const sessions = 200
			for range sessions {
				poll(e.t, e.server, "EIO=3").join("silent")
			}
			e.waitRoom(e.t, "silent", sessions)
			e.flood(pooshDialect(3), "silent", nil, 10)
		}},
		{"a webhook that never answers", endingTime, func(e *ending) { e.enterHooked("dead").Close() }},
		{"a kick that waits", soon, (*ending).waitingKick},
		{"a large answer that nobody reads", soon, (*ending).unreadScript},
		{"answers that nobody reads before a request of another kind", endingTime, (*ending).unreadPolls},
		{"handshakes that are half there", soon, func(e *ending) {
			for _, port := range e.ports() {
				e.say(port, string(plainHead("/", sampleKey))[:60])
				e.say(port, "")
			}
		}},
	}
	for name, path := range posted {
		for _, length := range []int{100, 100_000, 1_000_000} { // read on the loop, elsewhere, by net/http
			list = append(list, hang{fmt.Sprintf("a body of %d bytes that does not come on %s", length, name), soon, func(e *ending) {
				e.say(e.ports()[name], announced(path, length))
			}})
		}
	}
	for _, d := range dialects() {
		list = append(list,
			hang{d.name + ": a WebSocket that does not read", endingTime, func(e *ending) { e.unreadSocket(d) }},
			hang{d.name + ": a WebSocket that does not answer the close frame", soon, func(e *ending) { e.join(d, "mute") }},
		)
	}
	return list
}

// say opens a connection, says something, and nothing more.
func (e *ending) say(port int, text string) net.Conn {
	e.t.Helper()
	// Without room for answers that are not read.
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	c, err := d.Dial("tcp", addr(port))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		e.t.Fatal(err)
	}
	return c
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
	m.Conn.(*net.TCPConn).SetReadBuffer(4096)
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
