package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A gathering is clients of all kinds in one room.
type gathering struct {
	f       *fourfold
	d       *dialect
	room    string
	members []*member
}

// gather connects so many clients of each kind, and ends them with the test.
func gather(t *testing.T, f *fourfold, d *dialect, room string, each int) *gathering {
	t.Helper()
	c := &gathering{f: f, d: d, room: room}
	var mu sync.Mutex
	var faults []error
	var joining sync.WaitGroup
	for _, k := range kinds() {
		for range each {
			joining.Go(func() {
				m, err := d.enter(f, k, room)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					faults = append(faults, err)
					return
				}
				c.members = append(c.members, m)
			})
		}
	}
	joining.Wait()
	t.Cleanup(c.leave)
	if err := errors.Join(faults...); err != nil {
		t.Fatal(err)
	}
	c.settle(t)
	return c
}

// settle waits until an event reaches everybody: a client of Poosh is not told that
// it has joined.
func (c *gathering) settle(t *testing.T) {
	t.Helper()
	if strings.HasPrefix(c.d.name, "Poosh") {
		c.f.waitRoom(t, c.room, len(c.members))
	}
}

// leave closes all connections.
func (c *gathering) leave() {
	for _, m := range c.members {
		m.Close()
	}
}

// ids are what Socktopus knows the members by.
func ids(members []*member) []string {
	var list []string
	for _, m := range members {
		list = append(list, m.id)
	}
	return list
}

// publish sends an event to all members until it is taken. What the server may say
// instead is 503 with Retry-After.
func (c *gathering) publish(text string) error { return c.publishTo(ids(c.members), text) }

func (c *gathering) publishTo(ids []string, text string) error {
	for end := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) { // as a sender waits
		a, err := c.d.publish(c.f, c.room, ids, text)
		switch {
		case err != nil:
			return fmt.Errorf("event %.20q: %w", text, err)
		case a.status == http.StatusOK:
			return nil
		case a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "":
			return fmt.Errorf("event %.20q: answered %d %.200q, Retry-After %q", text, a.status, a.body, a.header.Get("Retry-After"))
		case time.Now().After(end):
			return fmt.Errorf("event %.20q: refused for %v", text, 2*patience)
		}
	}
}

// An event of these tests is "<sender> <number> <padding>".
func eventText(from, n, size int) string {
	text := fmt.Sprintf("%d %d ", from, n)
	return text + strings.Repeat("x", max(0, size-len(text)))
}

// A tally is what one client has heard: for each sender the number of its last event.
type tally struct {
	d     *dialect
	late  bool // it joined while senders were at it: the first event may be any
	last  map[int]int
	count int
}

func newTally(d *dialect) *tally { return &tally{d: d, last: make(map[int]int)} }

// take notes a message. The events of a sender must come in order and without a gap,
// from 1 on.
func (y *tally) take(message string) error {
	text, ok := y.d.text(message)
	if !ok {
		return nil
	}
	fields := strings.SplitN(text, " ", 3)
	if len(fields) != 3 {
		return fmt.Errorf("event %.50q", text)
	}
	from, _ := strconv.Atoi(fields[0])
	n, err := strconv.Atoi(fields[1])
	last, heard := y.last[from]
	switch {
	case err != nil:
		return fmt.Errorf("event %.50q", text)
	case y.late && !heard:
	case n <= last:
		return fmt.Errorf("event %d of sender %d comes behind %d", n, from, last)
	case n != last+1:
		return fmt.Errorf("event %d of sender %d is missing: %d comes", last+1, from, n)
	}
	y.last[from] = n
	y.count++
	return nil
}

// read takes messages until so many events have come.
func (m *member) read(y *tally, events int, limit time.Duration) error {
	m.SetReadDeadline(time.Now().Add(limit))
	for y.count < events {
		op, message, err := m.next()
		switch {
		case err != nil:
		case op == opClose:
			err = fmt.Errorf("closed with %s", closeText(message))
		case message == "2":
			err = m.say("3")
		default:
			err = y.take(message)
		}
		if err != nil {
			return fmt.Errorf("%s, %s: after %d events of %d: %w", y.d.name, m.kind.name, y.count, events, err)
		}
	}
	return nil
}

// closeText shows the payload of a close frame.
func closeText(payload string) string {
	if len(payload) < 2 {
		return "no code"
	}
	return fmt.Sprintf("%d %q", closeCode(payload), payload[2:])
}

// closeCode is the code of a close frame, or 0.
func closeCode(payload string) int {
	if len(payload) < 2 {
		return 0
	}
	return int(payload[0])<<8 | int(payload[1])
}

// split parts the members: one of each kind for every number given, and the rest.
func (c *gathering) split(each int) (some, rest []*member) {
	seen := make(map[string]int)
	for _, m := range c.members {
		if seen[m.kind.name]++; seen[m.kind.name] <= each {
			some = append(some, m)
		} else {
			rest = append(rest, m)
		}
	}
	return some, rest
}
