package client_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"poosh/server/loop"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

// TestPageThatOpensManyCacheChannels: what a page asks for in one go may be many times what
// may wait for it. It is told all of it, in order, as it reads, and is not closed for that.
func TestPageThatOpensManyCacheChannels(t *testing.T) {
	for name, goroutines := range map[string]bool{"loop": false, "goroutines": true} {
		t.Run(name, func(t *testing.T) {
			const channels = 300
			app := pushertest.App()
			app.MaxChannels, app.MaxEventBytes = channels, 64<<10
			s := pushertest.NewOn(t, pusher.Config{Apps: []pusher.App{app}, CacheBytes: 32 << 20}, slog.New(slog.DiscardHandler), loop.Config{Goroutines: goroutines})
			event := []byte(`"` + strings.Repeat("x", 60<<10) + `"`)
			for i := range channels {
				s.App().Publish(fmt.Sprintf("cache-%d", i), "large", event, "")
			}
			p := s.Dial()
			var burst []byte
			for i := range channels {
				burst = append(burst, maskedFrame(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"cache-%d"}}`, i))...)
			}
			burst = append(burst, maskedFrame(`{"event":"pusher:ping","data":{}}`)...)
			if _, err := p.WS.NetConn().Write(burst); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond) // it reads nothing for a while
			if st := s.Loop.Stats(); st.Queued+st.Blocked > loop.DefaultOutbox {
				t.Errorf("%d bytes wait", st.Queued+st.Blocked)
			}
			for i := range channels {
				channel := fmt.Sprintf("cache-%d", i)
				p.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"` + channel + `","data":"{}"}`)
				if f := p.Read(); f.Channel != channel || f.Event != "large" || len(f.Raw) < 60<<10 {
					t.Fatalf("%d: %.100s", i, f)
				}
			}
			p.Expect(`{"event":"pusher:pong","data":"{}"}`)
			p.Quiet() // it is heard as before
		})
	}
}

// maskedFrame is a text frame of a client, with a mask that changes nothing.
func maskedFrame(text string) []byte {
	if len(text) > 125 {
		panic("a longer frame has another head")
	}
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}
