package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"poosh/test/heads"
)

// A browserPoller is a polling session byte for byte as a browser has it: its GETs
// on one connection that is kept, its POSTs on another.
type browserPoller struct {
	f        *fourfold
	browser  heads.Browser
	eio      int
	jsonp    bool // a script tag polls, and a form posts
	sid      string
	get, put *rawSocket
}

// pollWays are the ways in which a server has pollers: without TLS of its own and with it.
// What they are told is a dialect's, which is the same in both protocols.
func pollWays() []way {
	return []way{{"plain", pooshDialect(3), false}, {"over TLS", pooshDialect(3), true}}
}

// pollers are one session for each browser, protocol and way to poll, in a room.
func pollers(t *testing.T, f *fourfold, room string, each int) []*browserPoller {
	t.Helper()
	var all []*browserPoller
	for range each {
		for _, browser := range heads.Browsers() {
			for _, p := range []*browserPoller{{eio: 3}, {eio: 3, jsonp: true}, {eio: 4}} {
				p.f, p.browser = f, browser
				t.Cleanup(p.close)
				if err := p.join(room); err != nil {
					t.Fatalf("%s: %v", p, err)
				}
				all = append(all, p)
			}
		}
	}
	f.waitRoom(t, room, len(all))
	return all
}

func (p *browserPoller) String() string {
	name := fmt.Sprintf("%s, EIO %d", p.browser.Name, p.eio)
	if p.jsonp {
		name += ", JSONP"
	}
	return name
}

func (p *browserPoller) close() {
	for _, c := range []*rawSocket{p.get, p.put} {
		if c != nil {
			c.Close()
		}
	}
}

// target is where the session's requests go.
func (p *browserPoller) target() string {
	target := fmt.Sprintf("/socket.io/?EIO=%d&transport=polling&t=e2e", p.eio)
	if p.jsonp {
		target += "&b64=1&j=0"
	}
	if p.sid != "" {
		target += "&sid=" + p.sid
	}
	return target
}

// ask says one request on a connection, which it opens if need be.
func (p *browserPoller) ask(c **rawSocket, head heads.Head, body string) (answer, error) {
	if *c == nil {
		nc, err := net.DialTimeout("tcp", addr(p.f.clientPort), patience)
		if err != nil {
			return answer{}, err
		}
		if p.f.trusts != nil {
			nc = tls.Client(nc, p.f.trusts)
		}
		*c = &rawSocket{nc, bufio.NewReaderSize(nc, 64<<10)}
	}
	(*c).SetDeadline(time.Now().Add(2 * patience))
	b := head.Fill(heads.Values{Target: p.target(), Host: "e2e.example", Origin: "http://e2e.example", Length: len(body)})
	if p.jsonp {
		b = contentType.ReplaceAll(b, []byte("Content-Type: application/x-www-form-urlencoded\r\n"))
	}
	if _, err := (*c).Write(append(b, body...)); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse((*c).in, nil)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// contentType is that line of a head, as a browser writes it.
var contentType = regexp.MustCompile("(?i)content-type:[^\r]*\r\n")

// join opens the session and enters a room.
func (p *browserPoller) join(room string) error {
	if err := p.open(); err != nil {
		return err
	}
	return p.enter(room)
}

// open opens the session.
func (p *browserPoller) open() error {
	packets, err := p.poll()
	if err != nil {
		return err
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(packets[0], "0")), &open); err != nil || open.SID == "" {
		return fmt.Errorf("open packet %q: %w", packets, err)
	}
	p.sid = open.SID
	return nil
}

// enter enters a room. The connection of POSTs is closed then, so that what is counted
// is known.
func (p *browserPoller) enter(room string) error {
	if p.eio == 4 {
		if err := p.post("40"); err != nil {
			return err
		}
	}
	if err := p.post(`42["room",` + quote(room) + `]`); err != nil {
		return err
	}
	p.put.Close()
	p.put = nil
	return nil
}

// post posts one packet.
func (p *browserPoller) post(packet string) error {
	if p.eio != 4 {
		packet = fmt.Sprintf("%d:%s", len(utf16.Encode([]rune(packet))), packet)
	}
	if p.jsonp {
		packet = "d=" + url.QueryEscape(packet)
	}
	a, err := p.ask(&p.put, p.browser.Post, packet)
	if err == nil && (a.status != 200 || a.body != "ok") {
		err = fmt.Errorf("POST is answered %d %.200q", a.status, a.body)
	}
	return err
}

// poll asks for packets once.
func (p *browserPoller) poll() ([]string, error) {
	a, err := p.ask(&p.get, p.browser.Poll, "")
	if err != nil {
		return nil, err
	}
	switch {
	case a.status == http.StatusBadRequest && strings.Contains(a.body, "Session ID unknown"):
		return nil, errUnknown
	case a.status != http.StatusOK:
		return nil, fmt.Errorf("poll is answered %d %.200q", a.status, a.body)
	}
	packets, err := split(a.header.Get("Content-Type"), a.body, p.eio)
	if err == nil && len(packets) == 0 {
		err = errors.New("a poll is answered with no packet")
	}
	return packets, err
}

// How a poller hears of the end of its session: by a close packet, or because the
// server does not know it any more.
var (
	errClosed  = errors.New("a close packet")
	errUnknown = errors.New("the session is unknown")
)

// afterTheEnd returns nil for what a poller sees when its server has gone, of which
// every client comes back: no close packet, which some take for the end of all, but with
// JSONP, which is in browsers alone.
func (p *browserPoller) afterTheEnd(err error) error {
	if p.jsonp && errors.Is(err, errClosed) {
		return nil
	}
	return afterTheEnd(err)
}

