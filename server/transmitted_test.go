package server

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poosh/server/pusher/pushertest"
)

// A reader makes requests and counts the bodies that it is answered, by address.
type reader struct {
	t    *testing.T
	http http.Client
	read map[string]int
}

// ask makes a request, whose answer may have any of these statuses.
func (r *reader) ask(method, addr, path string, body io.Reader, status int, header ...string) string {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+addr+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != status {
		r.t.Errorf("%s %s: %d %.80q, want %d", method, path, resp.StatusCode, text, status)
	}
	r.read[addr] += len(text)
	return string(text)
}

// chunked is a body without a length, whose request is net/http's.
func chunked(text string) io.Reader { return io.MultiReader(strings.NewReader(text)) }

// What answers had in them is counted on every port, whoever wrote them, and for whom:
// good ones and refusals, polls, what the loop serves and what net/http does.
func TestTransmittedBytes(t *testing.T) {
	r := run(t, map[string]string{"PUSHER_APP_ID": pushertest.ID, "PUSHER_APP_KEY": pushertest.Key, "PUSHER_APP_SECRET": pushertest.Secret, "PUSHER_PORT": "0",
		"DEMO_SOCKTOPUS_SECRET": socktopusSecret, "OTHER_SOCKTOPUS_SECRET": "another-secret-of-theirs", "SOCKTOPUS_PORT": "0",
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(t.TempDir(), "x.db")}, nil)
	// Each by a connection of its own: one that net/http has once stays there.
	client := &reader{t: t, read: make(map[string]int), http: http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	addrs := r.Addrs()
	pusher, socktopus, push := addrs["PUSHER_PORT"].String(), addrs["SOCKTOPUS_PORT"].String(), addrs["PUSH_SOCKET_PORT"].String()

	// Poosh: its senders, and clients who poll.
	client.ask("GET", r.sender, "/", nil, 401)
	sum := sha1.Sum([]byte(testSecret + "1"))
	signed := []string{"Authorization: " + hex.EncodeToString(sum[:]), "Content-Type: application/json"}
	client.ask("POST", r.sender, "/send", strings.NewReader(`{"event":5,"payload":1}`), 400, signed...)
	client.ask("POST", r.sender, "/send", chunked(`{"event":5,"payload":1}`), 400, signed...)
	client.ask("POST", r.sender, "/send?explain=1", strings.NewReader(`{"event":"e","payload":1}`), 200, signed...)
	client.ask("GET", r.client, "/nothing", nil, 200)
	client.ask("GET", r.client, "/socket.io/socket.io.js", nil, 302)
	for eio := 3; eio <= 4; eio++ {
		path := fmt.Sprintf("/socket.io/?EIO=%d&transport=polling&b64=1", eio)
		path += "&sid=" + sidIn.FindStringSubmatch(client.ask("GET", r.client, path, nil, 200))[1]
		if eio == 4 {
			client.ask("POST", r.client, path, strings.NewReader("40"), 200)
		}
		client.ask("GET", r.client, path, nil, 200)
		client.ask("GET", r.client, strings.Replace(path, "&sid=", "&sid=x", 1), nil, 400)
	}
	// Pusher.
	client.ask("GET", pusher, pushertest.Sign("GET", "/apps/"+pushertest.ID+"/channels", nil, ""), nil, 200)
	client.ask("GET", pusher, "/apps/"+pushertest.ID+"/channels", nil, 401)
	body := `{"name":"e","channel":"c","data":"d"}`
	client.ask("POST", pusher, pushertest.Sign("POST", "/apps/"+pushertest.ID+"/events", nil, body), strings.NewReader(body), 200)
	client.ask("POST", pusher, pushertest.Sign("POST", "/apps/"+pushertest.ID+"/events", nil, body), chunked(body), 200)
	// Socktopus: of one application, and of nobody.
	client.ask("GET", socktopus, "/", nil, 200)
	before := client.read[socktopus]
	send := `{"secretName":"%s","secret":"%s","messages":[{"recipient":"nobody","content":"x"}]}`
	client.ask("POST", socktopus, "/send", strings.NewReader(fmt.Sprintf(send, "demo", socktopusSecret)), 200)
	client.ask("POST", socktopus, "/send", chunked(fmt.Sprintf(send, "demo", socktopusSecret)), 200)
	ofDemo := client.read[socktopus] - before
	client.ask("POST", socktopus, "/send", strings.NewReader(fmt.Sprintf(send, "demo", "wrong")), 401)
	// The Push Socket Protocol.
	client.ask("HEAD", push, "/", nil, 200)
	client.ask("GET", push, "/", nil, 200)
	client.ask("POST", push, "/api/v1/message", strings.NewReader("{}"), 401)
	client.ask("GET", push, "/socket.io/?EIO=3&transport=polling&b64=1", nil, 200)

	numbers := r.portNumbers()
	var wrong []string
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // what is written last is counted a moment later
		s := r.scrape(t)
		wrong = nil
		check := func(what string, got float64, want int) {
			if int(got) != want || want == 0 {
				wrong = append(wrong, fmt.Sprintf("%s: %v bytes, and clients read %d", what, got, want))
			}
		}
		for setting, addr := range addrs {
			port := `port="` + numbers[setting] + `"`
			check(setting, s.sum("poosh_http_transmitted_bytes", port), client.read[addr.String()])
			check(setting, s.sum("poosh_http_transmitted_bytes_total", port), client.read[addr.String()])
		}
		check("one application of two", s.sum("poosh_http_transmitted_bytes", `app_id="demo"`), ofDemo)
		check("neither", s.sum("poosh_http_transmitted_bytes", `app_id=""`), client.read[socktopus]-ofDemo)
		check("Poosh", s.sum("poosh_http_transmitted_bytes", `app_id="poosh"`), client.read[r.client]+client.read[r.sender])
		if len(wrong) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, what := range wrong {
		t.Error(what)
	}
	client.http.CloseIdleConnections()
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}
