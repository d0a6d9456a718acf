package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poosh/server/health"
	"poosh/server/hub"
	"poosh/server/loop"
)

// get asks a port and returns the status and what a report says.
func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// faults are the parts that a report says are wrong.
func faults(t *testing.T, body string) string {
	t.Helper()
	var r health.Report
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var parts []string
	for _, f := range r.Faults {
		parts = append(parts, f.Part)
	}
	return strings.Join(parts, " ")
}

// probed are settings with the ports that balancers ask, and the operators'.
func probed(t *testing.T) map[string]string {
	return map[string]string{"ADMIN_PORT": "0", "PUSHER_PORT": "0", "PUSHER_APP_ID": "3", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": "a-secret-of-an-app",
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(t.TempDir(), "x.db")}
}

var probePorts = []string{"ADMIN_PORT", "CLIENT_PORT", "PUSHER_PORT"}

// wantReady asks all ports until they say that.
func (r *running) wantReady(t *testing.T, status int, parts string) {
	t.Helper()
	for _, port := range probePorts {
		for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			got, body := get(t, r.Addrs()[port].String(), "/ready")
			if got == status && (status == 200 || faults(t, body) == parts) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d %s, want %d for %q", port, got, body, status, parts)
			}
		}
	}
}

// isReady waits until the server says so on the operators' port.
func (r *running) isReady(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, body := get(t, r.Addrs()["ADMIN_PORT"].String(), "/ready")
		if status == 200 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", status, body)
		}
	}
}

// What is wrong is told on every port that balancers ask, and nowhere when it is mended.
func TestReadiness(t *testing.T) {
	env := probed(t)
	r := run(t, env, nil)
	for _, port := range probePorts {
		if status, body := get(t, r.Addrs()[port].String(), "/live"); status != 200 || !strings.Contains(strings.ToLower(body), "ok") {
			t.Errorf("%s: /live is %d %s", port, status, body)
		}
	}
	r.wantReady(t, 200, "")

	stuck := make(chan struct{})
	sub := r.hub.Register(health.App, "stuck", 0, nil, receiver(func() { <-stuck }))
	r.wantReady(t, 503, "hub")
	close(stuck)
	r.hub.Unregister(sub)
	r.wantReady(t, 200, "")

	db := env["PUSH_SOCKET_DB"]
	if err := os.Rename(db, db+".away"); err != nil {
		t.Fatal(err)
	}
	r.wantReady(t, 503, "push socket")
	if status, body := get(t, r.Addrs()["CLIENT_PORT"].String(), "/ready"); strings.Contains(body, "x.db") {
		t.Errorf("strangers are told where the database is: %d %s", status, body)
	}
	if err := os.Rename(db+".away", db); err != nil {
		t.Fatal(err)
	}
	r.wantReady(t, 200, "")

	if status, _ := get(t, r.sender, "/ready"); status != 401 {
		t.Errorf("SERVER_PORT: %d, want 401 as for every GET", status)
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

type receiver func()

func (r receiver) Deliver([]byte) bool {
	r()
	return true
}

// The room of a real sender that is stuck with others behind it lets nobody in: the gate
// is full.
func TestReadinessOfAStuckRoom(t *testing.T) {
	r := run(t, map[string]string{"ADMIN_PORT": "0"}, nil)
	stuck := make(chan struct{})
	sub := r.hub.Register("", "stuck", 1, nil, receiver(func() { <-stuck }))
	if err := r.hub.Join(sub, "r"); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	const senders = 32
	for range senders {
		go func() { // ends with stuck
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if r.gate.Enter(ctx) == nil {
				r.hub.Publish(&hub.Publication{Room: "r", Data: []byte("1")})
				r.gate.Leave()
			}
			sent <- struct{}{}
		}()
	}
	admin := r.Addrs()["ADMIN_PORT"].String()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		status, body := get(t, admin, "/ready")
		if status == 503 && faults(t, body) == "publications" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d %s", status, body)
		}
	}
	close(stuck)
	for range senders {
		<-sent
	}
	r.hub.Unregister(sub)
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// blocked is a protocol that blocks the loop's reader.
type blocked chan struct{}

func (b blocked) Data(_ *loop.Conn, data []byte) {
	if len(data) > 0 {
		<-b
	}
}
func (blocked) Closed(*loop.Conn, error) {}
func (blocked) RemoteAddr() string       { return "blocked" }

// A loop that is stuck serves nobody, and the operators' port says so.
func TestReadinessOfAStuckLoop(t *testing.T) {
	r := run(t, map[string]string{"ADMIN_PORT": "0"}, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	stuck := make(blocked)
	c, err := r.loop.AttachConn(near, loop.Options{}, stuck)
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	admin := r.Addrs()["ADMIN_PORT"].String()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if status, body := get(t, admin, "/ready"); status == 503 && faults(t, body) == "loop" {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%d %s", status, body)
		}
	}
	if status, _ := get(t, admin, "/live"); status != 200 {
		t.Errorf("/live: %d", status)
	}
	close(stuck)
	r.isReady(t)
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// A server that is told to end says so on the ports that are still there, before anything
// else happens.
func TestReadinessWhileDraining(t *testing.T) {
	r := run(t, probed(t), func(c *Config) { c.Network.ShutdownTimeout = 60 * time.Second })
	r.wantReady(t, 200, "")
	if err := r.gate.Enter(t.Context()); err != nil { // a sender that does not end: the first phases wait
		t.Fatal(err)
	}
	r.stop()
	r.wantReady(t, 503, "server")
	if status, _ := get(t, r.Addrs()["ADMIN_PORT"].String(), "/live"); status != 200 {
		t.Errorf("/live: %d", status)
	}
	r.gate.Leave()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// Clients who fill their port do not keep operators from theirs.
func TestFullPortsLeaveTheOperators(t *testing.T) {
	r := run(t, map[string]string{"ADMIN_PORT": "0", "MAX_CONNECTIONS": "8", "MAX_SENDER_CONNECTIONS": "8"}, nil)
	var open []net.Conn
	for _, addr := range []string{r.client, r.sender} {
		for range 64 {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
		}
	}
	for range 20 {
		get(t, r.Addrs()["ADMIN_PORT"].String(), "/live") // it answers
	}
	r.isReady(t)
	for _, c := range open {
		_ = c.Close()
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// What the process sends itself is in no number.
func TestCanariesAreNotCounted(t *testing.T) {
	r := run(t, map[string]string{"ADMIN_PORT": "0"}, nil)
	before := readings(r)
	r.isReady(t)
	for _, key := range []string{"published", "delivered", "refused", "connections", "websockets", "polling", "held_back"} {
		after := readings(r)[key]
		for end := time.Now().Add(patience); after != before[key] && key == "connections" && time.Now().Before(end); after = readings(r)[key] {
			time.Sleep(time.Millisecond) // until that of who asked is gone
		}
		if after != before[key] {
			t.Errorf("%s is %d, %d before", key, after, before[key])
		}
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

func readings(r *running) map[string]int64 {
	by := make(map[string]int64)
	for _, m := range r.metrics() {
		if m.Key != "" && len(m.Labels) == 0 {
			by[m.Key] = int64(m.Samples[0].Value)
		}
	}
	return by
}
