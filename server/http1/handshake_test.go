package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
	"poosh/server/loop"
	"poosh/server/quota"
	"poosh/server/secure"
	"poosh/server/websocket"
)

// secured is start for a port that speaks TLS, with who trusts it.
func secured(t testing.TB, cfg Config) (*Server, string, *tls.Config) {
	t.Helper()
	a := certificatetest.New(t)
	cfg.Secure = secure.NewGate(a.Server("http1.example"))
	s, addr := start(t, cfg)
	return s, addr, a.Client()
}

// dialTLS is dial, with the handshake made.
func dialTLS(t testing.TB, addr string, cfg *tls.Config) *peer {
	t.Helper()
	p := dial(t, addr)
	c := tls.Client(p.Conn, cfg)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &peer{c, bufio.NewReader(c), t}
}

// hello is how a client begins, without the end.
const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

// TestSecure serves what a port serves over TLS, and says where it lives.
func TestSecure(t *testing.T) {
	var bounds counts
	h := &shout{closed: make(chan error, 1)}
	l := newLoop(t, loop.Config{})
	sockets := websocket.NewServer(l, websocket.Config{Released: func(netip.Addr) { bounds.Close(netip.Addr{}, 5) }})
	_, addr, trusts := secured(t, Config{Loop: l, Bounds: &bounds, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
			return
		}
		c, err := sockets.Accept(w, r, websocket.Options{MaxMessage: 1000}, h)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		c.Start()
	})})
	p := dialTLS(t, addr, trusts)
	for _, body := range []string{"one", strings.Repeat("two", 100_000)} {
		req, _ := http.NewRequest(http.MethodPost, "https://h/echo", strings.NewReader(body))
		if err := req.Write(p); err != nil {
			t.Fatal(err)
		}
		if res, got := p.hear(); res.StatusCode != 200 || got != body {
			t.Fatalf("%s, %d bytes", res.Status, len(got))
		}
	}
	p.say(upgradeHead("") + maskedText("early"))
	if res, err := http.ReadResponse(p.r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	p.say(maskedText("late"))
	for _, want := range []string{"EARLY false", "LATE false"} {
		got := make([]byte, 2+len(want))
		if _, err := io.ReadFull(p.r, got); err != nil || string(got[2:]) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if st := l.Stats(); st.Conns != 1 || st.Goroutines != 1 || bounds.upgraded.Load() != 1 {
		t.Errorf("%+v, %d upgraded", st, bounds.upgraded.Load())
	}
	p.Close()
	eventually(t, "its place", func() bool { return bounds.closed.Load() == 1 })
}

// TestPlainOnSecure: who forgot the s is told so.
func TestPlainOnSecure(t *testing.T) {
	var bounds counts
	s, addr, _ := secured(t, Config{Handler: newLater(), Bounds: &bounds})
	for _, request := range []string{getNow, "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)} {
		p := dial(t, addr)
		go io.WriteString(p, request) // the answer may come before its end
		res, body := p.hear()
		if res.StatusCode != 400 || !strings.Contains(body, "https://") || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %q", res.Status, body)
		}
		p.Close()
	}
	eventually(t, "the places", func() bool { return bounds.closed.Load() == 2 })
	if got := s.cfg.Secure.Stats(); got.Plain != 2 || got.Done+got.Failed+got.Late != 0 {
		t.Errorf("%+v", got)
	}
}