func afterTheEnd(err error) error {
	for _, end := range []error{errUnknown, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE} {
		if errors.Is(err, end) {
			return nil
		}
	}
	return err
}

// read polls until so many events have come, and answers heartbeats.
func (p *browserPoller) read(y *tally, events int) error {
	for y.count < events {
		packets, err := p.poll()
		if err != nil {
			return fmt.Errorf("after %d events of %d: %w", y.count, events, err)
		}
		for _, packet := range packets {
			switch packet {
			case "1":
				return errClosed
			case "2":
				err = p.post("3")
			default:
				err = y.take(packet)
			}
			if err != nil {
				return fmt.Errorf("after %d events of %d: %w", y.count, events, err)
			}
		}
	}
	return nil
}

// Polls of browsers are on the loop, but over TLS, where they are net/http's; counted as what they are, and forgotten.
func TestKindsOfPollsLiveOnTheLoop(t *testing.T) {
	for _, w := range pollWays() {
		t.Run(w.name, func(t *testing.T) {
			f := w.start(t)
			all := pollers(t, f, "r", 3)
			var polling sync.WaitGroup
			for _, p := range all {
				polling.Go(func() {
					if err := p.read(newTally(pooshDialect(p.eio)), 1); err != nil {
						t.Errorf("%s: %v", p, err)
					}
				})
			}
			sender.CloseIdleConnections()
			onLoop := len(all)
			if w.tls {
				onLoop = 0
			}
			f.waitNumbers(t, "all polls to wait", map[string]int{
				"sessions": len(all), "polling": onLoop, "connections": len(all), "websockets": 0, "goroutine_connections": 0,
			})
			if got := f.send(t, "r", "n", `"`+eventText(0, 1, 20)+`"`); got < len(all) {
				t.Errorf("handed to %d of %d", got, len(all))
			}
			polling.Wait()
			for _, p := range all {
				_ = p.post("1") // a close packet
				p.close()
			}
			sender.CloseIdleConnections()
			f.waitNumbers(t, "all to be forgotten", map[string]int{"sessions": 0, "polling": 0, "connections": 0, "queued_bytes": 0})
		})
	}
}

// Clients that poll as fast as they can are not cut off by senders that send all they
// can, as those with a WebSocket are not, over TLS as without: senders wait for them.
func TestKindsOfPollsBackPressure(t *testing.T) {
	for _, w := range pollWays() {
		t.Run(w.name, func(t *testing.T) {
			// Publishers wait for a poller 100 ms between two of its GETs, so all of them have to
			// come in about 200 ms, however slow the machine, or before half an outbox more has
			// been sent: there are few, few who send, and there is room for much.
			const first, size = 120, 10_000 // more than half of what may wait for one
			const senders, each, crowd = 4, 50, 1
			f := w.start(t, "OUTBOX_BYTES=2MiB")
			all := pollers(t, f, "r", crowd)
			c := &gathering{f: f, d: w.dialect, room: "r"}
			tallies := make([]*tally, len(all))
			for i, p := range all {
				tallies[i] = newTally(pooshDialect(p.eio))
			}
			read := func(reading *sync.WaitGroup, events int) {
				for i, p := range all {
					reading.Go(func() {
						if err := p.read(tallies[i], events); err != nil {
							t.Errorf("%s: %v", p, err)
						}
					})
				}
			}
			for n := 1; n <= first; n++ {
				if err := c.publish(eventText(senders, n, size)); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, patience, "senders to have waited for who does not poll yet", func() bool {
				time.Sleep(80 * time.Millisecond) // the log has a pace of its own
				return f.numbers(t)["poll_waits"] > 0
			})
			var reading, sending sync.WaitGroup
			read(&reading, first)
			reading.Wait()
			read(&reading, first+senders*each)
			for s := range senders {
				sending.Go(func() {
					for n := 1; n <= each; n++ {
						if err := c.publish(eventText(s, n, size)); err != nil {
							t.Errorf("sender %d: %v", s, err)
							return
						}
					}
				})
			}
			sending.Wait()
			reading.Wait()
			f.waitNumbers(t, "everybody to be there still", map[string]int{"sessions": len(all), "closed_slow": 0})
		})
	}
}

// A server that ends gives pollers what waits, and nothing behind it.
func TestKindsOfPollsDrain(t *testing.T) {
	for _, w := range pollWays() {
		t.Run(w.name, func(t *testing.T) {
			const events, size = 50, 10_000
			f := w.start(t, "SHUTDOWN_TIMEOUT=20s")
			all := pollers(t, f, "r", 2)
			c := &gathering{f: f, d: w.dialect, room: "r"}
			for n := 1; n <= events; n++ {
				if err := c.publish(eventText(0, n, size)); err != nil {
					t.Fatal(err)
				}
			}
			f.signal(syscall.SIGTERM)
			var reading sync.WaitGroup
			for _, p := range all {
				reading.Go(func() {
					y := newTally(pooshDialect(p.eio))
					if err := p.afterTheEnd(p.read(y, events+1)); err != nil || y.count != events {
						t.Errorf("%s: %d events of %d, %v; want all of them", p, y.count, events, err)
					}
				})
			}
			reading.Wait()
			f.waitExit(patience)
			if code := f.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d\n%s", code, f.log.Tail())
			}
			f.checkLog()
		})
	}
}
