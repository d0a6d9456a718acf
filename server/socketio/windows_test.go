package socketio

import (
	"bufio"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zishang520/socket.io/servers/socket/v3"

	"poosh/server/closed"
	"poosh/server/websocket"
)

// What meets a session between two of its steps, each window held open.

// The ways for a session to end in a window, and what a polling client is told then
// that was told nothing before: what waited for it, as far as it is kept.
var windows = []struct {
	name  string
	end   func(*caller)
	words string // of a client with an event that waits; "" for none
}{
	{"kick", func(c *caller) { c.session.Close(closed.Kicked, "kicked") }, `40 42["e",1] 1`},
	{"shutdown", func(c *caller) { c.session.shut(websocket.CloseGoingAway, closed.Shutdown, "x") }, `40 42["e",1]`},
	{"nonsense", func(c *caller) { c.session.end(reasonPacket) }, `40 42["e",1] 1`},
	{"close packet", func(c *caller) { c.session.end(reasonClosed) }, ""},
	{"timeout", func(c *caller) { c.session.end(reasonTimeout) }, ""},
}

// fetched is what the next GET is answered.
func (c *caller) fetched() string { return c.look(c.start("GET", "", nil), nil).reply }

// A session that ends while the handler is told of its client: the handler is told of
// the end too, behind that, and what it said meanwhile is kept.
func TestEndWhileGreeting(t *testing.T) {
	for _, w := range windows {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				welcome := make(chan struct{})
				c := newCaller(t, modelConfig, 3, false, func(srv *Server) {
					srv.handler.(*dialect).greet = func(*Session) { <-welcome }
				})
				c.look(c.start("POST", "1:2", nil), nil) // it came back
				if !c.session.Deliver(EventFrame("e", []byte("1"))) {
					t.Error("the handler's event was not taken")
				}
				w.end(c)
				if o := c.look(nil, nil); o.told != "" {
					t.Errorf("the handler heard %q while it is told", o.told)
				}
				want := w.words
				if want == "" {
					want = "400 Session ID unknown"
				}
				if got := c.fetched(); got != want {
					t.Errorf("the client got %q, want %q", got, want)
				}
				close(welcome)
				if o := c.look(nil, nil); !strings.HasPrefix(o.told, "joined, left: ") {
					t.Errorf("the handler heard %q", o.told)
				}
			})
		})
	}
}

// A session that ends while the library is at it: the handler never hears of it, and the
// library takes back what it did.
func TestEndWhileJoining(t *testing.T) {
	for _, w := range windows {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var accept func()
				c := newCaller(t, modelConfig, 3, false, func(srv *Server) {
					library := srv.library.accept
					srv.library.accept = func(args ...any) { accept = func() { library(args...) } }
				})
				if o := c.look(nil, nil); o.told != "" || c.session.Waiting() != 0 {
					t.Errorf("heard %q before the library was", o.told)
				}
				w.end(c)
				synctest.Wait()
				accept()
				if o := c.look(nil, nil); o.told != "" || o.in {
					t.Errorf("the handler heard %q of a client that had gone", o.told)
				}
			})
		})
	}
}

// A library that is quicker to say that a client is there than an end is to come, and an
// end that is quicker than the library is to look.
func TestEndMeetsTheLibrary(t *testing.T) {
	for _, eio := range []int{3, 4} {
		synctest.Test(t, func(t *testing.T) {
			var c *caller
			slow := func(srv *Server) {
				library := srv.library.accept
				srv.library.accept = func(args ...any) {
					args[0].(*engineSocket).session.Close(closed.Kicked, "kicked")
					library(args...)
				}
			}
			c = newCaller(t, modelConfig, eio, false, slow)
			if eio == 4 {
				// Its end is behind the POST, which is good.
				if o := c.look(c.start("POST", "40", nil), nil); o.reply != "ok" {
					t.Errorf("the POST was answered %q", o.reply)
				}
			}
			if o := c.look(nil, nil); o.told != "" {
				t.Errorf("the handler heard %q", o.told)
			}
			if got := c.fetched(); got != "1" {
				t.Errorf("the client got %q", got)
			}
		})
	}
}

// A session that ends when the library has just connected its client, and before the
// handler is told: it never is, and the library forgets the client.
func TestEndBeforeTheWelcome(t *testing.T) {
	for _, w := range windows {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connected := make(chan *socket.Socket)
				c := newCaller(t, modelConfig, 3, false, func(srv *Server) {
					srv.library = newLibrary(*srv.cfg(), func(s *Session, sock *socket.Socket) {
						connected <- sock
						<-connected
						s.connected(sock)
					})
				})
				sock := <-connected
				w.end(c)
				synctest.Wait()
				connected <- nil
				if o := c.look(nil, nil); o.told != "" || o.in {
					t.Errorf("the handler heard %q of a client that had gone", o.told)
				}
				if sock.Connected() {
					t.Error("the library keeps the client")
				}
			})
		})
	}
}

