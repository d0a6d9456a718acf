package pusher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A hole is the transport to an address that takes a request and never answers.
type hole struct{}

func (hole) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// TestShutdownEndsInTime has everything at once that could keep the end: a client
// that takes nothing, and a webhook that never answers. The other clients are told
// to come back, the other webhook has everything, and all is over in time.
func TestShutdownEndsInTime(t *testing.T) {
	app := testApp()
	hook := Webhook{URL: "http://hook.test/", Headers: map[string]string{"X-Mine": "1"}}
	app.Webhooks = []Webhook{hook, hook}
	s := newSite(t, Config{Apps: []App{app}})
	a := s.d.apps[testID]
	good := &hookReceiver{}
	a.hooks.endpoints[0].client.Transport = hole{}
	a.hooks.endpoints[1].client.Transport = good

	stalled := s.dial()
	stalled.join("big")
	_ = stalled.ws.NetConn().(*net.TCPConn).SetReadBuffer(4096)
	eventually(t, "the stalled one to take nothing more", func() bool {
		for range 20 {
			a.publish("big", "e", jsonString([]byte(strings.Repeat("x", 10_000))), "")
		}
		return s.loop.Stats().Blocked > 0
	})
	peers := make([]*peer, 10)
	for i := range peers {
		peers[i] = s.dial()
		peers[i].join(fmt.Sprint("c", i))
	}
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(func() {
			_ = p.ws.SetReadDeadline(time.Now().Add(patience))
			if err := farewell(p.ws); err != nil {
				t.Error(err)
			}
		})
	}
	const within = 4 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	start := time.Now()
	err := s.d.Shutdown(ctx)
	if took := time.Since(start); took > within {
		t.Errorf("took %s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "1 connections are left") || !strings.Contains(err.Error(), "events are not delivered") ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("returned %v", err)
	}
	wg.Wait()
	all := strings.Join(good.events(), " ")
	for i := range peers {
		for _, name := range []string{hookOccupied, hookVacated} {
			if want := fmt.Sprintf(`{"name":"%s","channel":"c%d"}`, name, i); !strings.Contains(all, want) {
				t.Errorf("%s did not arrive", want)
			}
		}
	}
	// The dead one was to be told of every channel, too.
	if c := s.d.Stats().Counts; c["webhook dropped end"] < 21 || c["webhook sent"] < 21 {
		t.Errorf("counts %v", c)
	}
	_ = stalled.ws.NetConn().Close()
	eventually(t, "the stalled one to be gone", func() bool { return s.d.Stats().Connections == 0 })
}

// TestConnectWhileShutdownBegins has clients connect all the while: each is told to
// come back, or that the server is full, and none keeps the end waiting.
func TestConnectWhileShutdownBegins(t *testing.T) {
	s := newSite(t, Config{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !s.d.draining.Load() {
				p := s.open("/app/"+testKey, nil)
				_ = p.ws.SetReadDeadline(time.Now().Add(patience))
				_, data, err := p.ws.ReadMessage()
				if err == nil && strings.Contains(string(data), "established") {
					if s.d.draining.Load() {
						if err := farewell(p.ws); err != nil {
							t.Error(err)
						}
						return
					}
					_ = p.ws.Close()
				}
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.d.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestShutdownWithoutTime still tells every client to come back.
func TestShutdownWithoutTime(t *testing.T) {
	s := newSite(t, Config{})
	peers := make([]*peer, 30)
	for i := range peers {
		peers[i] = s.dial()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	start := time.Now()
	if err := s.d.Shutdown(ctx); !errors.Is(err, context.Canceled) || time.Since(start) > time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	for _, p := range peers {
		if code := p.closed(); code != codeReconnect {
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
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, codeReconnect) {
		return fmt.Errorf("ended with %w", err)
	}
	return nil
}
