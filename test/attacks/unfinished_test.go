package attacks_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/auth"
)

// What has begun to arrive and does not end.
func TestUnfinished(t *testing.T) {
	tryAll(t, plentyFiles, []attack{
		{name: "frames of socket.io without their last bytes", run: unfinishedFrames, least: 500, holds: 16 << 20},
		{name: "fragments of socket.io without the last one", run: unfinishedFragments, least: 500, holds: 16 << 20},
		{name: "frames of Pusher without their last byte", run: unfinishedPusher, least: 500, holds: 16 << 20},
		{name: "frames of Socktopus without their last byte", run: unfinishedSocktopus, least: 500, holds: 16 << 20},
		{name: "POSTs of polling sessions without their last byte", run: unfinishedPosts, least: 500, holds: 16 << 20},
		{name: "bodies of send with a wrong token", run: unfinishedSends(strings.Repeat("5a", 20)), least: 600, holds: 16 << 20},
		{name: "bodies of send with no token that could be right", run: unfinishedSends("let me in"), least: 600, holds: 16 << 20},
		{name: "bodies of send beside large ones that end", run: unfinishedAndLarge, least: 600, holds: 16 << 20},
		{name: "bodies of Pusher's events beside large ones that end", run: unfinishedAndLargePusher, least: 600, holds: 16 << 20},
		{name: "bodies of send that come in chunks", run: unfinishedChunks, least: 600, holds: 8 << 20},
		{name: "bodies of the other senders without a signature", run: unfinishedBodies, least: 100, holds: 16 << 20},
		{name: "heads that do not end", run: unfinishedHeads, least: 500},
		{name: "heads that come a byte at a time", run: slowHeads, least: 500, settings: []string{"HEADER_TIMEOUT=2s"}, whole: true},
		{name: "heads of many lines", run: largeHeads, least: 100},
		{name: "rooms with long names", run: longRooms, least: 400, during: roomsAreRefused, settings: []string{"ROOM_BYTES=16MiB"}},
		// Each connection that is not refused adds a quarter of a megabyte.
		{name: "channels with long names", run: longChannels, least: 400, time: 4 * time.Second, memory: 150 << 20, settings: []string{"ROOM_BYTES=32MiB"}},
		{name: "events before a client is in the namespace", run: earlyEvents, least: 100},
	})
}

// packetBytes is the default of MAX_PACKET_BYTES.
const packetBytes = 100 << 10

func unfinishedFrames(a *assault) {
	b := frame(opText|opFinal, packetBytes-10, strings.Repeat("x", packetBytes-20))
	a.sockets(1000, a.s.clientPort, socketIO4, func(c *conn, _ int) error {
		_, err := c.Write(b)
		return err
	})
}

func unfinishedFragments(a *assault) {
	b := frame(opText, 30_000, strings.Repeat("x", 30_000))
	more := frame(opContinuation, 30_000, strings.Repeat("x", 30_000))
	a.sockets(1000, a.s.clientPort, socketIO4, func(c *conn, _ int) error {
		_, err := c.Write(append(append([]byte(nil), b...), strings.Repeat(string(more), 2)...))
		return err
	})
}

// sockets opens WebSockets, a few from each address, says something on each, and holds
// them.
func (a *assault) sockets(n, port int, target string, say func(c *conn, i int) error) {
	a.together(n, 64, func(i int) error {
		c, err := a.webSocket(port, from(i/5), target)
		if err != nil {
			return err
		}
		return say(c, i)
	})
	a.hold()
}

func unfinishedPusher(a *assault) {
	b := frame(opText|opFinal, 65_000, strings.Repeat("x", 64_999))
	a.sockets(1000, a.s.pusherPort, pusherTarget, func(c *conn, _ int) error {
		_, err := c.Write(b)
		return err
	})
}

