package socketio

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"poosh/server/latency"
)

// delivered delivers an event with a mark of a new meter.
func delivered(s *site, session *Session, name string) *latency.Meter {
	s.Helper()
	m := latency.New()
	k := m.Begin()
	if !session.DeliverMarked(EventFrame(name, nil), k) {
		s.Error("refused")
	}
	k.End()
	return m
}

func counted(m *latency.Meter) bool {
	marks, outboxes := m.UnderWay()
	return marks == 0 && outboxes == 0 && m.Histogram().Count == 1
}

// An event for who polls counts when the answer to a poll has been written: to one that
// waits at once, else to the next.
func TestPolledEventCountsWhenItIsWritten(t *testing.T) {
	s := serve(t, Config{})
	for _, query := range []string{"EIO=3", "EIO=4"} {
		p := s.poll(query)
		if p.eio == 4 {
			p.post("40")
		}
		p.want("40...")
		session := take(s.T, s.connected, "the client")
		answered := p.waiting()
		m := delivered(s, session, "quick")
		take(s.T, answered, "the event")
		eventually(t, "it to be counted", func() bool { return counted(m) })

		m = delivered(s, session, "late")
		time.Sleep(20 * time.Millisecond)
		if marks, outboxes := m.UnderWay(); marks != 1 || outboxes != 1 {
			t.Errorf("%s: while nobody polls %d marks wait for %d outboxes", query, marks, outboxes)
		}
		p.want(`42["late",null]`)
		eventually(t, "it to be counted", func() bool { return counted(m) })
		if took := m.Histogram().Sum; took < 0.02 {
			t.Errorf("%s: it took %v s", query, took)
		}

		// Its end is the mark's.
		m = delivered(s, session, "never")
		session.end(reasonTimeout)
		eventually(t, "it to end with its session", func() bool { return counted(m) })
	}
}

// One whose answer is not read counts when its connection has taken it.
func TestPollThatIsNotRead(t *testing.T) {
	s := serve(t, Config{Outbox: 8 << 20})
	p := s.poll("EIO=3")
	p.want("40")
	session := take(s.T, s.connected, "the client")
	session.Deliver(EventFrame("large", []byte(`"`+strings.Repeat("x", 7<<20)+`"`)))
	m := delivered(s, session, "behind")
	conn, err := s.dialer()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: test\r\n\r\n", Path, p.query)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if marks, outboxes := m.UnderWay(); marks != 1 || outboxes != 1 {
		t.Errorf("%d marks wait for %d outboxes", marks, outboxes)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it to be counted", func() bool { return counted(m) })
}

// What waited for a poll goes on to the WebSocket that takes over, with its marks.
func TestMarksMoveWithTheUpgrade(t *testing.T) {
	s := serve(t, Config{})
	p := s.poll("EIO=3")
	p.want("40")
	session := take(s.T, s.connected, "the client")
	ws := s.dial("EIO=3&sid=" + p.sid)
	ws.say("2probe")
	ws.want("3probe")
	m := delivered(s, session, "moved")
	ws.say("5")
	ws.want(`42["moved",null]`)
	eventually(t, "it to be counted", func() bool { return counted(m) })
	m = delivered(s, session, "direct")
	ws.want(`42["direct",null]`)
	eventually(t, "it to be counted", func() bool { return counted(m) })
}
