package attacks_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Streams of GET /events, and the same over TLS; see TestHistory for those that ask for what is kept.
func TestStreams(t *testing.T) {
	for where, overTLS := range map[string]bool{"": false, "over TLS: ": true} {
		tryAll(t, plentyFiles, []attack{
			{name: where + "streams whose events are not read", tls: overTLS, run: unreadRoom, least: crowd, whole: true, during: anyQueued},
			{name: where + "streams that are read a byte at a time", tls: overTLS, run: slowRoom, least: crowd, whole: true, during: anyQueued},
		})
	}
	kept := []string{"HISTORY=10m", "OUTBOX_BYTES=16MiB"}
	tryAll(t, plentyFiles, []attack{
		{name: "over TLS: streams of all that is kept, not read", tls: true, run: unreadStreams, least: 50, before: fillRooms(50), during: queued(16 << 20), time: 3 * time.Second, settings: kept},
		{name: "over TLS: handshakes that stop, with a request for events behind them", tls: true, run: cutHandshakes, least: 500, during: cutOff, settings: []string{"HEADER_TIMEOUT=2s"}},
		{name: "over TLS: streams that are silent in the middle of a record", tls: true, run: silentInRecord, least: crowd, whole: true, during: anyQueued},
	})
}

// crowd is how many streams of a room strangers have. Their sockets hold megabytes each.
const crowd = 150

// unreadRoom are streams in a room of large events, and none is read.
func unreadRoom(a *assault) {
	a.together(crowd, 64, func(i int) error {
		c, err := a.stream(from(i/20), "room=large", "")
		if err == nil {
			err = c.hears("poosh:connected")
		}
		return err
	})
	a.fillStreams()
}

// fillStreams has a good sender send large events to the strangers' room, until something waits
// in the server for which their sockets have no room, and a little longer.
func (a *assault) fillStreams() {
	payload := `"` + strings.Repeat("x", 90_000) + `"`
	c := newSender()
	defer c.CloseIdleConnections()
	waits := func() bool {
		st := a.s.status()
		return st.count(a.t, "stuck_bytes") > 1<<20 || st.count(a.t, "closed_slow") > 0
	}
	for a.ctx.Err() == nil {
		_ = (pooshDialect{a.s}).sendPayload(c, "large", payload) // it may be told to wait, and does
		if !waits() {
			continue
		}
		if time.Sleep(later); waits() { // and not for a moment
			return
		}
	}
}

// slowRoom are streams in a room of large events, each read by a byte every 50 ms: it is never
// quite silent.
func slowRoom(a *assault) {
	var reading sync.WaitGroup
	over := make(chan struct{})
	defer func() {
		close(over)
		reading.Wait()
	}()
	a.together(crowd, 64, func(i int) error {
		c, err := a.stream(from(i/20), "room=large", "")
		if err == nil {
			err = c.hears("poosh:connected")
		}
		if err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(patience))
		reading.Go(func() { // ends with c, or with over
			for {
				if _, err := c.in.ReadByte(); err != nil {
					return
				}
				select {
				case <-over:
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
		return nil
	})
	a.fillStreams()
}

// anyQueued wants something to wait, or slow readers are no attack.
func anyQueued(a *assault, st status) {
	if st.count(a.t, "stuck_bytes") == 0 && st.count(a.t, "closed_slow") == 0 {
		a.t.Error("nothing waits for who reads slowly, and nobody was closed for it: it shows nothing")
	}
}

// A cut connection hands on what is written until its own end, and then nothing.
type cut struct {
	net.Conn
	writes int // that are handed on as a whole; of the next it is half
}

func (c *cut) Write(b []byte) (int, error) {
	switch c.writes--; {
	case c.writes >= 0:
		return c.Conn.Write(b)
	case c.writes == -1:
		if _, err := c.Conn.Write(b[:len(b)/2]); err != nil {
			return 0, err
		}
	}
	return len(b), nil // as far as TLS knows
}

// cutHandshakes make the first half of what comes behind the hello, or all of it and half of
// the record with a request for events, and then are silent.
func cutHandshakes(a *assault) {
	a.together(1200, 64, func(i int) error {
		_, err := a.cutStream(from(i/5), 1+i%2)
		return err
	})
	a.hold()
}

// cutOff waits until none of them is waited for any more.
func cutOff(a *assault, st status) {
	const others = 100 // who do nothing wrong have fewer
	for end := time.Now().Add(patience); st.count(a.t, "connections") > others; st = a.s.status() {
		if time.Now().After(end) {
			a.t.Errorf("%d connections are waited for longer than HEADER_TIMEOUT", st.count(a.t, "connections"))
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// cutStream asks for events, on a connection of which so many writes of TLS are handed on, and
// half of the next.
func (a *assault) cutStream(from string, writes int) (*conn, error) {
	c, err := a.socket(a.s.clientPort, from)
	if err != nil {
		return nil, err
	}
	over := tls.Client(&cut{Conn: c.Conn, writes: writes}, a.s.trusts)
	if err := over.HandshakeContext(a.ctx); err != nil {
		return nil, err
	}
	stream := &conn{over, bufio.NewReaderSize(over, 512), a}
	_, err = stream.Write([]byte(events("room=large", "")))
	return stream, err
}

// silentInRecord are streams of a room of large events whose clients say half a record more, and
// then read nothing.
func silentInRecord(a *assault) {
	a.together(crowd, 64, func(i int) error {
		c, err := a.cutStream(from(i/5), 3)
		if err == nil {
			err = c.hears("poosh:connected")
		}
		if err == nil {
			_, err = c.Write([]byte("half of this is said"))
		}
		return err
	})
	a.fillStreams()
}