// unfinishedSocktopus has tokens, as a page gives them to everybody who looks at it.
func unfinishedSocktopus(a *assault) {
	b := frame(opText|opFinal, 65_000, strings.Repeat("x", 64_999))
	a.together(1000, 64, func(i int) error {
		token := auth.NewSocktopus(socktopusName, socktopusSecret, fmt.Sprint("stranger", i), time.Now())
		c, err := a.webSocket(a.s.socktopusPort, from(i/5), "/recieve?token="+token)
		if err == nil {
			_, err = c.Write(b)
		}
		return err
	})
	a.hold()
}

func unfinishedPosts(a *assault) {
	body := strings.Repeat("x", packetBytes-1)
	a.together(1000, 64, func(i int) error {
		c, err := a.dial(a.s.clientPort, from(i/5))
		if err != nil {
			return err
		}
		target, err := c.poll(4)
		if err == nil {
			_, err = io.WriteString(c, request(target, "Content-Type: text/plain;charset=UTF-8\r\n", packetBytes)+body)
		}
		return err
	})
	a.hold()
}

// requests opens connections, a few from each address, writes to each, and holds them.
func (a *assault) requests(n int, write func(i int) (port int, text string)) {
	a.together(n, 64, func(i int) error {
		port, text := write(i)
		c, err := a.dial(port, from(i/5))
		if err == nil {
			_, err = io.WriteString(c, text)
		}
		return err
	})
	a.hold()
}

// bodyBytes is the default of MAX_BODY_BYTES.
const bodyBytes = 102_400

func unfinishedSends(token string) func(*assault) {
	text := request("/send", jsonType+"Authorization: "+token+"\r\n", bodyBytes) + strings.Repeat(" ", bodyBytes-1)
	return func(a *assault) {
		a.requests(600, func(int) (int, string) { return a.s.serverPort, text })
	}
}

// unfinishedAndLarge is all that there is of room for what senders send, while a good
// one sends as much in one event as it may.
func unfinishedAndLarge(a *assault) {
	text := request("/send", jsonType+"Authorization: "+strings.Repeat("5a", 20)+"\r\n", bodyBytes) + strings.Repeat(" ", bodyBytes-1)
	a.beside(1000, a.s.serverPort, text, func(c *http.Client) error {
		return (pooshDialect{a.s}).sendPayload(c, "large", `"`+strings.Repeat("x", 90_000)+`"`)
	})
}

func unfinishedAndLargePusher(a *assault) {
	const large = 250_000
	text := request("/apps/"+pusherID+"/events?auth_key="+pusherKey+"&auth_version=1.0", jsonType, large) + strings.Repeat(" ", large-1)
	channels := `"` + strings.Join(slices.Repeat([]string{strings.Repeat("c", 160)}, 90), `","`) + `"`
	event := `{"name":"n","channels":[` + channels + `],"data":"` + strings.Repeat("x", 9_000) + `"}`
	a.beside(1000, a.s.pusherPort, text, func(c *http.Client) error {
		_, err := (pusherDialect{a.s}).call(c, "/events", event)
		return err
	})
}

