//go:build linux

package main

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Redis that dies comes back at the same address, without what it had.
func TestRedisComesBackEmpty(t *testing.T) {
	dir := t.TempDir()
	redis, err := startRedis(dir, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	at := redis.clients
	ask(t, at, "SET k v\r\n", "+OK\r\n")
	ask(t, at, "CONFIG GET dir\r\n", dir)
	ask(t, at, "CONFIG GET save\r\n", "$0")
	redis.stop()
	if nc, err := net.DialTimeout("tcp", at.String(), time.Second); err == nil {
		nc.Close()
		t.Fatal("Redis is stopped and answers")
	}
	if redis, err = startRedis(dir, at); err != nil {
		t.Fatal(err)
	}
	defer redis.stop()
	if redis.clients != at {
		t.Errorf("it is back at %v, not at %v", redis.clients, at)
	}
	ask(t, at, "GET k\r\n", "$-1\r\n")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v on disk, %v", left, err)
	}
}

// ask says something to Redis, whose answer must have a part.
func ask(t *testing.T, addr netip.AddrPort, question, part string) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr.String(), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Write([]byte(question)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1000)
	n, err := nc.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), part) {
		t.Errorf("%q is answered %q, %v, want %q", question, b[:n], err, part)
	}
}

// Every server of a cluster is told where Redis is, and no other is.
func TestNodesAreToldOfRedis(t *testing.T) {
	redis := netip.MustParseAddrPort("127.0.0.1:7000")
	for _, name := range serverNames() {
		e := entrant{server: name}
		settings := strings.Join(e.clusterSettings(redis), " ")
		if e.clustered() != strings.Contains(settings, "=redis://127.0.0.1:7000") {
			t.Errorf("%s is told %q", name, settings)
		}
	}
	for _, w := range works(false, size{}) {
		if strings.HasPrefix(w.name, "cluster-") != w.joined {
			t.Errorf("%s: about a cluster is %v", w.name, w.joined)
		}
		if !w.joined && slices.ContainsFunc(w.entrants, entrant.clustered) {
			t.Errorf("%s is done by a cluster", w.name)
		}
	}
}

func TestSiteCountsWebhooks(t *testing.T) {
	s, err := startSite()
	if err != nil {
		t.Fatal(err)
	}
	defer s.server.Close()
	post := func(body string) {
		t.Helper()
		answer, err := http.Post(s.url, "application/json", strings.NewReader(body))
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", answer, err)
		}
		answer.Body.Close()
	}
	const one = `{"name":"member_removed","channel":"presence-a","user_id":"1"}`
	post(`{"time_ms":1,"events":[` + one + `,{"name":"member_removed","channel":"presence-b","user_id":"1"},{"name":"channel_vacated","channel":"presence-a"}]}`)
	if s.told("member_removed") != 2 || s.told("channel_vacated") != 1 || s.wrong() != nil {
		t.Errorf("%d removed, %d vacated, %v", s.told("member_removed"), s.told("channel_vacated"), s.wrong())
	}
	post(`{"events":[` + one + `]}`)
	if err := s.wrong(); err == nil || !strings.Contains(err.Error(), "1 events came twice") {
		t.Errorf("an event that came twice: %v", err)
	}
	post(`{"events":`)
	if err := s.wrong(); err == nil || !strings.Contains(err.Error(), "a webhook:") {
		t.Errorf("half a webhook: %v", err)
	}
}

func TestDifferencesAreMeasured(t *testing.T) {
	byName := make(map[string]work)
	for _, w := range works(false, size{}) {
		byName[w.name] = w
	}
	r := &results{options: options{rounds: 1, payload: 150}}
	for _, d := range differences {
		w := byName[d.work]
		if !slices.Contains(w.columns, d.metric) || !slices.Contains(w.entrants, d.poosh) || !slices.Contains(w.entrants, d.to) {
			t.Errorf("%s does not measure %s of both %v and %v", d.work, d.metric, d.poosh, d.to)
		}
		r.add(d.work, d.to, metrics{d.metric: 10})
		r.add(d.work, d.poosh, metrics{d.metric: 14.9})
	}
	r.add("cluster-paced", joined4, metrics{"p99 ms": 16})
	var out bytes.Buffer
	r.printTargets(&out)
	text := strings.Join(strings.Fields(strings.ReplaceAll(out.String(), "|", " ")), " ")
	for _, want := range []string{"EIO3 poosh 14.9 10.0 at most 5 more yes", "EIO4 poosh 15.4 10.0 at most 5 more NO"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// The names of the peers' programs are those that run builds.
func TestClusterCommands(t *testing.T) {
	o := options{bin: "/bin", node: "/node"}
	for e, want := range map[entrant]string{
		joined: "/bin/poosh", centrifugoes: "/bin/centrifugo", sio4s: "/node/socketio4-redis.js",
	} {
		command := e.command(o, false)
		if got := command[len(command)-1]; got != want {
			t.Errorf("%v is started by %q, want %q", e, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join("node", "socketio4-redis.js")); err != nil {
		t.Error(err)
	}
}
