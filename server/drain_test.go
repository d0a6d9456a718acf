package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/dialect"
	"poosh/server/stalltest"
)

// open opens a session of socket.io, of protocol 4, and enters the room "r".
func (r *running) open(t *testing.T) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial("ws://"+r.client+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for _, packet := range []string{"40", `42["room","r"]`} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
			t.Fatal(err)
		}
	}
	r.hear(t, ws, "0{")
	r.hear(t, ws, "40")
	return ws
}

// heard reads a client's events until it is sent away, and says when that was.
func heard(t *testing.T, ws *websocket.Conn) (events string, at time.Time) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	for {
		_, message, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseGoingAway) {
			return events, time.Now()
		}
		if err != nil {
			t.Errorf("not sent away: %v", err)
			return events, time.Now()
		}
		events += string(message) + "\n"
	}
}

// Before anybody is turned away, balancers have DRAIN_DELAY to find that out: the process
// is not ready, and takes whoever comes.
func TestDrainDelay(t *testing.T) {
	const delay = 5 * time.Second
	r := run(t, map[string]string{"ADMIN_PORT": "0", "PUSHER_PORT": "0", "PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": "a secret of some length",
		"DRAIN_DELAY": delay.String(), "SHUTDOWN_TIMEOUT": "10s"}, nil)
	r.isReady(t)
	began := time.Now()
	r.stop()
	for _, at := range []struct{ setting, path string }{{"ADMIN_PORT", "/ready"}, {"CLIENT_PORT", "/ready"}, {"PUSHER_PORT", "/ready"}, {"PUSHER_PORT", "/up/1"}} {
		until(t, at.setting+at.path+" not to be well", func() bool {
			status, _ := get(t, r.Addrs()[at.setting].String(), at.path)
			return status == http.StatusServiceUnavailable
		})
	}
	ws := r.open(t)
	until(t, "a send to reach the client", func() bool { return r.send(t, "r", "during the delay", "1").Header.Get("X-Poosh-Delivered") == "1" })
	if took := time.Since(began); took > delay {
		t.Fatalf("took %v: the test shows nothing", took)
	}
	events, at := heard(t, ws)
	if after := at.Sub(began); !strings.Contains(events, "during the delay") || after < delay {
		t.Errorf("after %v: %q", after, events)
	}
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// A port that fails meanwhile does not end that, and is told of when all has ended.
func TestDrainDelayKeepsWhatFailed(t *testing.T) {
	s, err := New(configured(t, map[string]string{"ADMIN_PORT": "0", "DRAIN_DELAY": "1500ms"}), discard)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.admin.Inherit(ln)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r := &running{Server: s, stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }() // ends with stop
	until(t, "the operators' port to answer", func() bool {
		resp, err := http.Get("http://" + ln.Addr().String() + "/live")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	http.DefaultClient.CloseIdleConnections()
	r.stop()
	until(t, "the process to tell that it ends", s.health.Draining)
	_ = ln.Close()
	if err := r.wait(t); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ends with %v", err)
	}
}

// With DRAIN_TIME clients leave one after the other, and those who are still there hear
// what is sent until the last has left; nobody new is taken meanwhile.
func TestDrainTime(t *testing.T) {
	const clients, over = 80, 4 * time.Second
	r := run(t, map[string]string{"DRAIN_TIME": over.String()}, nil)
	var reading sync.WaitGroup
	var mu sync.Mutex // guards what follows
	var events []string
	var times []time.Time
	for range clients {
		ws := r.open(t)
		reading.Go(func() {
			e, at := heard(t, ws)
			mu.Lock()
			defer mu.Unlock()
			events, times = append(events, e), append(times, at)
		})
	}
	until(t, "all to be in their room", func() bool {
		return r.send(t, "r", "first", "1").Header.Get("X-Poosh-Delivered") == fmt.Sprint(clients)
	})
	began, stalled := time.Now(), stalltest.Watch(t)
	r.stop()
	until(t, "some to have left", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(times) > clients/4
	})
	res := r.send(t, "r", "for who stays", "1")
	handed, err := strconv.Atoi(res.Header.Get("X-Poosh-Delivered"))
	if res.StatusCode != http.StatusOK || err != nil || handed == 0 || handed > clients*3/4 {
		t.Errorf("when a fourth had left a send is answered %d, handed to %d of %d: %v", res.StatusCode, handed, clients, err)
	}
	if _, resp, err := websocket.DefaultDialer.Dial("ws://"+r.client+"/socket.io/?EIO=4&transport=websocket", nil); err == nil || resp == nil || resp.StatusCode != 503 {
		t.Errorf("somebody new: %v", err)
	}
	reading.Wait()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	had := 0
	for _, e := range events {
		if strings.Contains(e, "for who stays") {
			had++
		}
	}
	if had != handed {
		t.Errorf("%d of %d heard what was sent when a fourth had left, and it was handed to %d", had, clients, handed)
	}
	if took := times[len(times)-1].Sub(began); took < over*3/4 || took-stalled() > over*3/2 {
		t.Errorf("the last left after %v", took)
	}
}

// An operator may ask for the end, and is told what it will be; once more changes nothing.
func TestDrainByOperator(t *testing.T) {
	o := operated(t, map[string]string{"DRAIN_DELAY": "1500ms"})
	o.running.open(t) // as the overview knows within a second, and the answer at once
	type answer struct {
		Status string
		Delay  float64 `json:"delay_seconds"`
		Over   float64 `json:"over_seconds"`
		Within float64 `json:"within_seconds"`
		Open   int     `json:"connections"`
	}
	for range 2 {
		var told answer
		if status := o.ask(t, "POST", "/api/drain", "", &told); status != http.StatusAccepted || told != (answer{"draining", 1.5, 0, 2, 1}) {
			t.Errorf("%d %+v", status, told)
		}
	}
	if status := o.ask(t, "POST", "/api/drain?now=1", "", nil); status != http.StatusBadRequest {
		t.Errorf("with a query: %d", status)
	}
	until(t, "the server ends", func() bool {
		c, err := net.Dial("tcp", o.client)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
}

// A process that is too busy for its pace leaves time for what comes behind it, with as
// little of it as the settings allow.
func TestDrainAfterALatePace(t *testing.T) {
	s, err := New(configured(t, map[string]string{"DRAIN_TIME": "3s", "SHUTDOWN_TIMEOUT": "4s"}), discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.loop.Close()
	began, stalled := time.Now(), stalltest.Watch(t)
	var times []time.Duration
	var rest time.Duration // for those who are still there
	s.dialects = append(s.dialects, started{"busy", &dialect.Running{
		Leave: func() []dialect.Leaver {
			return slices.Repeat([]dialect.Leaver{leaving{began, &times, 100 * time.Millisecond}}, 100)
		},
		Shutdown: func(ctx context.Context) error {
			until, _ := ctx.Deadline()
			rest = time.Until(until) + stalled()
			return nil
		},
	}})
	s.drain(s.cfg.Network.ShutdownTimeout)
	if len(times) == 100 || time.Since(began) < 3*time.Second {
		t.Fatalf("%d left: the test shows nothing", len(times))
	}
	if rest < 100*time.Millisecond {
		t.Errorf("%v for what comes behind the pace", rest)
	}
}

// A stranger who does not finish, and a poller who does not come back, keep no client from
// being told, nor what was accepted from arriving.
func TestDrainSharesWithTheAbsent(t *testing.T) {
	for _, over := range []string{"0", "1s"} {
		t.Run("DRAIN_TIME="+over, func(t *testing.T) {
			r := run(t, map[string]string{"SHUTDOWN_TIMEOUT": "4s", "DRAIN_TIME": over}, nil)
			stranger, err := net.Dial("tcp", r.sender)
			if err != nil {
				t.Fatal(err)
			}
			defer stranger.Close()
			fmt.Fprint(stranger, "POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
			if status, _ := get(t, r.client, "/socket.io/?EIO=3&transport=polling"); status != 200 { // who never comes back
				t.Fatal(status)
			}
			ws := r.open(t)
			until(t, "the client to be in its room", func() bool { return r.send(t, "r", "first", "1").Header.Get("X-Poosh-Delivered") == "1" })
			for range 20 {
				if res := r.send(t, "r", "accepted", "1"); res.Header.Get("X-Poosh-Delivered") != "1" {
					t.Fatal(res.Status, res.Header)
				}
			}
			began, stalled := time.Now(), stalltest.Watch(t)
			r.stop()
			events, at := heard(t, ws)
			if n, after := strings.Count(events, "accepted"), at.Sub(began)-stalled(); n != 20 || after > 3*time.Second {
				t.Errorf("%d events of 20, sent away after %v", n, after)
			}
			if err := r.wait(t); err != nil {
				t.Error(err)
			}
			if took := time.Since(began) - stalled(); took > 5*time.Second {
				t.Errorf("the end took %v, SHUTDOWN_TIMEOUT is 4s", took)
			}
		})
	}
}
