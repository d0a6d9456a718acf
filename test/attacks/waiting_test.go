package attacks_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What waits to be written to those who do not read.
func TestNobodyReads(t *testing.T) {
	tryAll(t, plentyFiles, []attack{
		{name: "posted pings whose answers are not fetched", run: postedPings, least: 120, time: 3 * time.Second, memory: 256 << 20},
		{name: "pings of socket.io whose answers are not read", run: unreadPings(text("2")), least: 60},
		{name: "pings of WebSocket whose answers are not read", run: unreadPings(frame(opPing|opFinal, 0, "")), least: 60},
		{name: "pings of Pusher whose answers are not read", run: unreadPusherPings, least: 60},
		{name: "refusals of namespaces that are not read", run: unreadPings(text("40/" + strings.Repeat("n", 400) + ",")), least: 60},
		{name: "answers to polls that are not read", run: unreadPolls, least: 750, time: 5 * time.Second},
		{name: "rooms whose events are not read", run: unreadEvents, least: 500, time: 5 * time.Second},
		{name: "the client script that is not read", run: unreadScript, least: 100, settings: []string{largeScript(t)}},
		{name: "requests behind requests whose answers are not read", run: unreadAnswers, least: 100},
	})
}

// largeScript is the setting of a client script of 5 MiB.
func largeScript(t *testing.T) string {
	script := filepath.Join(t.TempDir(), "socket.io.js")
	if err := os.WriteFile(script, []byte(strings.Repeat("0123456789abcde\n", 5<<20/16)), 0o600); err != nil {
		t.Fatal(err)
	}
	return "CLIENT_SCRIPT=" + script
}

// postedPings are sessions over polling that post as many pings as a payload may have
// and fetch no answer.
func postedPings(a *assault) {
	body := strings.Repeat("1:2", 9_999)
	a.together(120, 120, func(i int) error {
		c, err := a.dial(a.s.clientPort, from(i/2))
		if err != nil {
			return err
		}
		target, err := c.poll(3)
		if err != nil {
			return err
		}
		for a.ctx.Err() == nil {
			status, _, err := c.ask(request(target, "Content-Type: text/plain;charset=UTF-8\r\n", len(body)) + body)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				return nil
			case err != nil:
				return err
			case status != 200:
				return fmt.Errorf("status %d", status)
			}
		}
		return nil
	})
}

// unreadPings writes one frame again and again on sessions of socket.io.
func unreadPings(frame []byte) func(*assault) {
	return func(a *assault) {
		many := []byte(strings.Repeat(string(frame), 32<<10/len(frame)))
		a.together(60, 60, func(i int) error {
			c, err := a.webSocket(a.s.clientPort, from(i), socketIO3)
			if err != nil {
				return err
			}
			return c.flood(many)
		})
	}
}

func unreadPusherPings(a *assault) {
	many := []byte(strings.Repeat(string(text(`{"event":"pusher:ping","data":{}}`)), 800))
	a.together(60, 60, func(i int) error {
		c, err := a.webSocket(a.s.pusherPort, from(i), pusherTarget)
		if err != nil {
			return err
		}
		return c.flood(many)
	})
}

// unreadPolls are sessions over polling that ask for what comes to a room of large
// events, and do not read what they asked for.
func unreadPolls(a *assault) {
	var sending sync.WaitGroup
	sending.Go(func() { sendLarge(a) }) // ends with a's time
	defer sending.Wait()
	a.together(750, 64, func(i int) error {
		c, err := a.dial(a.s.clientPort, from(i/20))
		if err != nil {
			return err
		}
		target, err := c.poll(4)
		if err != nil {
			return err
		}
		packets := "40\x1e" + `42["room","large"]`
		if status, _, err := c.ask(request(target, "Content-Type: text/plain;charset=UTF-8\r\n", len(packets)) + packets); err != nil || status != 200 {
			return fmt.Errorf("status %d: %w", status, err)
		}
		// One poll behind the other, so that something is asked for whenever something comes.
		_, err = c.Write([]byte(strings.Repeat("GET "+target+" HTTP/1.1\r\nHost: attacks\r\n\r\n", 20)))
		return err
	})
}

// unreadEvents are WebSockets in a room of large events.
func unreadEvents(a *assault) {
	a.together(500, 64, func(i int) error {
		c, err := a.webSocket(a.s.clientPort, from(i/20), socketIO4)
		if err == nil {
			_, err = c.Write(append(text("40"), text(`42["room","large"]`)...))
		}
		return err
	})
	sendLarge(a)
}

// sendLarge has a good sender send large events to the strangers' room until the time
// is over. It may be told to wait, and does.
func sendLarge(a *assault) {
	payload := `"` + strings.Repeat("x", 90_000) + `"`
	c := newSender()
	defer c.CloseIdleConnections()
	sent, last := 0, error(nil)
	for a.ctx.Err() == nil {
		if err := (pooshDialect{a.s}).sendPayload(c, "large", payload); err == nil {
			sent++
		} else {
			last = err
		}
	}
	if sent == 0 {
		a.t.Errorf("no large event was taken in all that time, so there was nothing to read: %v", last)
	}
}

func unreadScript(a *assault) {
	a.together(100, 100, func(i int) error {
		c, err := a.dial(a.s.clientPort, from(i/5))
		if err == nil {
			_, err = c.Write([]byte("GET /socket.io/socket.io.js HTTP/1.1\r\nHost: attacks\r\n\r\n"))
		}
		return err
	})
	a.hold()
}

// unreadAnswers are requests in a row on each port whose answers nobody reads.
func unreadAnswers(a *assault) {
	ports := a.s.ports()
	many := []byte(strings.Repeat("GET /socket.io/?EIO=9 HTTP/1.1\r\nHost: attacks\r\n\r\n", 400))
	a.together(100, 100, func(i int) error {
		c, err := a.dial(*ports[i%len(ports)], from(i))
		if err != nil {
			return err
		}
		return c.flood(many)
	})
}