// beside has a good sender send again and again while strangers' requests do not end.
func (a *assault) beside(n, port int, unfinished string, send func(*http.Client) error) {
	var all sync.WaitGroup
	all.Go(func() { // ends with a's time
		a.requests(n, func(int) (int, string) { return port, unfinished })
	})
	c := newSender()
	defer c.CloseIdleConnections()
	for a.ctx.Err() == nil {
		if err := send(c); err != nil {
			a.t.Errorf("a large send: %v", err)
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	all.Wait()
}

func unfinishedChunks(a *assault) {
	text := "POST /send HTTP/1.1\r\nHost: attacks\r\n" + jsonType + "Authorization: " + strings.Repeat("5a", 20) +
		"\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", bodyBytes) + strings.Repeat(" ", bodyBytes-1)
	a.requests(600, func(int) (int, string) { return a.s.serverPort, text })
}

func unfinishedBodies(a *assault) {
	const large = 1 << 20
	blanks := strings.Repeat(" ", large-1)
	targets := []struct {
		port int
		text string
	}{
		{a.s.pusherPort, request("/apps/"+pusherID+"/events?auth_key="+pusherKey+"&auth_version=1.0", jsonType, large)},
		{a.s.pusherPort, request("/apps/"+pusherID+"/batch_events", jsonType, large)},
		{a.s.socktopusPort, request("/send", jsonType, large)},
		{a.s.socktopusPort, request("/kick", jsonType, large)},
		{a.s.pushPort, request("/api/v1/message/", jsonType, 100_000)},
		{a.s.pushPort, request("/socket.io/?EIO=4&transport=polling&sid=none", "", large)},
		{a.s.clientPort, request("/", jsonType, large)},
	}
	a.requests(700, func(i int) (int, string) {
		x := targets[i%len(targets)]
		return x.port, x.text + blanks
	})
}

// allPorts has each port in turn.
func (a *assault) allPorts(i int) int {
	ports := a.s.ports()
	return *ports[i%len(ports)]
}

func unfinishedHeads(a *assault) {
	text := "GET /" + strings.Repeat("x", 8_000) + " HTTP/1.1\r\nHost: attacks\r\nCookie: " + strings.Repeat("y", 3_900)
	a.requests(1500, func(i int) (int, string) { return a.allPorts(i), text })
}

// slowHeads write a byte of a head every 50 ms. The time for a head is over meanwhile,
// and then they are gone although they still write.
func slowHeads(a *assault) {
	const n = 500
	a.together(n, n, func(i int) error {
		c, err := a.dial(a.allPorts(i), from(i/5))
		if err != nil {
			return err
		}
		text := "GET / HTTP/1.1\r\nX: "
		if i%2 > 0 {
			text = "GET /events?room=r HTTP/1.1\r\nLast-Event-ID: "
		}
		return a.trickle(c, []byte(strings.Repeat(text, 100)))
	})
	if still := a.done.Load(); still > 0 {
		a.t.Errorf("%d of %d heads were waited for longer than HEADER_TIMEOUT", still, n)
	}
}

// trickle writes a byte every 50 ms, until it may not.
func (a *assault) trickle(c io.Writer, text []byte) error {
	for _, b := range text {
		if _, err := c.Write([]byte{b}); err != nil {
			return fmt.Errorf("closed: %w", err)
		}
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func largeHeads(a *assault) {
	text := "GET / HTTP/1.1\r\nHost: attacks\r\n" + strings.Repeat("X-A: b\r\n", 20_000)
	a.requests(500, func(i int) (int, string) { return a.allPorts(i), text })
}

// longRooms are in as many rooms as a client may be, each with a name of its own.
func longRooms(a *assault) {
	name := strings.Repeat("r", 470)
	a.sockets(1000, a.s.clientPort, socketIO4, func(c *conn, i int) error {
		b := text("40")
		for n := range 200 {
			b = append(b, text(fmt.Sprintf(`42["room","%s%06d.%06d"]`, name, i, n))...)
		}
		_, err := c.Write(b)
		return err
	})
}

func roomsAreRefused(a *assault, st status) {
	for end := time.Now().Add(patience); ; st = a.s.status() { // until it has come so far with what it was sent
		refused, used := st.count(a.t, "rooms_refused"), st.count(a.t, "room_bytes")
		if used > 16<<20 {
			a.t.Errorf("%d bytes are in use for rooms", used)
		}
		if refused > 0 || used > 16<<20 {
			return
		}
		if time.Now().After(end) {
			a.t.Errorf("%d bytes are in use for rooms, and none was refused", used)
			return
		}
	}
}

func longChannels(a *assault) {
	name := strings.Repeat("c", 150)
	a.sockets(2500, a.s.pusherPort, pusherTarget, func(c *conn, i int) error {
		var b []byte
		for n := range 200 {
			b = append(b, text(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"%s%06d.%06d"}}`, name, i, n))...)
		}
		_, err := c.Write(b)
		return err
	})
}

// earlyEvents wait for a namespace that their client does not join.
func earlyEvents(a *assault) {
	event := string(text(`42["room","` + strings.Repeat("r", 60_000) + `"]`))
	a.sockets(400, a.s.clientPort, socketIO4, func(c *conn, i int) error {
		_, err := c.Write([]byte(strings.Repeat(event, 16)))
		return err
	})
}
