package socketio

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/loop"
	"poosh/server/websocket"
)

// howItEnds is a way for a session to end.
type howItEnds struct {
	name  string
	end   func(*ending)
	cfg   Config
	words []string // a polling client's last; nil where its session is unknown at once
	gives []string // the answer to a GET that waits
	code  int      // a WebSocket's close frame has it; 0 for a connection that is cut
	lives bool
}

// How sessions end, and what a client that has not fetched everything yet is told
// then. Before it, a polling client is told what waits for it.
var ends = []howItEnds{
	{name: "malformed packet", end: func(e *ending) { e.say("9") }, words: []string{"1"}, gives: []string{"1"}, code: websocket.CloseProtocol},
	{name: "malformed event", end: func(e *ending) { e.say("42{") }, words: []string{"1"}, gives: []string{"1"}, code: websocket.CloseProtocol},
	{name: "close packet", end: func(e *ending) { e.say("1") }, gives: []string{"6"}, code: websocket.CloseNormal},
	{name: "disconnect packet", end: func(e *ending) { e.say("41") }, lives: true},
	{name: "disconnect and close packets", end: func(e *ending) { e.say("41", "1") }, gives: []string{"6"}, code: websocket.CloseNormal},
	{name: "timeout", end: func(e *ending) {}, cfg: Config{PingInterval: 300 * time.Millisecond, PingTimeout: 300 * time.Millisecond},
		gives: []string{"1"}},
	{name: "shutdown", end: func(e *ending) {
		stopped := make(chan error, 1)
		go func() { stopped <- e.server.Shutdown(context.Background()) }() // ends with the session
		e.Cleanup(func() {
			if err := take(e.T, stopped, "the shutdown"); err != nil {
				e.Error(err)
			}
		})
		eventually(e.T, "the shutdown to begin", func() bool { return !e.session.isOpen() })
	}, words: []string{}, gives: []string{"6"}},
	{name: "slow consumer", end: func(e *ending) {
		if e.session.Deliver(EventFrame("large", []byte(`"`+strings.Repeat("x", 9000)+`"`))) {
			e.Error("more was taken than may wait")
		}
	}, cfg: Config{Outbox: 8000}, gives: []string{"1"}},
	{name: "kick", end: func(e *ending) { e.session.Close("kicked") }, words: []string{"1"}, gives: []string{"1"}, code: websocket.CloseNormal},
	{name: "kick by the handler", end: func(e *ending) {
		e.mu.Lock()
		e.event = func(s *Session, name string) { s.Close(name) }
		e.mu.Unlock()
		e.say(`42["kick"]`)
	}, words: []string{"1"}, gives: []string{"1"}, code: websocket.CloseNormal},
	{name: "probe that fails", end: func(e *ending) {
		ws := e.dial("sid=" + e.session.engineID)
		ws.say("2probe", "9")
		if heard, code := ws.ended(); code != websocket.CloseProtocol || !slices.Equal(heard, []string{"3probe"}) {
			e.Errorf("the probe heard %q, close code %d", heard, code)
		}
	}, lives: true},
}

// ending is a session that is about to end.
type ending struct {
	*site
	session *Session
	say     func(...string) // by the client
}

// What waits for a client, apart from the open packet.
var waits = map[string]func(*ending) []string{
	"nothing":         func(*ending) []string { return nil },
	"40":              func(*ending) []string { return []string{"40"} },
	"event":           waitsEvent,
	"pong":            waitsPong,
	"events and pong": func(e *ending) []string { return slices.Concat(waitsEvent(e), waitsPong(e), waitsEvent(e)) },
}

func waitsEvent(e *ending) []string {
	e.session.Deliver(EventFrame("e", nil))
	return []string{`42["e",null]`}
}

func waitsPong(e *ending) []string {
	e.say("2")
	return []string{"3"}
}

