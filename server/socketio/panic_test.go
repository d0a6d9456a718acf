package socketio

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/logtest"
)

// An ill dialect panics where a test wants it to.
type ill struct {
	*dialect
	connected, closed, event bool // where it panics
	cured                    atomic.Bool
}

func (d *ill) act(panics bool) {
	if panics && !d.cured.Load() {
		panic("a bug")
	}
}

func (d *ill) Connected(s *Session) {
	d.dialect.Connected(s)
	for d.event && !d.cured.Load() { // what was said has to wait, or it is no goroutine of ours that hears it
		s.in.mu.Lock()
		waits := len(s.in.waiting) > 0
		s.in.mu.Unlock()
		if waits {
			break
		}
		time.Sleep(time.Millisecond)
	}
	d.act(d.connected)
}

func (d *ill) Closed(s *Session, reason string) {
	d.dialect.Closed(s, reason)
	d.act(d.closed)
}

func (d *ill) Event(s *Session, name string, args [][]byte, ack Ack) {
	d.dialect.Event(s, name, args, ack)
	d.act(d.event)
}

// panics is how many a log tells of.
func panics(log *logtest.Buffer) int { return log.Count("panic while a session is handled") }

// A panic of a handler, on whatever goroutine, ends the session that it was for, with a
// line in the log, and nothing else: nothing of that is left, and others come and go.
func TestPanicOfAHandler(t *testing.T) {
	for name, handler := range map[string]*ill{
		"Connected":      {connected: true},
		"Closed":         {closed: true},
		"both":           {connected: true, closed: true},
		"waiting events": {event: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := new(logtest.Buffer)
			s := serve(t, Config{}, func(srv *Server) {
				handler.dialect = srv.handler.(*dialect)
				srv.handler, srv.log = handler, slog.New(slog.NewTextHandler(l, nil))
			})
			ws := s.dial("EIO=3")
			ws.say(`42["said before it is in"]`) // it may wait until then
			if name == "Closed" {
				ws.want("0...", "40")
				ws.say("1")
			}
			ws.ended()
			p := s.poll("EIO=4")
			// Where the end comes first, the POST is cut.
			_, _ = s.request(t.Context(), "POST", p.query, "40\x1e"+`42["said before it is in"]`)
			if name == "Closed" {
				p.want("40...")
				p.post("1")
			}
			eventually(t, "both sessions to be forgotten", func() bool { return s.sessions() == 0 })
			for range 2 {
				take(t, s.closed, "that the client left")
			}
			if n := panics(l); n < 2 {
				t.Errorf("%d panics are in the log", n)
			}
			handler.cured.Store(true)
			well := s.dial("EIO=3")
			well.want("0...", "40")
		})
	}
}