// A session on a WebSocket that is told to close while the handler is told of its client,
// and whose client takes its time: the end comes with the connection's.
func TestCloseWhileGreeting(t *testing.T) {
	still(t, Config{}, func(s *site) {
		welcome := make(chan struct{})
		s.greet = func(*Session) { <-welcome }
		ws := s.dial("EIO=3")
		ws.want("0{...")
		synctest.Wait()
		for _, session := range s.server.all() {
			session.Close(closed.Kicked, "kicked")
		}
		close(welcome)
		take(s.T, s.connected, "the handler to be told")
		synctest.Wait()
		if len(s.closed) > 0 {
			s.Errorf("the handler was told %q of a connection that is there", <-s.closed)
		}
		if heard, code := ws.ended(); code != 1000 || len(heard) != 1 || heard[0] != "40" {
			s.Errorf("heard %q, close code %d", heard, code)
		}
		_ = ws.Close()
		take(s.T, s.closed, "the end")
	})
}

// A library that connects a client twice is told to take the second back, and the handler
// hears of the first alone.
func TestJoinedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sockets []*socket.Socket
		c := newCaller(t, modelConfig, 3, false, func(srv *Server) {
			srv.library = newLibrary(*srv.cfg(), func(s *Session, sock *socket.Socket) {
				sockets = append(sockets, sock)
				s.connected(sock)
			})
		})
		c.look(nil, nil)
		c.session.lib.connect(3)
		o := c.look(nil, nil)
		if len(sockets) != 2 || sockets[1].Connected() {
			t.Fatalf("of %d sockets the second one stays", len(sockets))
		}
		if o.told != "" || !o.in || c.session.ID() != string(sockets[0].Id()) {
			t.Errorf("the handler heard %q of a client that was there: %+v", o.told, o)
		}
	})
}

// A client whose 5 comes when its session is told to close, and before it ends, hears its
// last words on the WebSocket.
func TestMoveBetweenCloseAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, modelConfig, 3, false)
		c.dialSocket()
		c.socket.say("2probe")
		c.look(nil, nil)
		s := c.session
		s.Deliver(EventFrame("e", []byte("1")))
		s.mu.Lock()
		s.live(lifeShut)
		s.mu.Unlock()
		c.socket.say("5")
		if o := c.look(nil, nil); o.heard != "" || o.via != viaMoved {
			t.Errorf("before the end: %+v", o)
		}
		s.end(reasonForced)
		if o := c.look(nil, nil); o.heard != `40 42["e",1]` || o.ended != "1000" || o.life != lifeClosed {
			t.Errorf("at the end: %+v", o)
		}
	})
}

// A session that ends in the midst of a WebSocket's handshake takes no probe.
func TestProbeThatComesTooLate(t *testing.T) {
	for _, w := range windows {
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, modelConfig, 3, false)
				synctest.Wait()
				near, far := newDuplex()
				late := &talk{conn: near, over: make(chan struct{})}
				e := c.prepare("GET", "", far)
				e.hijacked = func() { w.end(c) }
				e.send()
				go late.listen(&wsClient{c.site, near, bufio.NewReader(near)}) // ends with the connection
				<-late.over
				if late.end != "1008" {
					t.Errorf("the WebSocket was closed with %s", late.end)
				}
				if o := c.look(nil, nil); o.via > viaPolling {
					t.Errorf("the session is carried by %d", o.via)
				}
			})
		})
	}
}

// Events go straight to a WebSocket only behind all that was held back.
func TestNothingOvertakesWhatIsHeld(t *testing.T) {
	s := &Session{conn: new(websocket.Conn), via: viaSocketOnly, space: spaceInside}
	for name, change := range map[string]func(*Session){
		"held":     func(s *Session) { s.held = [][]byte{framePong} },
		"joining":  func(s *Session) { s.space = spaceJoining },
		"greeting": func(s *Session) { s.space = spaceGreeting },
		"closing":  func(s *Session) { s.life = lifeClosing },
		"polling":  func(s *Session) { s.conn = nil },
	} {
		other := &Session{conn: s.conn, via: s.via, space: s.space}
		other.route()
		if other.direct.Load() != s.conn {
			t.Fatal("events do not go straight to the WebSocket")
		}
		change(other)
		other.route()
		if other.direct.Load() != nil {
			t.Errorf("%s: events go straight to the WebSocket", name)
		}
	}
}
