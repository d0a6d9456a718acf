package clients_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"poosh/auth"
	"poosh/test/process"
)

// The app of the Pusher servers here.
const (
	appID     = "3"
	appKey    = "278d425bdf160c739803"
	appSecret = "7ad3773142a6692b25b8"
)

// Channels that each Pusher client subscribes to.
var channels = []string{"news", "private-news", "presence-news"}

// trigger sends an event as the server of an app does.
func trigger(t *testing.T, p *process.Process, channel, event, data string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"name": event, "channels": []string{channel}, "data": data})
	if err != nil {
		t.Fatal(err)
	}
	path := "/apps/" + appID + "/events"
	url := p.URL() + path + "?" + auth.SignPusherQuery(appKey, appSecret, http.MethodPost, path, body, time.Now())
	resp, err := sender.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("trigger: %s %s", resp.Status, text)
	}
}

// Pusher's clients of Python and Java subscribe to channels of every sort, are given
// what is sent, answer pings, come back after a crash and after a restart, and end.
func TestPusherLife(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{pysher, pusherJava} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			p := process.Start(t, program, "PUSHER_PORT", "PUSHER_APP_ID="+appID, "PUSHER_APP_KEY="+appKey, "PUSHER_APP_SECRET="+appSecret,
				"PUSHER_CLIENT_EVENTS=on", "PUSHER_ACTIVITY_TIMEOUT=1s", "PUSHER_PONG_TIMEOUT=5s", "PUSHER_MAX_EVENT_BYTES=100KiB",
				"LOG_LEVEL=debug", "SHUTDOWN_TIMEOUT=2s", "GORACE=halt_on_error=0 atexit_sleep_ms=0")
			d := drive(t, k, map[string]any{
				"host": "127.0.0.1", "port": p.Port, "key": appKey, "secret": appSecret, "rooms": channels,
			})
			subscribed(t, d, 1)
			take(t, p, d)
			clientEvents(t, p, k, d)

			connects := len(d.seen("connect"))
			time.Sleep(7500 * time.Millisecond) // more than both timeouts together
			if n := len(d.seen("connect")); n != connects {
				t.Errorf("in silence, the client connected %d times more", n-connects)
			}
			take(t, p, d)

			for i, end := range []func(){p.Kill, p.Terminate} {
				end()
				p.Restart()
				subscribed(t, d, i+2)
			}
			take(t, p, d)

			d.say("close")
			d.wait("closed", 1)
			eventually(t, "the end of the connection", func() bool { return p.Status()["websockets"] == 0 })
			d.end()
		})
	}
}

// subscribed waits until the client has subscribed to each channel n times.
func subscribed(t *testing.T, d *driver, n int) {
	t.Helper()
	d.wait("connect", n)
	names := d.wait("subscribed", n*len(channels))
	for _, channel := range channels {
		if !slices.Contains(names[(n-1)*len(channels):], channel) {
			t.Errorf("subscribed to %q, not to %s", names, channel)
		}
	}
}

// take sends each payload to each channel and checks what arrives.
func take(t *testing.T, p *process.Process, d *driver) {
	t.Helper()
	for _, channel := range channels {
		for _, payload := range payloads {
			before := len(d.seen("event"))
			trigger(t, p, channel, "news", payload.json)
			if got := d.wait("event", before+1)[before]; got != payload.json {
				t.Errorf("%s on %s arrived as %.200s, want %.200s", payload.name, channel, got, payload.json)
			}
		}
	}
}

// clientEvents has a second client of the kind hear what the first one says.
func clientEvents(t *testing.T, p *process.Process, k kind, d *driver) {
	t.Helper()
	other := drive(t, k, map[string]any{
		"host": "127.0.0.1", "port": p.Port, "key": appKey, "secret": appSecret, "rooms": channels,
	})
	subscribed(t, other, 1)
	d.say("hello")
	var said struct{ From string }
	if got := other.wait("hello", 1)[0]; json.Unmarshal([]byte(got), &said) != nil || said.From == "" {
		t.Errorf("a client event arrived as %s", got)
	}
	other.say("close")
	other.wait("closed", 1)
	other.end()
	eventually(t, "one connection", func() bool { return p.Status()["websockets"] == 1 })
}
