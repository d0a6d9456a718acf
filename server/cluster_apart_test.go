//go:build unix

package server

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/server/pushsocket/store/postgrestest"
)

// A worldly node serves all dialects, each with a client.
type worldly struct {
	*running
	poosh, pusher, octopus, echo, device *websocket.Conn
	mailbox                              *pushDevice
}

const octopusSecret = "0123456789-secret"

// everyDialect starts a node that serves all dialects, and a client of each.
func everyDialect(t *testing.T, redis, db, user string, more ...string) *worldly {
	t.Helper()
	w := &worldly{running: node(t, redis, append([]string{
		"PUSHER_PORT", "0", "PUSHER_APP_ID", "1", "PUSHER_APP_KEY", pusherKey, "PUSHER_APP_SECRET", pusherSecret,
		"SOCKTOPUS_PORT", "0", "A_SOCKTOPUS_SECRET", octopusSecret, "PUSH_SOCKET_PORT", "0", "PUSH_SOCKET_DB", db,
		"ECHO_PORT", "0", "ECHO_REDIS", "redis://" + strings.Split(redis, "/")[0], "ECHO_KEYS", "id:key"}, more...)...)}
	w.poosh = w.listen(t, "r")
	seated(t, "r", w.running)
	w.pusher = dialed(t, "ws://"+w.Addrs()["PUSHER_PORT"].String()+"/app/"+pusherKey+"?protocol=7")
	_, text, err := w.pusher.ReadMessage()
	_, socket, found := strings.Cut(string(text), `socket_id\":\"`)
	socket, _, ends := strings.Cut(socket, `\"`)
	if err != nil || !found || !ends {
		t.Fatalf("%s, %v", text, err)
	}
	member := fmt.Sprintf(`{"user_id":%q}`, user)
	sum := hmac.New(sha256.New, []byte(pusherSecret))
	fmt.Fprint(sum, socket, ":presence-r:", member)
	subscribe, _ := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{"channel": "presence-r", "channel_data": member,
		"auth": pusherKey + ":" + hex.EncodeToString(sum.Sum(nil))}})
	sayAndHear(t, w.pusher, string(subscribe), `\"count\":1}`)
	w.octopus = w.socktopus(t, auth.NewSocktopus("a", octopusSecret, "id", time.Now()))
	sayAndHear(t, w.octopus, "PING", "PONG")
	w.echo = w.echoPage(t, "orders")

	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := w.Addrs()["PUSH_SOCKET_PORT"].String()
	w.mailbox = &pushDevice{"http://" + at, base64.StdEncoding.EncodeToString(public) + "|1", private}
	if status, text := w.mailbox.ask(t, "POST", "/api/v1/key/initial", `{"lastResortKey":{},"prekeys":[{}]}`, ""); status != 200 {
		t.Fatal(status, text)
	}
	w.device = dialed(t, "ws://"+at+"/socket.io/?EIO=3&transport=websocket")
	digits := strconv.FormatInt(time.Now().UnixMilli(), 10)
	sayAndHear(t, w.device, fmt.Sprintf(`42["authentication",{"username":%q,"password":%q}]`, w.mailbox.username,
		digits+"|"+base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(digits)))), `"authorized"`)
	return w
}

