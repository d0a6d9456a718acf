package load

import (
	"strings"
	"testing"
	"time"

	"poosh/server/loadtest"
)

// message is what a client gets of an event.
func message(publisher, n int) []byte {
	p := loadtest.NewPayload(150)
	p.Set(0, publisher, n)
	return append(append([]byte(`42["bench",`), p...), ']')
}

func newLedger() *ledger { return &ledger{tail: loadtest.NewPayload(150).Tail()} }

func TestTallyCounts(t *testing.T) {
	tests := []struct {
		name   string
		events [][2]int // publisher and number, to the one client
		want   string   // in the error; empty for none
	}{
		{"all in order", [][2]int{{0, 5}, {1, 5}, {1, 6}, {0, 6}}, ""},
		{"one missing", [][2]int{{0, 5}, {1, 5}, {1, 6}}, "3 of 4"},
		{"two exchanged", [][2]int{{0, 6}, {0, 5}, {1, 5}, {1, 6}}, "out of order"},
		{"one twice", [][2]int{{0, 5}, {0, 5}, {1, 5}, {1, 6}}, "out of order"},
		{"one of before", [][2]int{{0, 4}, {0, 5}, {0, 6}, {1, 5}, {1, 6}}, "out of order"},
		{"unknown publisher", [][2]int{{0, 5}, {0, 6}, {1, 5}, {1, 6}, {2, 5}}, "not what was sent"},
	}
	for _, test := range tests {
		l := newLedger()
		l.expect(1, 5, 2, 2)
		for _, e := range test.events {
			if l.scan(0, message(e[0], e[1]), int64(time.Millisecond)) != 1 {
				t.Fatalf("%s: event not seen", test.name)
			}
		}
		err := l.Err()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
		if test.want == "" && (!l.Complete() || l.Latency.Max() != time.Millisecond) {
			t.Errorf("%s: complete %v, latency %v", test.name, l.Complete(), l.Latency.Max())
		}
	}
}

func TestScanSeesAllEventsOfAMessage(t *testing.T) {
	l := newLedger()
	l.expect(1, 0, 3, 1)
	payload := []byte("4:junk")
	for n := range 3 {
		payload = append(append(payload, message(0, n)...), separator)
	}
	if got := l.scan(0, payload, 0); got != 3 || l.Err() != nil {
		t.Errorf("%d events seen, %v", got, l.Err())
	}
	if got := l.scan(0, []byte(`40{"sid":"x"}`), 0); got != 0 {
		t.Errorf("%d events seen in a packet without", got)
	}
}

func TestDamageIsNoticed(t *testing.T) {
	l := newLedger()
	l.expect(1, 0, 1, 1)
	m := message(0, 0)
	m[len(m)-5] ^= 1
	l.scan(0, m, 0)
	if err := l.Err(); err == nil || !strings.Contains(err.Error(), "not what was sent") {
		t.Errorf("error %v", err)
	}
}

func TestProbeCountsClientsOnce(t *testing.T) {
	l := newLedger()
	l.expectProbe(2, 9)
	l.scan(0, message(0, 8), 0) // of an attempt before
	l.scan(0, message(0, 9), 0)
	l.scan(0, message(0, 9), 0)
	if l.Complete() || l.Delivered != 1 {
		t.Errorf("complete %v with %d of 2 clients", l.Complete(), l.Delivered)
	}
	l.scan(1, message(0, 9), 0)
	if !l.Complete() || l.Err() != nil {
		t.Errorf("complete %v, %v", l.Complete(), l.Err())
	}
}

// With rooms, a client gets the events of its own, which are as far apart as there
// are rooms, and nothing of another.
func TestTallyCountsByRoom(t *testing.T) {
	rooms := Rooms{Count: 3}
	const clients, publishers, next, events = 6, 2, 4, 10
	type event struct{ client, publisher, n int }
	var all []event
	for n := next; n < next+events; n++ {
		for publisher := range publishers {
			for client := range clients {
				if client%3 == rooms.target(publisher, publishers, n) {
					all = append(all, event{client, publisher, n})
				}
			}
		}
	}
	run := func(all []event) *ledger {
		l := newLedger()
		l.rooms = rooms
		l.expect(clients, next, events, publishers)
		for _, e := range all {
			l.scan(e.client, message(e.publisher, e.n), 0)
		}
		return l
	}
	if l := run(all); l.Err() != nil || !l.Complete() || l.Expected != clients*publishers*events/3 {
		t.Errorf("%v, complete %v, %d expected", l.Err(), l.Complete(), l.Expected)
	}
	if l := run(all[:len(all)-1]); l.Err() == nil || l.Complete() {
		t.Error("an event that is missing is not noticed")
	}
	astray := append([]event(nil), all...)
	astray[7].client = (astray[7].client + 1) % clients
	if err := run(astray).Err(); err == nil || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("an event to another room: %v", err)
	}
}

func TestProbeOfRoomsCountsOneOfEach(t *testing.T) {
	l := newLedger()
	l.rooms = Rooms{Count: 2}
	l.expectProbe(4, 10)
	for client := range 4 {
		l.scan(client, message(0, 12), 0) // not of these
		l.scan(client, message(0, 10+client%2), 0)
	}
	if !l.Complete() || l.Err() != nil {
		t.Errorf("complete %v, %v", l.Complete(), l.Err())
	}
}

// Counting must cost next to nothing: the server that is measured has to share
// the machine with it.
func BenchmarkScan(b *testing.B) {
	l := newLedger()
	l.expect(1, 0, b.N, 1)
	m := message(0, 0)
	b.ReportAllocs()
	for b.Loop() {
		l.next[0] = 0
		l.scan(0, m, 1)
	}
}
