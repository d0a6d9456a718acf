package socktopus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/stalltest"
	ws "poosh/server/websocket"
)

func TestJoinRefused(t *testing.T) {
	s := newSite(t, Config{})
	now := time.Now()
	parts := strings.Split(auth.NewSocktopus("myapp", "s3cret", "12", now), "h")
	forged := strings.Join([]string{parts[0] + "31", parts[1], "32", parts[3]}, "h")
	for _, test := range []struct {
		name, token string
		status      int
		message     string
	}{
		{"malformed", "h", 400, "Malformed token"},
		{"expired", token("1", 6*time.Second), 401, "Token expired"},
		{"expired and unknown", auth.NewSocktopus("nobody", "x", "1", now.Add(-time.Minute)), 401, "Token expired"},
		{"an hour ahead", token("1", -time.Hour), 401, "Token ahead of the clock"},
		{"moved digit", forged, 401, "Token ahead of the clock"},
		{"unknown", auth.NewSocktopus("nobody", "s3cret", "1", now), 404, "Secret not found"},
		{"empty secret", auth.NewSocktopus("EMPTY", "", "1", now), 404, "Secret not found"},
		{"wrong secret", auth.NewSocktopus("myapp", "0ther", "1", now), 401, "Invalid signature"},
		{"no signature", strings.Join(parts[:3], "h") + "h", 401, "Invalid signature"},
	} {
		ws, res, err := s.tryJoin(test.token)
		if err == nil {
			ws.Close()
			t.Errorf("%s: joined", test.name)
			continue
		}
		if res == nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		want := fmt.Sprintf(`{"code":%d,"message":"%s"}`, test.status, test.message)
		if res.StatusCode != test.status || string(body) != want {
			t.Errorf("%s: %d %s, want %s", test.name, res.StatusCode, body, want)
		}
	}
}

// A handshake that the loop refuses is answered by what is wrong with it, or with 429
// when nothing is.
func TestUpgradeRefused(t *testing.T) {
	s := newSite(t, Config{})
	for _, test := range []struct {
		err    error
		status int
		answer string
	}{
		{ws.ErrNotUpgrade, 426, `{"code":426,"message":"WebSocket upgrade required"}`},
		{ws.ErrVersion, 426, `{"code":426,"message":"WebSocket upgrade required"}`},
		{ws.ErrBadKey, 400, `{"code":400,"message":"Bad WebSocket handshake"}`},
		{ws.ErrTooMany, 429, `{"code":429,"message":"Too many connections"}`},
	} {
		w := httptest.NewRecorder()
		s.dialect.refuseUpgrade(w, httptest.NewRequest("GET", "/recieve", nil), test.err)
		if w.Code != test.status || w.Body.String() != test.answer || (w.Header().Get("Retry-After") != "") != (test.status == 429) {
			t.Errorf("%v: %d %s %v", test.err, w.Code, w.Body, w.Header())
		}
	}
	if s.dialect.Stats().Refused["Too many connections"] != 1 {
		t.Error("not counted")
	}
}

// Only a join never waits: what asks for an upgrade elsewhere is none.
func TestIsJoin(t *testing.T) {
	for _, test := range []struct {
		method, path, upgrade string
		want                  bool
	}{
		{"GET", "/recieve?token=x", "websocket", true},
		{"GET", "/receive", "WebSocket", true},
		{"GET", "/recieve", "", false},
		{"GET", "/recieve/", "websocket", false},
		{"POST", "/recieve", "websocket", false},
		{"POST", "/send", "websocket", false},
		{"POST", "/kick", "websocket", false},
		{"GET", "/kick", "websocket", false},
		{"GET", "/", "websocket", false},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", test.upgrade)
		if IsJoin(r) != test.want {
			t.Errorf("%s %s %q: %v", test.method, test.path, test.upgrade, !test.want)
		}
	}
}