// sends sends a text by each dialect to its client, and returns what was not taken.
func (w *worldly) sends(t *testing.T, text string) (refused []string) {
	t.Helper()
	note := func(dialect string, status int, answer string) {
		if status != http.StatusOK {
			refused = append(refused, fmt.Sprintf("%s: %d %s", dialect, status, answer))
		}
	}
	res := w.send(t, "r", "e", strconv.Quote(text))
	note("POST /send", res.StatusCode, "")
	res, answer := w.pusherCall(t, "/events", `{"name":"e","channel":"presence-r","data":"`+text+`"}`)
	note("Pusher", res.StatusCode, answer)
	res, answer = post(t, "http://"+w.Addrs()["SOCKTOPUS_PORT"].String()+"/send",
		`{"secretName":"a","secret":"`+octopusSecret+`","messages":[{"recipient":"id","content":"`+text+`"}]}`, nil)
	note("Socktopus", res.StatusCode, answer)
	res, answer = post(t, "http://"+w.Addrs()["ECHO_PORT"].String()+"/apps/id/events?auth_key=key", `{"channel":"orders","name":"e","data":"`+text+`"}`, nil)
	note("Laravel Echo", res.StatusCode, answer)
	status, answer := w.mailbox.ask(t, "POST", "/api/v1/message", fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%q}],"body":%q}]}`, w.mailbox.username, text), "")
	note("Push Socket", status, answer)
	return refused
}

// hears waits until the client of each dialect has a text, and reports what is another one's.
func (w *worldly) hears(t *testing.T, text, mine string) {
	t.Helper()
	for dialect, ws := range map[string]*websocket.Conn{"socket.io": w.poosh, "Pusher": w.pusher, "Socktopus": w.octopus, "Laravel Echo": w.echo, "Push Socket": w.device} {
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		for there := false; !there; {
			_, got, err := ws.ReadMessage()
			if err != nil {
				t.Fatalf("%s: no %q: %v", dialect, text, err)
			}
			_, of, some := strings.Cut(string(got), "for ")
			if some && !strings.HasPrefix(of, mine) || strings.Contains(string(got), "member_") || string(got) == "CLOSE" {
				t.Errorf("%s, %s: %s", mine, dialect, got)
			}
			there = strings.Contains(string(got), text)
		}
	}
}

// Two clusters on one Redis never meet, in whatever dialect: by a prefix, and by a number of a database, which Redis
// has for keys and not for channels.
func TestClustersApart(t *testing.T) {
	redis, postgres := redistest.Start(t), postgrestest.Start(t, "fsync=off")
	one := everyDialect(t, redis.Addr, postgres.Schema(t), "1")
	others := map[string]*worldly{
		"by a prefix":   everyDialect(t, redis.Addr, postgres.Schema(t), "2", "CLUSTER_PREFIX", "other"),
		"by a database": everyDialect(t, redis.Addr+"/1", postgres.Schema(t), "3"),
	}
	all := map[string]*worldly{"the first": one}
	for name, w := range others {
		all[name] = w
	}
	for name, w := range all {
		for _, other := range all {
			if other != w && other.cluster.Secret() == w.cluster.Secret() {
				t.Errorf("%s: another cluster has the same secret", name)
			}
		}
		if n := len(w.cluster.Nodes()); n != 1 {
			t.Errorf("%s: %d nodes", name, n)
		}
		if refused := w.sends(t, "for "+name); refused != nil {
			t.Errorf("%s: %v", name, refused)
		}
		path := "/apps/1/channels/presence-r"
		query := auth.SignPusherQuery(pusherKey, pusherSecret, http.MethodGet, path, nil, time.Now(), "info=user_count,subscription_count")
		if _, text := get(t, w.Addrs()["PUSHER_PORT"].String(), path+"?"+query); text != `{"occupied":true,"user_count":1,"subscription_count":1}` {
			t.Errorf("%s: %s", name, text)
		}
	}
	if res, text := post(t, "http://"+one.Addrs()["SOCKTOPUS_PORT"].String()+"/kick", `{"secretName":"a","secret":"`+octopusSecret+`","connections":["id"]}`, nil); res.StatusCode != 200 {
		t.Errorf("kick: %s %s", res.Status, text)
	}
	sayAndHear(t, one.octopus, "", "CLOSE")
	one.octopus = one.socktopus(t, auth.NewSocktopus("a", octopusSecret, "id", time.Now().Add(time.Second)))
	sayAndHear(t, one.octopus, "PING", "PONG")
	// What comes from another cluster comes before this, since all of it was sent before.
	for name, w := range all {
		if refused := w.sends(t, "for "+name+", the last"); refused != nil {
			t.Errorf("%s: %v", name, refused)
		}
	}
	for name, w := range all {
		w.hears(t, "for "+name+", the last", name)
	}
}

// With CLUSTER_WHEN_DOWN=local a sender of any dialect reaches the clients of its node while Redis is away.
func TestLocalInEveryDialect(t *testing.T) {
	redis := redistest.Start(t)
	w := everyDialect(t, redis.Addr, postgrestest.Start(t, "fsync=off").Schema(t), "1", "CLUSTER_TIMEOUT", "1s", "CLUSTER_LEASE", "3s", "CLUSTER_WHEN_DOWN", "local")
	redis.Kill()
	redistest.Until(t, "the node to know", func() bool { return !w.cluster.Up() })
	round := 0
	redistest.Until(t, "all dialects to take what is sent", func() bool {
		round++
		refused := w.sends(t, fmt.Sprint("for round ", round))
		if refused != nil {
			t.Log(refused)
		}
		return refused == nil
	})
	w.hears(t, fmt.Sprint("for round ", round), "round")
	redis.Run()
	redistest.Until(t, "Redis to be back", w.cluster.Up)
	redistest.Until(t, "all dialects to take what is sent", func() bool {
		round++
		return w.sends(t, fmt.Sprint("for round ", round)) == nil
	})
	w.hears(t, fmt.Sprint("for round ", round), "round")
}