// What is accepted for a client is what it gets, however its session ends.
func TestEnds(t *testing.T) {
	for _, end := range ends {
		for waiting := range waits {
			for way, run := range ways {
				t.Run(end.name+", "+waiting+", "+way, func(t *testing.T) {
					still(t, end.cfg, func(s *site) { run(s, end, waiting) })
				})
			}
			t.Run(end.name+", "+waiting+", on the loop", func(t *testing.T) {
				t.Parallel()
				endsPolling(serve(t, end.cfg), end, waiting)
			})
		}
		if !end.lives {
			t.Run(end.name+", a waiting GET", func(t *testing.T) {
				t.Parallel()
				each(t, end.cfg, func(s *site) { endsWaiting(s, end) })
			})
		}
	}
}

// How a client is connected when its session ends.
var ways = map[string]func(*site, howItEnds, string){
	"polling": endsPolling, "websocket": endsSocket, "probing": endsProbing, "changing": endsChanging,
}

// begins makes a polling client for whom something waits.
func (s *site) begins(waiting string, probe bool) (*poller, *ending, *wsClient, []string) {
	p := s.poll("EIO=3")
	e := &ending{s, take(s.T, s.connected, "the client"), func(packets ...string) { p.post(packets...) }}
	if waiting != "40" {
		p.want("40")
	}
	var ws *wsClient
	if probe {
		ws = s.dial("sid=" + p.sid)
		ws.say("2probe")
		ws.want("3probe")
	}
	return p, e, ws, waits[waiting](e)
}

func endsPolling(s *site, end howItEnds, waiting string) {
	p, e, _, want := s.begins(waiting, false)
	end.end(e)
	p.fetches(e, end.words, want, end.lives)
}

// endsWaiting is the end while a GET waits.
func endsWaiting(s *site, end howItEnds) {
	p, e, _, _ := s.begins("nothing", false)
	done := p.waiting()
	end.end(e)
	if got := take(s.T, done, "the GET's answer"); !slices.Equal(got, end.gives) {
		s.Errorf("the GET that waited was answered %q, want %q", got, end.gives)
	}
	take(s.T, s.closed, "the handler to be told")
	eventually(s.T, "the session to go", func() bool { return s.sessions() == 0 })
	p.gone()
}

func endsSocket(s *site, end howItEnds, waiting string) {
	if end.name == "probe that fails" {
		return // there is none beside a WebSocket
	}
	ws := s.dial("EIO=3")
	ws.want("0{...")
	session := take(s.T, s.connected, "the client")
	synctest.Wait() // it has been told
	e := &ending{s, session, func(packets ...string) {
		ws.say(packets...)
		synctest.Wait() // they have been handled
	}}
	if waiting != "40" {
		ws.want("40")
	}
	want := waits[waiting](e)
	end.end(e)
	if end.lives {
		ws.want(want...)
		ws.say("2")
		ws.want("3")
		return
	}
	if heard, code := ws.ended(); code != end.code || !slices.Equal(heard, want) && end.name != "slow consumer" {
		s.Errorf("heard %q and close code %d, want %q and %d", heard, code, want, end.code)
	}
	_ = ws.Close()
	take(s.T, s.closed, "the handler to be told")
	eventually(s.T, "the session to go", func() bool { return s.sessions() == 0 })
}

// endsProbing is the end while a WebSocket is about to take over, of a client that polls.
func endsProbing(s *site, end howItEnds, waiting string) {
	if end.name == "probe that fails" {
		return // it is one
	}
	p, e, ws, want := s.begins(waiting, true)
	end.end(e)
	p.fetches(e, end.words, want, end.lives)
	if end.lives {
		ws.say("5", "2")
		ws.want("3")
	} else if heard, _ := ws.ended(); len(heard) > 0 {
		s.Errorf("the probe heard %q", heard)
	}
}

// endsChanging is the same of a client that polls no more.
func endsChanging(s *site, end howItEnds, waiting string) {
	if end.words == nil {
		return // nothing is kept for it
	}
	_, e, ws, want := s.begins(waiting, true)
	end.end(e)
	take(s.T, s.closed, "the handler to be told")
	ws.say("5")
	if heard, code := ws.ended(); !slices.Equal(heard, want) || code != websocket.CloseNormal && code != websocket.CloseProtocol {
		s.Errorf("heard %q and close code %d, want %q", heard, code, want)
	}
	eventually(s.T, "the session to go", func() bool { return s.sessions() == 0 })
}

