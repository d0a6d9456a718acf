package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"poosh/server/cluster/redistest"
	"poosh/server/sends"
)

// echoPage connects a client of laravel-echo that listens to a channel.
func (r *running) echoPage(t *testing.T, channel string) *websocket.Conn {
	t.Helper()
	before, _ := r.hub.Count("echo", channel)
	ws := dialed(t, "ws://"+r.Addrs()["ECHO_PORT"].String()+"/socket.io/?EIO=4&transport=websocket")
	r.hear(t, ws, "0{")
	for _, text := range []string{"40", `42["subscribe",{"channel":"` + channel + `","auth":{"headers":{}}}]`} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	r.hear(t, ws, "40{")
	redistest.Until(t, "it is in the channel", func() bool { n, _ := r.hub.Count("echo", channel); return n == before+1 })
	return ws
}

// What the settings say reaches the dialect: it reads from Redis, tells operators of what is sent,
// of channels and clients, and kicks whom they mean.
func TestEchoIsWired(t *testing.T) {
	redis := redistest.Start(t)
	r := run(t, map[string]string{"ADMIN_PORT": "0", "ECHO_REDIS": "redis://" + redis.Addr, "ECHO_PORT": "0", "ECHO_KEYS": "id:key"}, nil)
	ws, stays := r.echoPage(t, "orders"), r.echoPage(t, "other")
	watcher, err := r.sends.Watch(sends.Filter{Payload: true})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	redistest.Until(t, "messages are read", func() bool { return strings.Contains(redis.Do("PUBSUB", "NUMPAT"), "2") })
	redis.Do("PUBLISH", "laravel_database_orders", `{"event":"App\\Events\\E","data":{"n":1,"socket":null},"socket":null}`)
	r.hear(t, ws, `42["App\\Events\\E","orders",{"n":1}]`)
	<-watcher.More()
	if list, _ := watcher.Take(); len(list) != 1 || list[0].Dialect != "echo" || list[0].Room != "orders" || list[0].Event != `App\Events\E` || list[0].Handed != 1 || list[0].From != "redis" {
		t.Errorf("told of %+v", list)
	}
	api := "http://" + r.Addrs()["ECHO_PORT"].String() + "/apps/id"
	if res, body := post(t, api+"/events?auth_key=key", `{"channel":"orders","name":"e","data":"{\"n\":2}"}`, nil); res.StatusCode != 200 || body != `{"message":"ok"}` ||
		res.Header.Get("X-Poosh-Delivered") != "1" || res.Header.Get("X-Poosh-Id") == "" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
	r.hear(t, ws, `42["e","orders",{"n":2}]`)

	admin := r.Addrs()["ADMIN_PORT"].String()
	for path, want := range map[string]string{
		"/api/rooms?search=ord": `{"dialect":"echo","app":"echo","room":"orders","connections":1`,
		"/metrics":              `poosh_echo_redis_taken_total 1`,
	} {
		if _, body := get(t, admin, path); !strings.Contains(body, want) {
			t.Errorf("%s: %s", path, body)
		}
	}
	if status, body := r.kick(t, "room=orders&dialect=echo"); status != 200 || strings.TrimSpace(body) != `{"kicked":1}` {
		t.Errorf("%d %s", status, body)
	}
	if texts, code := ends(t, ws); code != websocket.CloseNormalClosure || len(texts) == 0 || texts[len(texts)-1] != "41" {
		t.Errorf("told %q and closed with %d", texts, code)
	}
	r.stop()
	if texts, code := ends(t, stays); code != websocket.CloseGoingAway {
		t.Errorf("told %q and closed with %d", texts, code)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// A port that another dialect has is a mistake that says so.
func TestEchoPort(t *testing.T) {
	errs, _ := findingsOf(t, "SERVER_SECRET="+testSecret+"\nECHO_REDIS=redis://127.0.0.1:1\nPUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET=a-secret-of-the-app\n", nil, false)
	if len(errs) != 1 || errs[0] != "ECHO_PORT is 6001: want another port than PUSHER_PORT" {
		t.Errorf("%q", errs)
	}
}

// What was read from Redis when the server is to end still reaches clients.
func TestEchoEnds(t *testing.T) {
	redis := redistest.Start(t)
	r := run(t, map[string]string{"ADMIN_PORT": "0", "ECHO_REDIS": "redis://" + redis.Addr, "ECHO_PORT": "0"}, nil)
	redistest.Until(t, "messages are read", func() bool { return strings.Contains(redis.Do("PUBSUB", "NUMPAT"), "2") })
	r.isReady(t)
	ws := r.echoPage(t, "orders")
	const many = 2000
	redis.Do("EVAL", `for i = 1, ARGV[1] do redis.call("PUBLISH", "laravel_database_orders", '{"event":"e","data":' .. i .. ',"socket":null}') end`, "0", strconv.Itoa(many))
	admin := r.Addrs()["ADMIN_PORT"].String()
	redistest.Until(t, "all is read", func() bool {
		_, body := get(t, admin, "/metrics")
		return strings.Contains(body, fmt.Sprintf("poosh_echo_redis_messages_total %d\n", many))
	})
	r.stop()
	texts, code := ends(t, ws)
	n := 0
	for _, text := range texts {
		if strings.HasPrefix(text, `42["e","orders",`) {
			n++
		}
	}
	if n != many || code != websocket.CloseGoingAway {
		t.Errorf("%d events of %d, and closed with %d", n, many, code)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// While Redis is away /ready says so, and clients are taken.
func TestEchoIsDegraded(t *testing.T) {
	redis := redistest.Start(t)
	r := run(t, map[string]string{"ADMIN_PORT": "0", "ECHO_REDIS": "redis://" + redis.Addr, "ECHO_PORT": "0"}, nil)
	r.isReady(t)
	redis.Kill()
	redistest.Until(t, "the server says what is away", func() bool {
		status, body := get(t, r.Addrs()["ECHO_PORT"].String(), "/ready")
		return status == 200 && strings.Contains(body, `"degraded"`) && faults(t, body) == "echo"
	})
	redis.Run()
	redistest.Until(t, "that is over", func() bool {
		_, body := get(t, r.Addrs()["ECHO_PORT"].String(), "/ready")
		return faults(t, body) == ""
	})
}
