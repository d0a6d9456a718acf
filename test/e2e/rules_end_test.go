package e2e

import (
	"fmt"
	"net/http/httptrace"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// settle is how long a request that is written is given to wait in the server: nothing
// outside the server tells when it does.
const settle = 300 * time.Millisecond

// wait sends the poll of a session that has nothing to say and returns where its
// answer will be.
func (p *poller) wait() <-chan answer {
	p.t.Helper()
	done, written := make(chan answer, 1), make(chan struct{})
	ctx := httptrace.WithClientTrace(p.t.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(written) }, // once: no connection is used again
	})
	url := p.url
	go func() { // ends with the answer or the patience of the client
		a, err := tryAskIn(ctx, raw(), "GET", url, "")
		if err != nil {
			a = answer{body: err.Error()}
		}
		done <- a
	}()
	select {
	case <-written:
		time.Sleep(settle)
	case a := <-done: // it could not even be asked
		done <- a
	}
	select {
	case a := <-done:
		p.t.Fatalf("a poll that should wait was answered %d %.200q", a.status, a.body)
	default:
	}
	return done
}

// answered waits for the answer of a waiting poll.
func answered(t *testing.T, name string, done <-chan answer) answer {
	t.Helper()
	select {
	case a := <-done:
		if a.status == 0 {
			t.Errorf("%s: the waiting poll got no answer: %s", name, a.body)
		}
		return a
	case <-time.After(patience):
		t.Fatalf("%s: the waiting poll has no answer after %v", name, patience)
		return answer{}
	}
}

