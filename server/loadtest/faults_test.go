package loadtest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// What a server says is told in a few words, and each of them whole.
func TestTextsAreBounded(t *testing.T) {
	long := strings.Repeat("€", 1<<20)
	var f faults
	f.add("publish", errors.New(long))
	c := &client{test: &Test{cfg: Config{Protocol: EIO4}}}
	for what, text := range map[string]string{
		"a kind": f.list()[0].Kind, "why": Why(errors.New(long)), "a refusal": c.engine([]byte("44"+long), 0).Error(),
		"an answer": saidNo(http.StatusForbidden, strings.NewReader(long)).Error(),
	} {
		if len(text) > 2*maxKind || len(text) < maxKind/2 || !utf8.ValidString(text) {
			t.Errorf("%s: %d bytes, %q", what, len(text), text[max(len(text)-10, 0):])
		}
	}
}

// Of a client that publishes nothing is left when the test is over: no heartbeat either,
// which in Engine.IO 3 is the client's.
func TestPublishingClientEnds(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for _, text := range []string{`0{"sid":"x","pingInterval":3000000,"pingTimeout":3000000}`, "40"} {
			_ = conn.WriteMessage(websocket.TextMessage, []byte(text))
		}
		_, _, _ = conn.ReadMessage() // until the client has gone
	}))
	defer s.Close()
	cfg := configOf(t, s.URL)
	cfg.Protocol, cfg.Publish, cfg.Emit = EIO3, ByEmit, "say"
	test := New(*cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	via, err := test.newSender(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	test.serving.Wait()
	if via.(*emitter).own.beats.Stop() {
		t.Error("a heartbeat was still to come")
	}
}