func TestFrames(t *testing.T) {
	s := newSite(t, Config{MaxMessage: 1000})
	t.Run("ping", func(t *testing.T) {
		ws := s.join("p")
		write(t, ws, "ping")
		write(t, ws, "PING ")
		write(t, ws, "")
		write(t, ws, "DATA:x")
		write(t, ws, "PING")
		want(t, ws, "PONG")
	})
	t.Run("close", func(t *testing.T) {
		ws := s.join("c")
		write(t, ws, "CLOSE")
		wantClosed(t, ws, true, websocket.CloseNormalClosure)
	})
	t.Run("binary", func(t *testing.T) {
		ws := s.join("b")
		if err := ws.WriteMessage(websocket.BinaryMessage, []byte("PING")); err != nil {
			t.Fatal(err)
		}
		wantClosed(t, ws, true, websocket.CloseNormalClosure)
	})
	t.Run("close frame", func(t *testing.T) {
		ws := s.join("f")
		if err := ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "bye"), time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		wantClosed(t, ws, false, 4321)
	})
	t.Run("too big", func(t *testing.T) {
		ws := s.join("t")
		write(t, ws, strings.Repeat("x", 1001))
		wantClosed(t, ws, false, websocket.CloseMessageTooBig)
	})
}

// Only PING renews the deadline.
func TestDeadline(t *testing.T) {
	s := newSite(t, Config{ReadTimeout: 2 * time.Second})
	start := time.Now()
	quiet, talker, pinger := s.join("quiet"), s.join("talker"), s.join("pinger")
	stop := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() { // ends with stop
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				_ = talker.WriteMessage(websocket.TextMessage, []byte("hello"))
				_ = talker.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
				_ = pinger.WriteMessage(websocket.TextMessage, []byte("PING"))
			}
		}
	})
	wantClosed(t, quiet, true, websocket.CloseNormalClosure)
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("closed after %v", took)
	}
	wantClosed(t, talker, true, websocket.CloseNormalClosure)
	for time.Since(start) < 4500*time.Millisecond {
		want(t, pinger, "PONG")
	}
	close(stop)
	writers.Wait()
}

// The time in which nothing is read from a client is not one in which it was silent.
func TestDeadlineOfWhoIsNotHeard(t *testing.T) {
	s := newSite(t, Config{ReadTimeout: 1500 * time.Millisecond, Outbox: 64 << 20})
	text := strings.Repeat("x", 100<<10)
	frame, events := ws.TextFrame([]byte(text)), 0
	ws := s.join("1")
	c := s.dialect.rules.Load().apps["myapp"].all()[0]
	if !c.conn.OnLoop() {
		t.Skip("connections with goroutines are always heard")
	}
	for ; c.conn.Waiting() < 4<<20; events++ { // beyond what sockets hold
		if !c.Deliver(frame) {
			t.Fatal("refused")
		}
	}
	c.conn.Owe(1 << 20)
	write(t, ws, "PING")
	time.Sleep(3 * time.Second)
	for range events {
		want(t, ws, text)
	}
	want(t, ws, "PONG")
	// It is silent from then on.
	wantClosed(t, ws, true, websocket.CloseNormalClosure)
}

func TestReplacement(t *testing.T) {
	s := newSite(t, Config{})
	old := s.join("1")
	for range 5 {
		newer := s.join("1")
		wantClosed(t, old, true, websocket.CloseNormalClosure)
		if ok, _ := s.send(message{"1", "x"}); ok != 1 {
			t.Fatal("the new connection is not there")
		}
		want(t, newer, "DATA:x")
		old = newer
	}
	s.synced(old)
	for end := time.Now().Add(patience); s.dialect.Stats().Ended["replaced"] < 5 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
	}
	if got := s.dialect.Stats(); got.Connected != 1 || got.Ended["replaced"] != 5 {
		t.Errorf("%+v", got)
	}
}

// TestSendWhileReplaced sends to an id that connection after connection takes from the
// one before: each message that succeeded has reached one of them, once.
func TestSendWhileReplaced(t *testing.T) {
	s := newSite(t, Config{})
	var readers, sender sync.WaitGroup
	var mu sync.Mutex // guards got
	got := make(map[string]int)
	take := func() *websocket.Conn {
		ws, _, err := s.tryJoin(token("1", 0))
		if err != nil {
			t.Fatal(err)
		}
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		readers.Go(func() { // ends with the connection
			for {
				_, text, err := ws.ReadMessage()
				if err != nil {
					return
				}
				mu.Lock()
				got[string(text)]++
				mu.Unlock()
			}
		})
		return ws
	}
	last := take()
	stop := make(chan struct{})
	var sent []string
	sender.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			content := strconv.Itoa(i)
			if ok, _ := s.send(message{"1", content}); ok == 1 {
				sent = append(sent, "DATA:"+content)
			}
		}
	})
	for range 30 {
		last = take()
	}
	close(stop)
	sender.Wait()
	write(t, last, "CLOSE")
	readers.Wait()
	if len(sent) == 0 {
		t.Error("nothing was sent")
	}
	for _, text := range sent {
		if got[text] != 1 {
			t.Errorf("%s was received %d times", text, got[text])
		}
	}
}