// A client that is told 41 never comes back. At the end of the server a
// WebSocket is closed and a polling client is given the close packet.
func TestShutdownTellsNobodyToStayAway(t *testing.T) {
	s := start(t)
	sockets := make(map[int]*rawSocket)
	for eio := 2; eio <= 4; eio++ {
		ws, err := joinSocket(s.clientPort, eio, "r", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		sockets[eio] = ws
	}
	pollers := make(map[string]*poller)
	waits := make(map[string]<-chan answer)
	for _, query := range []string{"EIO=2", "EIO=3", "EIO=3&b64=1", "EIO=3&j=0", "EIO=4"} {
		p := poll(t, s, query)
		p.hear("40")
		pollers[query], waits[query] = p, p.wait()
	}
	s.signal(syscall.SIGTERM)
	for query, done := range waits {
		a := answered(t, query, done)
		// No close packet but for JSONP: clients in Python and Rust take it for the end of all.
		want := "6"
		if strings.Contains(query, "j=") {
			want = "1"
		}
		if packets := pollers[query].packets(a); a.status != 200 || !slices.Equal(packets, []string{want}) {
			t.Errorf("%s: status %d, packets %q; want 200 and the packet %s", query, a.status, packets, want)
		}
	}
	for eio, ws := range sockets {
		heard, closing, err := ws.hearEnd(patience)
		if err != nil {
			t.Errorf("EIO %d: %v", eio, err)
		}
		if slices.ContainsFunc(heard, func(m string) bool { return strings.HasPrefix(m, "41") }) {
			t.Errorf("EIO %d was told %q", eio, heard)
		}
		if got, want := len(closing) >= 2, eio == 4; got != want {
			t.Errorf("EIO %d: a close frame that holds %q", eio, closing)
		}
	}
	s.waitExit(patience)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	s.checkLog()
}

// A poll that nobody answers holds one of a browser's few connections to the
// server, so the end of a session answers it, whatever ended it.
func TestWaitingPollIsAnsweredAtTheEnd(t *testing.T) {
	s := start(t)
	beating := start(t, "PING_INTERVAL=1s", "PING_TIMEOUT=4s")
	body := func(contentType, body string) func(*testing.T, *poller) {
		return func(t *testing.T, p *poller) {
			payload := body
			if p.eio == 3 && strings.HasPrefix(contentType, "text") {
				payload = fmt.Sprintf("%d:%s", len(body), body)
			}
			ask(t, "POST", p.url, payload, "Content-Type: "+contentType) // the status is another test's
		}
	}
	for name, c := range map[string]struct {
		end  func(*testing.T, *poller)
		want []string // packets that may be the answer
	}{
		"close packet":            {func(t *testing.T, p *poller) { p.post("1") }, []string{"6", "1"}},
		"disconnect, then close":  {func(t *testing.T, p *poller) { p.post("41"); p.post("1") }, []string{"6", "1", "41"}},
		"unknown packet":          {body("text/plain;charset=UTF-8", "9"), []string{"1", "6"}},
		"not a payload":           {body("application/octet-stream", "xyz"), []string{"1", "6"}},
		"not a binary payload":    {body("application/octet-stream", "\x00\x09"), []string{"1", "6"}},
		"malformed event":         {body("text/plain;charset=UTF-8", "42{"), []string{"1", "6"}},
		"nothing for a heartbeat": {nil, []string{"1", "6"}},
	} {
		for _, query := range []string{"EIO=3", "EIO=4"} {
			t.Run(fmt.Sprintf("%s, %s", name, query), func(t *testing.T) {
				t.Parallel()
				on := s
				if c.end == nil {
					on = beating
				}
				p := poll(t, on, query)
				p.hear("40")
				if c.end == nil && query == "EIO=4" {
					p.hear("2") // asked for a sign of life, it gives none
				}
				done := p.wait()
				if c.end != nil {
					c.end(t, p)
				}
				a := answered(t, name, done)
				if a.status == 400 {
					return
				}
				for _, packet := range p.packets(a) {
					if !slices.Contains(c.want, packet) {
						t.Errorf("the answer holds %q, want one of %q", packet, c.want)
					}
				}
			})
		}
	}
}

// A page that is left cuts its poll and says nothing more: its session ends with
// it, and nobody is handed events for it.
func TestCutPollEndsTheSession(t *testing.T) {
	s := start(t)
	for _, query := range []string{"EIO=3", "EIO=3&j=0", "EIO=4"} {
		p := poll(t, s, query)
		p.join("left")
		s.waitRoom(t, "left", 1)
		p.get() // the probes
		c, err := dialFrom(s.clientPort, "")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: e2e\r\n\r\n", strings.TrimPrefix(p.url, s.clientURL()))
		time.Sleep(settle)
		c.Close()
		eventually(t, patience, query+": the session to end", func() bool { return s.status(t).sessions == 0 })
	}
}

// Two polls at once are a mistake of some old browser: the session need not
// survive it, but neither poll may hang.
func TestSecondPollDoesNotHang(t *testing.T) {
	s := start(t)
	p := poll(t, s, "EIO=3")
	p.hear("40")
	first := p.wait()
	second := make(chan answer, 1)
	go func() { // ends with the answer or the patience of the client
		a, err := tryAsk(raw(), "GET", p.url, "")
		if err != nil {
			a = answer{body: err.Error()}
		}
		second <- a
	}()
	answered(t, "the older poll", first)
	// The newer may wait if the session lives; its end then answers it.
	select {
	case a := <-second:
		if a.status == 0 {
			t.Errorf("the newer poll: %s", a.body)
		}
	case <-time.After(settle):
		p.post("1")
		answered(t, "the newer poll", second)
	}
}

// While a WebSocket is being tried, events go on over polling at once; the probe
// frees the waiting poll, and after the change events come by WebSocket.
func TestUpgradeDeliversThroughout(t *testing.T) {
	s := start(t)
	for _, query := range []string{"EIO=2", "EIO=3", "EIO=3&j=0&b64=1", "EIO=4"} {
		t.Run(query, func(t *testing.T) {
			p := poll(t, s, query)
			p.t = t
			p.join("up")
			s.waitRoom(t, "up", 1)
			p.get() // the probes
			done := p.wait()
			ws, err := dialSocket(s.clientPort, fmt.Sprintf("EIO=%d&transport=websocket&sid=%s", p.eio, p.sid), "")
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			ws.say("2probe")
			if got, err := ws.hearPrefix("3"); err != nil || got != "3probe" {
				t.Fatalf("the probe is answered %q, %v", got, err)
			}
			if packets := p.packets(answered(t, "after the probe", done)); !slices.Equal(packets, []string{"6"}) {
				t.Errorf("the probe freed the poll with %q, want 6", packets)
			}
			s.send(t, "up", "before", "1")
			if got := p.hear(`42["before"`); got != `42["before",1]` {
				t.Errorf("event during the upgrade: %q", got)
			}
			ws.say("5")
			s.send(t, "up", "after", "2")
			// The client polls no more once it has said 5; where the event stands
			// when it was faster than the 5 is for the server to sort out.
			if got, err := ws.hear(patience, "the event", func(m string) bool { return strings.HasPrefix(m, "42") }); err != nil || got != `42["after",2]` {
				t.Errorf("event after the upgrade: %q, %v", got, err)
			}
			if query == "EIO=2" {
				// 1.0 writes UTF-8 twice over WebSocket.
				ws.say(twice("42[\"room\",\"caf\u00e9 \U0001F600\"]"))
			} else {
				ws.say("42[\"room\",\"caf\u00e9 \U0001F600\"]")
			}
			s.waitRoom(t, "caf\u00e9 \U0001F600", 1)
			ws.Close()
			s.waitRoom(t, "up", 0)
		})
	}
}

// A change to WebSocket that is never finished costs the WebSocket, not the
// session.
func TestUnfinishedUpgradeLeavesTheSession(t *testing.T) {
	s := start(t, "UPGRADE_TIMEOUT=1s")
	p := poll(t, s, "EIO=3")
	p.join("stays")
	ws, err := dialSocket(s.clientPort, "EIO=3&transport=websocket&sid="+p.sid, "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ws.say("2probe")
	if _, _, err := ws.hearEnd(patience); err != nil {
		t.Errorf("the WebSocket that said no 5: %v", err)
	}
	s.waitRoom(t, "stays", 1)
	s.send(t, "stays", "still", "1")
	p.hear(`42["still",1]`)
}

// A browser that cannot connect asks for a new session hundreds of times a
// second, in each tab; one that can opens a few. The bound stops the first and
// not the second, and not those of other addresses.
func TestPollStormIsBounded(t *testing.T) {
	const bound = 20
	s := start(t, fmt.Sprintf("MAX_UNFINISHED_PER_ADDRESS=%d", bound), "CONNECT_TIMEOUT=6s")
	// Sessions in use do not count, however many.
	for i := range 2 * bound {
		p := poll(t, s, "EIO=3")
		p.hear("40")
		p.post(fmt.Sprintf(`42["room","user %d"]`, i))
	}
	storm := func() (opened, refused int) {
		for range 4 * bound { // well before the first one ends by itself
			a := ask(t, "GET", s.clientURL()+"/socket.io/?EIO=3&transport=polling&t=1-1", "", "Origin: http://page.example")
			switch {
			case a.status == 200:
				opened++
			case a.status >= 400 && a.header.Get("Access-Control-Allow-Origin") == "http://page.example":
				refused++
			default:
				t.Fatalf("status %d %q %v", a.status, a.body, a.header)
			}
		}
		return opened, refused
	}
	opened, refused := storm()
	if opened > bound || refused == 0 {
		t.Errorf("%d of %d handshakes opened a session, the bound is %d", opened, opened+refused, bound)
	}
	if opened == 0 {
		t.Error("no handshake opened a session")
	}
	ws, err := joinSocket(s.clientPort, 3, "r", "127.0.0.9")
	if err != nil {
		t.Errorf("another address is refused too: %v", err)
	} else {
		ws.Close()
	}
	// Sessions that nobody uses end by themselves, and then there is room again.
	eventually(t, 2*patience, "an unused session to end", func() bool {
		return ask(t, "GET", s.clientURL()+"/socket.io/?EIO=3&transport=polling", "").status == 200
	})
}
