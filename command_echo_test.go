package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
)

// startEchoes starts a station with pages of Laravel Echo, whose application lets Ann in, by her token or
// her cookie.
func startEchoes(t *testing.T) (*station, *redistest.Server) {
	t.Helper()
	redis := redistest.Start(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, _ := r.Cookie("user")
		switch channel := r.PostFormValue("channel_name"); {
		case r.Header.Get("Authorization") != "Bearer ann" && (cookie == nil || cookie.Value != "ann"):
			http.Error(w, "no", http.StatusForbidden)
		case strings.HasPrefix(channel, "presence-"):
			fmt.Fprint(w, `{"channel_data":{"user_id":7,"user_info":{"name":"Ann"}}}`)
		default:
			fmt.Fprint(w, "true")
		}
	}))
	t.Cleanup(app.Close)
	port := freePorts(t, 1)[0]
	s := startStation(t, "ECHO_REDIS=redis://"+redis.Addr, "ECHO_PORT="+port, "ECHO_PREFIX=app_", "ECHO_AUTH_URL="+app.URL+"/broadcasting/auth", "SHUTDOWN_TIMEOUT=1s")
	s.ports["ECHO_PORT"] = port
	return s, redis
}

// Channels of Laravel Echo are subscribed to, those that are private with what the application wants.
func TestListenCommandOfLaravelEcho(t *testing.T) {
	s, redis := startEchoes(t)
	event := func(channel, event string) { // as Laravel's redis broadcaster publishes it
		redis.Do("PUBLISH", "app_"+channel, `{"event":"App\\Events\\`+event+`","data":{"n":1.50,"socket":null},"socket":null}`)
	}
	until := func(f *following, channel string) { // who subscribes is not told when that is done
		eventually(t, "an event of "+channel, func() bool {
			event(channel, "Paid")
			return strings.Contains(f.stdout.String(), `"channel":"`+channel+`","event":"App\\Events\\Paid","data":{"n":1.50}`)
		})
	}
	public := s.follow("listen", "--laravel-echo", "orders", "--laravel-echo", "orders", "--laravel-echo", "news", "--json")
	until(public, "orders")
	until(public, "news")

	for name, header := range map[string]string{"a token": "Authorization: Bearer ann", "a cookie": "Cookie: user=ann"} {
		f := s.follow("listen", "--laravel-echo", "private-orders", "--laravel-echo", "presence-room", "--header", header, "--json", "--count", "1")
		eventually(t, "the members by "+name, func() bool {
			return strings.Contains(f.stdout.String(), `"channel":"presence-room","event":"presence:subscribed","data":[{"user_id":7,"user_info":{"name":"Ann"}`)
		})
		until(f, "private-orders")
		if code := f.code(t); code != 0 {
			t.Errorf("with %s: exit code %d: %s%s", name, code, f.stdout.String(), f.stderr.String())
		}
	}
	for _, channel := range []string{"private-orders", "presence-room"} {
		out := s.wants(3, "", "poosh: the subscription to "+channel+" is refused with 403 Forbidden", "listen", "--laravel-echo", channel, "--header", "X-A: b")
		if out != "" {
			t.Error(out)
		}
	}
	s.wants(2, "", "poosh: want --room or --pusher or --laravel-echo", "listen", "--laravel-echo", "x", "--room", "y")
	s.wants(2, "", "poosh: --header goes with --laravel-echo", "listen", "--header", "X-A: b")
	s.wants(2, "", "poosh: want a --header such as", "listen", "--laravel-echo", "x", "--header", "nothing")
	if cmd, _, stderr := poosh(t, []string{"SERVER_SECRET=" + secrets["SERVER_SECRET"]}, "listen", "--laravel-echo", "x"); exitCode(t, cmd) != 1 || !strings.Contains(stderr.String(), "ECHO_PORT is not open") {
		t.Error(stderr.String())
	}
}

// A test over Laravel Echo counts what the server has counted, over both transports.
func TestBenchOfLaravelEcho(t *testing.T) {
	s, _ := startEchoes(t)
	for name, args := range map[string][]string{
		"websocket": {"--rooms", "3"},
		"polling":   {"--transport", "polling"},
		"flat":      {"--flat-out", "--publishers", "3", "--rooms", "4"},
	} {
		t.Run(name, func(t *testing.T) {
			s.benchIsCounted(t, append(args, "--protocol", "laravel-echo")...)
		})
	}
	s.benchFails(2, "--sender is of no use", "--protocol", "laravel-echo", "--sender", "http://127.0.0.1:9")
	s.benchFails(2, "clients of Laravel Echo get what is published in their Redis", "--protocol", "laravel-echo", "--emit", "x")
	cmd, _, stderr := poosh(t, []string{"SERVER_SECRET=" + secrets["SERVER_SECRET"], "ECHO_REDIS=redis://192.0.2.1"}, "bench", "--protocol", "laravel-echo", "http://127.0.0.1:"+s.ports["ECHO_PORT"])
	if code := exitCode(t, cmd); code != 2 || !strings.Contains(stderr.String(), "192.0.2.1:6379 is not this machine") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