// Names meet in any case; two applications do not.
func TestNames(t *testing.T) {
	s := newSite(t, Config{})
	first, _, err := s.tryJoin(auth.NewSocktopus("MYAPP", "s3cret", "1", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	other, _, err := s.tryJoin(auth.NewSocktopus("Other", "0ther", "1", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.synced(first)
	s.synced(other)
	second := s.join("1") // as MyApp
	wantClosed(t, first, true, websocket.CloseNormalClosure)
	s.synced(other)
	s.synced(second)
}

func TestKick(t *testing.T) {
	t.Run("old token", func(t *testing.T) {
		s := newSite(t, Config{})
		ws := s.joinAged("1", 3*time.Second)
		time.Sleep(2200 * time.Millisecond) // the token expires
		stalled := stalltest.Watch(t)
		if took := s.kick("1", "nobody", "1") - stalled(); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		wantClosed(t, ws, true, websocket.CloseNormalClosure)
		// A token made before the kick is as good as one that was used.
		if _, res, err := s.tryJoin(token("1", time.Second)); err == nil || res == nil || res.StatusCode != 403 {
			t.Errorf("came back with an older token: %v", err)
		}
		time.Sleep(2 * time.Millisecond) // a token of the kick's own millisecond counts as made before
		s.join("1")
		s.joinAged("2", time.Second)
	})
	t.Run("fresh token", func(t *testing.T) {
		s := newSite(t, Config{})
		made := time.Now().Truncate(time.Millisecond) // no later than its token, which says milliseconds
		ws := s.join("1")
		done, stalled := make(chan time.Duration, 1), stalltest.Watch(t)
		go func() { done <- s.kick("1") }() // ends with the wait of the kick
		for len(s.dialect.rules.Load().apps["myapp"].allBars()) == 0 {
			time.Sleep(time.Millisecond)
		}
		// Messages still arrive, and nobody comes in, not even with a new token.
		if ok, _ := s.send(message{"1", "still"}); ok != 1 {
			t.Error("not there any more")
		}
		want(t, ws, "DATA:still")
		for {
			ws2, res, err := s.tryJoin(token("1", 0))
			if err == nil { // the answer to the kick may come after this one
				ws2.Close()
				break
			}
			if res == nil || res.StatusCode != 403 {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if after := time.Since(made); after < auth.SocktopusLife {
			t.Fatalf("joined during the wait, after %v", after)
		}
		took := <-done
		if after := time.Since(made); after < auth.SocktopusLife || took-stalled() > 6*time.Second {
			t.Errorf("took %v", took)
		}
		wantClosed(t, ws, true, websocket.CloseNormalClosure)
		s.join("1")
	})
}

// The clock on the wall is set back or forward by an hour between the join and the
// kick: the kick is answered as ever, and with tokens of the new time people come in
// soon.
func TestKickAcrossAClockChange(t *testing.T) {
	for _, change := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(change.String(), func(t *testing.T) {
			t.Parallel()
			var shift atomic.Int64
			s := newSite(t, Config{}, func(d *Dialect) {
				d.wall = func() time.Time { return time.Now().Round(0).Add(time.Duration(shift.Load())) }
			})
			began, stalled := time.Now(), stalltest.Watch(t)
			ws := s.joinAged("1", 4*time.Second)
			shift.Store(int64(change))
			took := s.kick("1") - stalled()
			if after := time.Since(began); after < 900*time.Millisecond || took > 4*time.Second {
				t.Errorf("the kick took %v, and ended after %v", took, after)
			}
			wantClosed(t, ws, true, websocket.CloseNormalClosure)
			for end := time.Now().Add(auth.SocktopusLife + 2*time.Second); ; time.Sleep(50 * time.Millisecond) {
				again, _, err := s.tryJoin(token("1", -change))
				if err == nil {
					again.Close()
					break
				}
				if time.Now().After(end) {
					t.Fatalf("nobody may join: %v", err)
				}
			}
		})
	}
}

// Clients that join again all the time, kicks and pings at once: the process
// stays, and what was kicked stays away until the kick is over.
func TestKickRace(t *testing.T) {
	s := newSite(t, Config{})
	stop := time.Now().Add(3 * time.Second)
	var clients sync.WaitGroup
	var joins, refused atomic.Int64
	for i := range 8 {
		clients.Go(func() { // ends at stop
			for time.Now().Before(stop) {
				ws, _, err := s.tryJoin(token(fmt.Sprint(i), 4800*time.Millisecond))
				if err != nil {
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
					continue
				}
				joins.Add(1)
				_ = ws.SetReadDeadline(stop.Add(patience))
				for err == nil && time.Now().Before(stop) {
					if err = ws.WriteMessage(websocket.TextMessage, []byte("PING")); err == nil {
						_, _, err = ws.ReadMessage()
					}
				}
				ws.Close()
			}
		})
	}
	for i := range 4 {
		clients.Go(func() { // ends soon after stop
			for time.Now().Before(stop) {
				s.kick(fmt.Sprint(2*i), fmt.Sprint(2*i+1))
			}
		})
	}
	clients.Wait()
	if joins.Load() < 8 || refused.Load() == 0 {
		t.Errorf("%d joins, %d refused", joins.Load(), refused.Load())
	}
}

func TestShutdown(t *testing.T) {
	s := newSite(t, Config{})
	ws := s.join("1")
	kicked := s.join("2")
	done, stalled := make(chan time.Duration, 1), stalltest.Watch(t)
	go func() { done <- s.kick("2") }() // ends with Shutdown
	for len(s.dialect.rules.Load().apps["myapp"].allBars()) == 0 {
		time.Sleep(time.Millisecond)
	}
	if ok, _ := s.send(message{"1", strings.Repeat("x", 100_000)}); ok != 1 {
		t.Fatal("not sent")
	}
	ended := make(chan error, 1)
	go func() { ended <- s.dialect.Shutdown(t.Context()) }() // ends when all are closed
	want(t, ws, "DATA:"+strings.Repeat("x", 100_000))
	wantClosed(t, ws, false, websocket.CloseGoingAway)
	wantClosed(t, kicked, true, websocket.CloseNormalClosure)
	if took := <-done - stalled(); took > 3*time.Second {
		t.Errorf("the kick took %v", took)
	}
	if _, res, err := s.tryJoin(token("3", 0)); err == nil || res == nil || res.StatusCode != 503 {
		t.Errorf("joined a server that ends: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A client that takes nothing cannot hold up the end, and not what waits for a kick
// either.
func TestShutdownWithAClientThatDoesNotRead(t *testing.T) {
	s := newSite(t, Config{Outbox: 64 << 20, MaxBody: 2 << 20, ReadTimeout: time.Hour})
	deaf := s.join("deaf")
	_ = deaf.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
	s.join("2")
	for range 6 { // more than the sockets take
		if ok, _ := s.send(message{"deaf", strings.Repeat("x", 1<<20)}); ok != 1 {
			t.Fatal("not sent")
		}
	}
	kicked, stalled := make(chan time.Duration, 1), stalltest.Watch(t)
	go func() { kicked <- s.kick("2") }() // ends with Shutdown
	for len(s.dialect.rules.Load().apps["myapp"].allBars()) == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	err := s.dialect.Shutdown(ctx)
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < 900*time.Millisecond || took-stalled() > 5*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	select {
	case took := <-kicked:
		if took-stalled() > time.Second {
			t.Errorf("the kick took %v", took)
		}
	case <-time.After(patience): // longer than it takes when the end does not answer it
		t.Error("the kick still waits")
	}
	before := stalled()
	if took := s.kick("deaf") - (stalled() - before); took > time.Second {
		t.Errorf("a kick after the end began took %v", took)
	}
	_ = deaf.Close()
}
