package pusher_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"poosh/server/stalltest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/pusher"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/pushertest"
)

// TestShutdownEndsInTime has everything at once that could keep the end: a client
// that takes nothing, and a webhook that never answers. The other clients are told
// to come back, the other webhook has everything, and all is over in time.
func TestShutdownEndsInTime(t *testing.T) {
	pushertest.Alone(t, "the other one tells webhooks of who has left")
	app := pushertest.App()
	dead := pushertest.NewHook(t, func(r *http.Request) int { <-r.Context().Done(); return 200 })
	good := pushertest.NewHook(t, nil)
	app.Webhooks = []pusher.Webhook{dead.Webhook(), good.Webhook()}
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{app}})
	a := s.App()

	stalled := s.Dial()
	stalled.Join("big")
	_ = stalled.WS.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	pushertest.Eventually(t, "the stalled one to take nothing more", func() bool {
		for range 20 {
			a.Publish("big", "e", protocol.JSONString([]byte(strings.Repeat("x", 10_000))), "")
		}
		return s.Loop.Stats().Blocked > 0
	})
	peers := make([]*pushertest.Peer, 10)
	for i := range peers {
		peers[i] = s.Dial()
		peers[i].Join(fmt.Sprint("c", i))
	}
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			_ = p.WS.SetReadDeadline(time.Now().Add(pushertest.Patience))
			if err := farewell(p.WS); err != nil {
				t.Error(err)
			}
		})
	}
	const within = 4 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	start, late := time.Now(), stalltest.Watch(t)
	err := s.Dialect.Shutdown(ctx)
	if took := time.Since(start) - late(); took > within {
		t.Errorf("took %s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "1 connections are left") || !strings.Contains(err.Error(), "events are not delivered") ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("returned %v", err)
	}
	wg.Wait()
	all := good.All()
	for i := range peers {
		for _, name := range []string{"channel_occupied", "channel_vacated"} {
			if want := fmt.Sprintf(`{"name":"%s","channel":"c%d"}`, name, i); !strings.Contains(all, want) {
				t.Errorf("%s did not arrive", want)
			}
		}
	}
	// The dead one was to be told of every channel, too.
	if c := s.Dialect.Stats().Counts; c["webhook dropped end"] < 21 || c["webhook sent"] < 21 {
		t.Errorf("counts %v", c)
	}
	_ = stalled.WS.NetConn().Close()
	pushertest.Eventually(t, "the stalled one to be gone", func() bool { return s.Dialect.Stats().Connections == 0 })
}

// TestConnectWhileShutdownBegins has clients connect all the while: each is told to
// come back, or that the server is full, and none keeps the end waiting.
func TestConnectWhileShutdownBegins(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !s.Dialect.Apps().Draining() {
				p := s.Open("/app/"+pushertest.Key, nil)
				_ = p.WS.SetReadDeadline(time.Now().Add(pushertest.Patience))
				_, data, err := p.WS.ReadMessage()
				if err == nil && strings.Contains(string(data), "established") {
					if s.Dialect.Apps().Draining() {
						if err := farewell(p.WS); err != nil {
							t.Error(err)
						}
						return
					}
					_ = p.WS.Close()
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Dialect.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestShutdownWithoutTime still tells every client to come back.
func TestShutdownWithoutTime(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	peers := make([]*pushertest.Peer, 30)
	for i := range peers {
		peers[i] = s.Dial()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	start, late := time.Now(), stalltest.Watch(t)
	if err := s.Dialect.Shutdown(ctx); !errors.Is(err, context.Canceled) || time.Since(start)-late() > time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	for _, p := range peers {
		if code := p.Closed(); code != protocol.CodeReconnect {
			t.Errorf("closed with %d", code)
		}
	}
}

// farewell reads what a client hears of a server that goes away: pusher:error, without
// which Pysher does not come back, and then a close frame, both with the code 4200.
func farewell(ws *websocket.Conn) error {
	_, data, err := ws.ReadMessage()
	if err != nil || !strings.Contains(string(data), `"pusher:error"`) || !strings.Contains(string(data), "4200") {
		return fmt.Errorf("before the end %s, %v", data, err)
	}
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, protocol.CodeReconnect) {
		return fmt.Errorf("ended with %w", err)
	}
	return nil
}