// fetches wants a client's last words behind what waits, and then the end.
func (p *poller) fetches(e *ending, words, waits []string, lives bool) {
	p.Helper()
	if lives {
		if len(waits) > 0 {
			p.want(waits...)
		}
		p.post("2")
		p.want("3")
		return
	}
	take(p.T, p.closed, "the handler to be told")
	// A client that leaves its namespace first ends a moment later.
	eventually(p.T, "the session to end", func() bool { return !e.session.isOpen() })
	if e.session.Deliver(EventFrame("late", nil)) {
		p.Error("an event was taken after the end")
	}
	if words != nil && len(waits)+len(words) > 0 {
		p.want(append(waits, words...)...)
	}
	eventually(p.T, "the session to go", func() bool { return p.sessions() == 0 })
	p.gone()
	if n := p.server.Stats().Queued; n != 0 {
		p.Errorf("%d bytes count as queued when nobody is left", n)
	}
}

// The library's answer to a 40 is part of what comes before a packet that is malformed,
// or that closes the session.
func TestEndBehindConnect(t *testing.T) {
	for range 20 {
		s := serve(t, Config{})
		p := s.poll("EIO=4")
		if a := p.post("40", `42["room","x"]`, "9", `42["room","y"]`); a.status != 400 {
			t.Errorf("a malformed packet was answered %d", a.status)
		}
		take(t, s.closed, "the end")
		p.want(`40{"sid":"...`, "1")
		p.gone()

		ws := s.dial("EIO=4")
		ws.want("0{...")
		ws.say("40", `42["room","x"]`, "9", `42["room","y"]`)
		ws.want(`40{"sid":"...`)
		if _, code := ws.ended(); code != websocket.CloseProtocol {
			t.Errorf("close code %d", code)
		}
		take(t, s.closed, "the end")

		q := s.poll("EIO=3")
		if a := q.post(`42["room","x"]`, "1", `42["room","y"]`); a.status != 200 {
			t.Errorf("a close packet was answered %d", a.status)
		}
		take(t, s.closed, "the end")
		q.gone()
		if got := s.heard(); !slices.Equal(got, []string{`room"x"`, `room"x"`, `room"x"`}) {
			t.Fatalf("the dialect heard %q", got)
		}
	}
}

// A panic behind a Guard ends the session, whatever carries it, also when the handler has
// called, and nothing else.
func TestGuard(t *testing.T) {
	still(t, Config{}, func(s *site) {
		t := s.T
		boom := func(session *Session) { session.Guard(func() { panic("asked to") }) }
		ws := s.dial("EIO=3")
		ws.want("0{...", "40")
		boom(take(t, s.connected, "the client"))
		ws.ended()
		if why := take(t, s.closed, "the end"); why != string(loop.ErrPanic) {
			t.Errorf("ended for %q", why)
		}
		s.dialect.event = func(session *Session, _ string) { boom(session) }
		p := s.poll("EIO=3")
		p.want("40")
		take(t, s.connected, "the client")
		p.post(`42["x"]`)
		if why := take(t, s.closed, "the end"); why != string(loop.ErrPanic) {
			t.Errorf("ended for %q", why)
		}
	})
}

// Last words that nobody fetches are forgotten.
func TestLastWordsEnd(t *testing.T) {
	still(t, Config{}, func(s *site) {
		t := s.T
		p := s.poll("EIO=3")
		p.want("40")
		session := take(t, s.connected, "the client")
		began := time.Now()
		session.Close("kicked")
		take(t, s.closed, "the handler to be told")
		if s.sessions() != 1 {
			t.Error("the close packet is not kept")
		}
		if a := p.post("2"); a.status != 400 {
			t.Errorf("a POST after the end was answered %d", a.status)
		}
		if _, err := s.tryDial("sid=" + p.sid); err == nil {
			t.Error("a WebSocket took over after the end")
		}
		eventually(t, "the session to go", func() bool { return s.sessions() == 0 })
		if took := time.Since(began); took < lingerIdle {
			t.Errorf("forgotten after %v", took)
		}
		p.gone()
	})
}