// TestSlowHandshake: no other byte gives a handshake more time.
func TestSlowHandshake(t *testing.T) {
	var bounds counts
	s, addr, _ := secured(t, Config{Handler: newLater(), Bounds: &bounds, FirstTimeout: 200 * time.Millisecond})
	began := time.Now()
	p := dial(t, addr)
	for i := 0; time.Since(began) < patience; i = (i + 1) % len(hello) {
		if _, err := io.WriteString(p, hello[i:i+1]); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took < 150*time.Millisecond || took > 5*time.Second {
		t.Errorf("it ended after %v", took)
	}
	eventually(t, "its place", func() bool { return bounds.closed.Load() == 1 })
	if got := s.cfg.Secure.Stats(); got.Late != 1 {
		t.Errorf("%+v", got)
	}
}

// TestEvictHandshake: handshakes that do not end make room for who comes.
func TestEvictHandshake(t *testing.T) {
	var bounds counts
	s, addr, trusts := secured(t, Config{Handler: newLater(), Bounds: &bounds})
	bounds.server = s
	var strangers []*peer
	for i := range 20 {
		p := dial(t, addr)
		p.say(hello[:i%len(hello)])
		strangers = append(strangers, p)
	}
	eventually(t, "the strangers", func() bool { return bounds.opened.Load() == 20 })
	time.Sleep(2 * itsTurn)
	bounds.full.Store(true)
	p := dialTLS(t, addr, trusts)
	p.say(getNow)
	if _, body := p.hear(); body != "now 0" {
		t.Errorf("%q", body)
	}
	eventually(t, "a stranger to be gone", func() bool { return bounds.closed.Load() == 1 })
	for _, p := range strangers {
		p.Close()
	}
	eventually(t, "all to be gone", func() bool { return bounds.closed.Load() == 20 })
}

// TestHandshakeCounts: what has arrived of a handshake, and then of a head, counts as
// input until it is there, and can be shed for others'.
func TestHandshakeCounts(t *testing.T) {
	input := quota.New(1 << 20)
	s, addr, trusts := secured(t, Config{Handler: newLater(), Input: input})
	half := dial(t, addr)
	half.say(hello)
	eventually(t, "half a handshake", func() bool { return input.Used() == int64(len(hello)) })
	head := dialTLS(t, addr, trusts)
	head.say(getNow[:20])
	eventually(t, "half a head", func() bool { return input.Used() == int64(len(hello))+20 })
	if n := len(s.Holders()); n != 2 {
		t.Errorf("%d hold something", n)
	}
	head.say(getNow[20:])
	head.hear()
	eventually(t, "the head to be there", func() bool { return input.Used() == int64(len(hello)) && s.waits() })
	head.say(getNow[:25]) // of the next one
	eventually(t, "half a head", func() bool { return input.Used() == int64(len(hello))+25 })
	for _, h := range s.Holders() {
		if !h.End() || h.End() {
			t.Error("it was not ended once")
		}
	}
	half.ends()
	if n, err := io.Copy(io.Discard, head.r); n > 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	eventually(t, "nothing to count", func() bool { return input.Used() == 0 })

	big := dial(t, addr)
	big.say("\x16\x03\x01\x40\x00\x01\x00\xff\xff")
	for range 64 {
		if _, err := io.WriteString(big, strings.Repeat("x", 1024)); err != nil {
			break
		}
	}
	eventually(t, "a hello without an end to be cut", func() bool {
		_, err := io.WriteString(big, "x")
		return err != nil
	})
	eventually(t, "nothing to count", func() bool { return input.Used() == 0 })
}

// TestShutdownOfHandshakes: strangers do not hold up the end.
func TestShutdownOfHandshakes(t *testing.T) {
	var bounds counts
	s, addr, trusts := secured(t, Config{Handler: newLater(), Bounds: &bounds})
	dial(t, addr).say(hello)
	dialTLS(t, addr, trusts)
	dialTLS(t, addr, trusts).say(getNow[:20])
	kept := dialTLS(t, addr, trusts)
	kept.say(getNow)
	kept.hear()
	eventually(t, "all of them", func() bool { return bounds.opened.Load() == 4 && s.cfg.Secure.Stats().Done == 3 })
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil || time.Since(began) > newcomers+4*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	eventually(t, "their places", func() bool { return bounds.closed.Load() == 4 })
}

// TestVersions: TLS 1.2 at least, and HTTP/1.1 alone.
func TestVersions(t *testing.T) {
	_, addr, trusts := secured(t, Config{Handler: newLater()})
	for _, tt := range []struct {
		version uint16
		offers  []string
		good    bool
	}{
		{tls.VersionTLS13, nil, true}, {tls.VersionTLS12, nil, true}, {tls.VersionTLS11, nil, false}, {tls.VersionTLS10, nil, false},
		{tls.VersionTLS13, []string{"h2", "http/1.1"}, true}, {tls.VersionTLS13, []string{"h2"}, false},
	} {
		cfg := trusts.Clone()
		cfg.MinVersion, cfg.MaxVersion, cfg.NextProtos = tt.version, tt.version, tt.offers
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(nc, cfg)
		if err := c.Handshake(); (err == nil) != tt.good {
			t.Errorf("%x, %v: %v", tt.version, tt.offers, err)
		} else if st := c.ConnectionState(); tt.good && (len(tt.offers) > 0) != (st.NegotiatedProtocol == "http/1.1") {
			t.Errorf("%v: chose %q", tt.offers, st.NegotiatedProtocol)
		}
		c.Close()
	}
}

// TestWriteDeadline: the time that a handler gives a long answer is over for all of it, on
// connections that net/http serves too.
func TestWriteDeadline(t *testing.T) {
	answered := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		_, err := w.Write(make([]byte, 64<<20)) // more than sockets take
		answered <- err
	})
	shows := func(t *testing.T, p *peer) {
		p.say(getNow) // and reads nothing
		select {
		case err := <-answered:
			if err == nil {
				t.Error("all of it left")
			}
		case <-time.After(patience):
			t.Error("it is written still")
			p.Close()
			<-answered
		}
	}
	t.Run("plain", func(t *testing.T) {
		_, addr := start(t, Config{Handler: h, Where: everything(Elsewhere)})
		shows(t, dial(t, addr))
	})
	t.Run("TLS", func(t *testing.T) {
		_, addr, trusts := secured(t, Config{Handler: h})
		shows(t, dialTLS(t, addr, trusts))
	})
}

// waits reports whether net/http has answered somebody and waits for the next request.
func (s *Server) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.passed {
		if p.asked {
			return true
		}
	}
	return false
}

// TestFullHead: a head for which there is no room costs its connection, and is not answered
// as if something were wrong with it.
func TestFullHead(t *testing.T) {
	shows := func(t *testing.T, s *Server, p *peer, input *quota.Quota) {
		p.say(getNow)
		p.hear()
		eventually(t, "net/http to wait for the next", s.waits)
		p.say(getNow[:20])
		eventually(t, "half a head", func() bool { return input.Used() == 20 })
		for i, n := 0, 1<<10; n > 0; i++ {
			if !input.Take(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 0, n) {
				n /= 2
			}
		}
		p.say(getNow[20:25])
		_ = p.SetReadDeadline(time.Now().Add(patience))
		if answer, _ := io.ReadAll(p.r); len(answer) > 0 {
			t.Errorf("%q", answer)
		}
	}
	for name, cfg := range map[string]Config{"plain": {Where: everything(Elsewhere)}, "TLS": {}} {
		t.Run(name, func(t *testing.T) {
			cfg.Handler, cfg.Input = newLater(), quota.New(1<<20)
			if name == "plain" {
				s, addr := start(t, cfg)
				shows(t, s, dial(t, addr), cfg.Input)
				return
			}
			s, addr, trusts := secured(t, cfg)
			shows(t, s, dialTLS(t, addr, trusts), cfg.Input)
		})
	}
}
