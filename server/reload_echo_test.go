package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// echoApplication lets everybody in: into a presence channel as the user that the token is. Of a channel whose
// name ends in held it says nothing until nobody asks any more, and of each member so many bytes.
func echoApplication(t *testing.T, info int) string {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		channel := r.PostFormValue("channel_name")
		if strings.HasSuffix(channel, "held") {
			<-r.Context().Done()
			return
		}
		if !strings.HasPrefix(channel, "presence-") {
			fmt.Fprint(w, "true")
			return
		}
		fmt.Fprintf(w, `{"channel_data":{"user_id":%s,"user_info":%q}}`, r.Header.Get("X-User"), strings.Repeat("x", info))
	}))
	t.Cleanup(app.Close)
	return app.URL
}

// An echoClient is one of laravel-echo.
type echoClient struct {
	*websocket.Conn
	t *testing.T
}

// echoClient connects one.
func (r *running) echoClient(t *testing.T) *echoClient {
	t.Helper()
	c := &echoClient{dialed(t, "ws://"+r.Addrs()["ECHO_PORT"].String()+"/socket.io/?EIO=4&transport=websocket"), t}
	r.hear(t, c.Conn, "0{")
	c.say("40")
	r.hear(t, c.Conn, "40{")
	return c
}

func (c *echoClient) say(text string) {
	c.t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// join subscribes as a user.
func (c *echoClient) join(channel, user string) {
	c.t.Helper()
	c.say(fmt.Sprintf(`42["subscribe",{"channel":%q,"auth":{"headers":{"X-User":%q}}}]`, channel, user))
}

// next is the next event, up to a length that tells which one it is.
func (c *echoClient) next() string {
	c.t.Helper()
	for {
		_, text, err := c.ReadMessage()
		switch {
		case err != nil:
			c.t.Fatal(err)
		case string(text) == "2": // a ping
			c.say("3")
		default:
			return string(text[:min(len(text), 90)])
		}
	}
}

// joins is what a new client is told that subscribes to channels, of the last of them.
func (r *running) joins(t *testing.T, user string, channels ...string) (*echoClient, string) {
	c := r.echoClient(t)
	for _, channel := range channels {
		c.join(channel, user)
	}
	return c, c.next()
}

// Each setting of the dialect of laravel-echo that may change shows its effect on who comes when the settings
// have been read again, and not before.
func TestReloadedEcho(t *testing.T) {
	const joined, whole = `42["presence:subscribed",`, "presence-room"
	get := func(t *testing.T, r *running, path string) *http.Response {
		t.Helper()
		req, _ := http.NewRequest(http.MethodGet, "http://"+r.Addrs()["ECHO_PORT"].String()+path, nil)
		req.Header.Set("Origin", "https://b.example")
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res
	}
	// One that may join is told so of a presence channel.
	room := func(t *testing.T, r *running) string { _, told := r.joins(t, "1", whole); return told }
	large, small := echoApplication(t, 300), echoApplication(t, 1)
	for _, row := range []struct {
		name          string
		set           []string // pairs
		says          func(t *testing.T, r *running) string
		before, after string // what it begins with; empty for what is not looked at
	}{
		{"origins", []string{"ECHO_ORIGINS", "https://a.example"}, func(t *testing.T, r *running) string {
			return get(t, r, "/socket.io/?EIO=4&transport=polling").Status
		}, "200", "403"},
		{"keys", []string{"ECHO_KEYS", "id:other"}, func(t *testing.T, r *running) string {
			return get(t, r, "/apps/id/status?auth_key=other").Status
		}, "403", "200"},
		{"origin of the API", []string{"ECHO_API_ORIGIN", "https://b.example"}, func(t *testing.T, r *running) string {
			return "for " + get(t, r, "/apps/id/status?auth_key=key").Header.Get("Access-Control-Allow-Origin") + "."
		}, "for .", "for https://b.example."},
		{"address", []string{"ECHO_AUTH_URL", small}, func(t *testing.T, r *running) string {
			_, told := r.joins(t, "1", whole)
			return fmt.Sprint(strings.Contains(told, "xxx"))
		}, "true", "false"},
		{"channels", []string{"ECHO_MAX_CHANNELS", "1"}, func(t *testing.T, r *running) string {
			_, told := r.joins(t, "1", "news", whole)
			return told
		}, joined, `42["subscription_error","presence-room",429]`},
		{"members", []string{"ECHO_MAX_MEMBERS", "1"}, func(t *testing.T, r *running) string {
			first, told := r.joins(t, "1", whole)
			if !strings.HasPrefix(told, joined) {
				return told
			}
			defer first.say(`42["unsubscribe",{"channel":"presence-room"}]`)
			_, told = r.joins(t, "2", whole)
			return told
		}, joined, `42["subscription_error","presence-room",503]`},
		{"bytes of a member", []string{"ECHO_MAX_MEMBER_BYTES", "200"}, room, joined, `42["subscription_error","presence-room",413]`},
		{"bytes of an answer", []string{"ECHO_AUTH_MAX_BYTES", "1KiB", "ECHO_AUTH_URL", echoApplication(t, 2000)}, room, joined, `42["subscription_error","presence-room",403]`},
		{"time for an answer", []string{"ECHO_AUTH_TIMEOUT", "100ms"}, func(t *testing.T, r *running) string {
			if r.config().Value("ECHO_AUTH_TIMEOUT") == 5*time.Minute {
				return ""
			}
			_, told := r.joins(t, "1", "private-held")
			return told
		}, "", `42["subscription_error","private-held",0]`},
		{"questions", []string{"ECHO_AUTH_CONCURRENCY", "1", "ECHO_AUTH_QUEUE", "1"}, func(t *testing.T, r *running) string {
			_, told := r.joins(t, "1", "private-1-held", "private-2-held", "private-3-held", "private-4-held", whole)
			return told
		}, joined, `42["subscription_error","private-`},
		{"grace", []string{"ECHO_PRESENCE_GRACE", "0s"}, func(t *testing.T, r *running) string {
			if r.config().Value("ECHO_PRESENCE_GRACE") == time.Minute { // nothing to wait for
				return ""
			}
			stays, _ := r.joins(t, "1", whole)
			goes, _ := r.joins(t, "2", whole)
			if told := stays.next(); !strings.HasPrefix(told, `42["presence:joining"`) {
				return told
			}
			_ = goes.Close()
			return stays.next()
		}, "", `42["presence:leaving"`},
		{"whispers", []string{"ECHO_CLIENT_EVENT_RATE", "1/1h"}, func(t *testing.T, r *running) string {
			hears, _ := r.joins(t, "1", whole)
			says, _ := r.joins(t, "2", whole)
			hears.next() // the other joins
			for n := range 3 {
				says.say(fmt.Sprintf(`42["client event",{"channel":"presence-room","event":"client-%d","data":1}]`, n))
			}
			says.say(`42["unsubscribe",{"channel":"presence-room"}]`)
			return hears.next()[:13] + hears.next()
		}, `42["client-0"42["client-1"`, `42["client-0"42["presence:leaving"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := write(map[string]string{"ECHO_REDIS": "redis://127.0.0.1:1", "ECHO_PORT": "0", "ECHO_AUTH_URL": large, "ECHO_KEYS": "id:key", "ECHO_PRESENCE_GRACE": "1m", "ECHO_AUTH_TIMEOUT": "5m", "SHUTDOWN_TIMEOUT": "5s"})
			r := w.serve(t)
			before := row.says(t, r)
			w.set(row.set...)
			r.reload(t)
			after := row.says(t, r)
			if !strings.HasPrefix(before, row.before) || !strings.HasPrefix(after, row.after) {
				t.Errorf("before %s, want %s; afterwards %s, want %s", before, row.before, after, row.after)
			}
		})
	}
}
