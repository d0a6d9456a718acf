package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A streamKind is a way in which clients come to a stream of GET /events.
type streamKind struct {
	name    string
	version string // of HTTP
	pause   bool   // in the middle of the head
	earlier bool   // it is the second request on its connection
	half    bool   // behind its head the client begins to say something, in the middle of a record over TLS, and does not end it
}

// streamKinds are all of them.
func streamKinds() []streamKind {
	return []streamKind{
		{name: "HTTP/1.1", version: "1.1"},
		{name: "HTTP/1.0", version: "1.0"},
		{name: "in two halves", version: "1.1", pause: true},
		{name: "behind a request", version: "1.1", earlier: true},
		{name: "silent in the middle of more", version: "1.1", half: true},
	}
}

// streamTally is what a client of /events has heard.
func streamTally() *tally { return newTally(&dialect{name: "/events", begins: `"`}) }

// An eventStream is a connection of GET /events.
type eventStream struct {
	*rawSocket
	kind streamKind
	body *bufio.Reader
}

// open asks for the events of a room, over TLS where the port speaks it, and waits until they
// come.
func (k streamKind) open(f *fourfold, room string) (*eventStream, error) {
	c, err := dialFrom(f.clientPort, "")
	if err != nil {
		return nil, err
	}
	if f.trusts != nil {
		c = tls.Client(c, f.trusts)
	}
	s := &eventStream{rawSocket: &rawSocket{c, bufio.NewReaderSize(c, 1<<10)}, kind: k}
	if err := s.begin(room); err != nil {
		c.Close()
		return nil, fmt.Errorf("/events, %s: %w", k.name, err)
	}
	return s, nil
}

func (s *eventStream) begin(room string) error {
	s.SetDeadline(time.Now().Add(patience))
	if s.kind.earlier {
		if err := s.earlier("/robots.txt"); err != nil {
			return err
		}
	}
	head := fmt.Sprintf("GET /events?room=%s HTTP/%s\r\nHost: e2e.example\r\nAccept: text/event-stream\r\n\r\n", url.QueryEscape(room), s.kind.version)
	if s.kind.pause {
		if _, err := io.WriteString(s, head[:len(head)/2]); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond) // part of what is tested
		head = head[len(head)/2:]
	}
	if _, err := io.WriteString(s, head); err != nil {
		return err
	}
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	s.body = bufio.NewReaderSize(resp.Body, 1<<10)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	if name, _, err := s.nextEvent(patience); err != nil || name != "poosh:connected" {
		return fmt.Errorf("%q comes first, %w", name, err)
	}
	if s.kind.half {
		// The beginning of a request; over TLS that of a record of 64 bytes.
		_, err = io.WriteString(socketOf(s.Conn), map[bool]string{true: "\x17\x03\x03\x00\x40half", false: "GET /ev"}[isTLS(s.Conn)])
	}
	return err
}

func isTLS(c any) bool {
	_, is := c.(*tls.Conn)
	return is
}

// nextEvent reads to the end of an event that has a name.
func (s *eventStream) nextEvent(limit time.Duration) (name, data string, err error) {
	s.SetDeadline(time.Now().Add(limit))
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSuffix(line, "\n")
		switch field, value, _ := strings.Cut(line, ": "); {
		case field == "event":
			name = value
		case field == "data":
			data = value
		case line == "" && name != "":
			return name, data, nil
		}
	}
}

// read takes events until so many have come.
func (s *eventStream) read(y *tally, events int, limit time.Duration) error {
	for y.count < events {
		name, data, err := s.nextEvent(limit)
		switch {
		case err == nil && name == "n":
			err = y.take(data)
		case err == nil && name == "poosh:closed":
			err = fmt.Errorf("it is closed: %s", data)
		}
		if err != nil {
			return fmt.Errorf("/events, %s: after %d events of %d: %w", s.kind.name, y.count, events, err)
		}
	}
	return nil
}

// readToEnd takes all events, the last of which must say why the stream ends, and waits for its
// end, which over TLS is one that its client can tell from a cut.
func (s *eventStream) readToEnd(y *tally, limit time.Duration, why string) error {
	for {
		name, data, err := s.nextEvent(limit)
		switch {
		case err == nil && name == "n":
			err = y.take(data)
		case err == nil && name == "poosh:closed":
			if data != `{"reason":"`+why+`"}` {
				return fmt.Errorf("/events, %s: closed with %s, want %s", s.kind.name, data, why)
			}
			if name, _, err := s.nextEvent(limit); err != io.EOF {
				return fmt.Errorf("/events, %s: %q, %v, and not the end of the stream", s.kind.name, name, err)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("/events, %s: after %d events: %w", s.kind.name, y.count, err)
		}
	}
}

// listeners are so many streams of each kind, in a room.
func listeners(t *testing.T, f *fourfold, room string, each int) []*eventStream {
	t.Helper()
	var mu sync.Mutex
	var all []*eventStream
	var faults []error
	var joining sync.WaitGroup
	for _, k := range streamKinds() {
		for range each {
			joining.Go(func() {
				s, err := k.open(f, room)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					faults = append(faults, err)
					return
				}
				all = append(all, s)
			})
		}
	}
	joining.Wait()
	t.Cleanup(func() {
		for _, s := range all {
			s.Close()
		}
	})
	if err := errors.Join(faults...); err != nil {
		t.Fatal(err)
	}
	return all
}

// together has all streams do something, each on a goroutine of its own.
func together(t *testing.T, all []*eventStream, do func(*eventStream) error) (wait func()) {
	var doing sync.WaitGroup
	for _, s := range all {
		doing.Go(func() {
			if err := do(s); err != nil {
				t.Error(err)
			}
		})
	}
	return doing.Wait
}

// A stream that is not read is closed once its outbox is full, and counted, whether its client
// was silent in the middle of a record or not. Those who read have every event.
func TestStreamsBound(t *testing.T) {
	const outbox, size, events = 1 << 20, 10_000, 1500
	for _, w := range pollWays() {
		t.Run(w.name, func(t *testing.T) {
			f := w.start(t, fmt.Sprintf("OUTBOX_BYTES=%d", outbox))
			before := f.numbers(t)["closed_slow"]
			stalled, readers := listeners(t, f, "r", 1), listeners(t, f, "r", 1)
			for _, s := range stalled {
				socketOf(s.Conn).SetReadBuffer(4096)
			}
			c := &gathering{f: f, d: w.dialect, room: "r"}
			wait := together(t, readers, func(s *eventStream) error { return s.read(streamTally(), events, 2*patience) })
			for n := 1; n <= events; n++ {
				if err := c.publish(eventText(0, n, size)); err != nil {
					t.Fatal(err)
				}
			}
			wait()
			f.waitNumbers(t, "those who stopped reading to be closed and counted", map[string]int{
				"connections": len(readers), "closed_slow": before + len(stalled), "stuck_bytes": 0,
			})
		})
	}
}

// Streams that are read as fast as they can be are not cut off by senders that send all they can:
// these are held back, and every event arrives once and in order.
func TestStreamsBackPressure(t *testing.T) {
	const senders, size, each = 16, 10_000, 100
	for _, w := range pollWays() {
		t.Run(w.name, func(t *testing.T) {
			f := w.start(t, "MAX_BODY_BYTES=16KiB", "OUTBOX_BYTES=256KiB")
			all := listeners(t, f, "r", 6)
			c := &gathering{f: f, d: w.dialect, room: "r"}
			wait := together(t, all, func(s *eventStream) error { return s.read(streamTally(), senders*each, 4*patience) })
			var sending sync.WaitGroup
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
			wait()
			f.waitNumbers(t, "everybody to be there still", map[string]int{"connections": len(all), "closed_slow": 0})
		})
	}
}

// A server that ends writes what waits for streams, says why they end, and exits well.
func TestStreamsDrain(t *testing.T) {
	const size, events = 10_000, 800
	for _, w := range pollWays() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			f := w.start(t, "OUTBOX_BYTES=16MiB", "SHUTDOWN_TIMEOUT=40s")
			all := listeners(t, f, "r", 1)
			for _, s := range all {
				socketOf(s.Conn).SetReadBuffer(64 << 10)
			}
			c := &gathering{f: f, d: w.dialect, room: "r"}
			for n := 1; n <= events; n++ {
				if err := c.publish(eventText(0, n, size)); err != nil {
					t.Fatal(err)
				}
			}
			if waits := f.status(t).queuedBytes; waits == 0 {
				t.Fatal("nothing waits: the test shows nothing")
			}
			f.signal(syscall.SIGTERM)
			together(t, all, func(s *eventStream) error {
				y := streamTally()
				err := s.readToEnd(y, patience, "server shutdown")
				if err == nil && y.count != events {
					err = fmt.Errorf("/events, %s: %d events of %d", s.kind.name, y.count, events)
				}
				s.Close()
				return err
			})()
			began := time.Now() // how long they read is theirs
			f.waitExit(patience)
			if code, took := f.cmd.ProcessState.ExitCode(), time.Since(began); code != 0 || took > 10*time.Second {
				t.Errorf("exit code %d after %v\n%s", code, took, f.log.Tail())
			}
			f.checkLog()
		})
	}
}

// Streams that an operator kicks are told so behind what waits for them, and end, those too that
// nobody reads; others go on.
func TestStreamsKick(t *testing.T) {
	const adminToken, size, events = "operators of e2e", 10_000, 100
	for _, w := range pollWays() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			f := w.start(t, fmt.Sprint("ADMIN_PORT=", port), "ADMIN_TOKEN="+adminToken, "OUTBOX_BYTES=16MiB")
			kicked, others, unread := listeners(t, f, "r", 1), listeners(t, f, "others", 1), listeners(t, f, "r", 1)
			for _, s := range unread {
				socketOf(s.Conn).SetReadBuffer(4096)
			}
			c := &gathering{f: f, d: w.dialect, room: "r"}
			for n := 1; n <= events; n++ {
				if err := c.publish(eventText(0, n, size)); err != nil {
					t.Fatal(err)
				}
			}
			req, err := http.NewRequest(http.MethodPost, "http://"+addr(port)+"/api/kick?room=r", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+adminToken)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || string(text) != fmt.Sprintf("{\"kicked\":%d}", len(kicked)+len(unread)) {
				t.Fatalf("%s %s, %v", resp.Status, text, err)
			}
			together(t, kicked, func(s *eventStream) error {
				y := streamTally()
				err := s.readToEnd(y, patience, "kicked")
				if err == nil && y.count != events {
					err = fmt.Errorf("/events, %s: %d events of %d", s.kind.name, y.count, events)
				}
				s.Close()
				return err
			})()
			f.waitNumbers(t, "those who were kicked to be gone", map[string]int{"connections": len(others), "queued_bytes": 0})
			c.room = "others"
			if err := c.publish(eventText(0, 1, 100)); err != nil {
				t.Fatal(err)
			}
			together(t, others, func(s *eventStream) error { return s.read(streamTally(), 1, patience) })()
		})
	}
}
