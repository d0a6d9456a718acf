// Package laravel_test broadcasts from an application of Laravel, the framework itself as
// Debian has it, through the package of examples/laravel/broadcaster, to clients of
// socket.io: what stands in application is all that is put in the place of an application
// that "composer create-project" makes.
package laravel_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/auth"
	"poosh/test/process"
)

const secret = "thisisthesharedsecret"

var program string

func TestMain(m *testing.M) {
	if !process.Listing() {
		for file, install := range map[string]string{
			"/usr/share/php/Illuminate/Foundation/Application.php":                         "apt-get install php-laravel-framework",
			"/usr/share/php/GuzzleHttp/autoload.php":                                       "apt-get install php-guzzlehttp-guzzle",
			"/usr/bin/composer":                                                            "apt-get install composer",
			filepath.Join("..", "e2e", "npm", "node_modules", "sio-4.8.1", "package.json"): "npm ci --prefix test/e2e/npm",
		} {
			if _, err := os.Stat(file); err != nil {
				fmt.Fprintf(os.Stderr, "test/laravel: there is no %s: %s\n", file, install)
				os.Exit(1)
			}
		}
	}
	os.Exit(process.Main(m, "laravel", false, &program))
}

// An application is one of Laravel that broadcasts through a server.
type application struct {
	t   *testing.T
	dir string
	env []string
}

// install makes the application as its developer would: Composer installs the package, from
// where it lies, and Laravel finds it.
func install(t *testing.T) *application {
	t.Helper()
	a := &application{t: t, dir: filepath.Join(t.TempDir(), "application")}
	if err := os.CopyFS(a.dir, os.DirFS("application")); err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Abs(filepath.Join("..", "..", "examples", "laravel", "broadcaster"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(a.dir, "composer.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(raw), `"PACKAGE"`, strconv.Quote(source), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for _, args := range [][]string{
		{"validate", "--no-interaction", "--strict", "--no-check-publish", "--no-check-version", filepath.Join(source, "composer.json")},
		{"install", "--no-interaction", "--no-progress", "--no-plugins", "--no-scripts"},
	} {
		cmd := exec.Command("composer", args...)
		cmd.Dir = a.dir
		cmd.Env = append(os.Environ(), "COMPOSER_ALLOW_SUPERUSER=1", "COMPOSER_HOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("composer %v: %v\n%s", args, err, out)
		}
	}
	return a
}

// for a server, with a secret.
func (a *application) sendsTo(url, secret string) {
	a.env = []string{"PATH=" + os.Getenv("PATH"), "BROADCAST_CONNECTION=poosh", "POOSH_URL=" + url, "POOSH_SECRET=" + secret, "POOSH_TIMEOUT=20"}
}

// request has the application answer one, with headers, and returns the status and what it
// answers.
func (a *application) request(path string, body map[string]any, headers ...string) (status int, answer map[string]any) {
	a.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	cmd := exec.Command("php", append([]string{filepath.Join(a.dir, "request.php"), "POST", path, string(text)}, headers...)...)
	cmd.Env = a.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	first, rest, _ := strings.Cut(string(out), "\n")
	if status, err = strconv.Atoi(first); err == nil {
		err = json.Unmarshal([]byte(rest), &answer)
	}
	if err != nil {
		a.t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	return status, answer
}

// A listener is a client of socket.io in rooms.
type listener struct {
	t     *testing.T
	id    string
	lines chan map[string]any
}

// listen starts one and returns when events reach it in all rooms.
func (s *server) listen(rooms ...string) *listener {
	s.t.Helper()
	names, err := json.Marshal(rooms)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("node", "listener.js", strconv.Itoa(s.Port), string(names))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	l := &listener{t: s.t, lines: make(chan map[string]any, 1000)}
	s.t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	go func() { // ends with the process
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var line map[string]any
			if json.Unmarshal(lines.Bytes(), &line) == nil {
				l.lines <- line
			}
		}
		close(l.lines)
	}()
	l.id, _ = l.next()["id"].(string)
	for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
		// A client joins its rooms in their order.
		if taken := s.send(rooms[len(rooms)-1], "joined", strconv.Quote(l.id)); taken > 0 && l.hears("joined", l.id) {
			return l
		}
		if time.Now().After(end) {
			s.t.Fatal("it does not join")
		}
	}
}

// next is the next line that it prints.
func (l *listener) next() map[string]any {
	l.t.Helper()
	select {
	case line, open := <-l.lines:
		if !open {
			l.t.Fatal("the listener has ended")
		}
		return line
	case <-time.After(process.Patience):
		l.t.Fatal("the listener hears nothing")
	}
	return nil
}

// hears reports whether an event with a payload is among what has come within a moment.
func (l *listener) hears(event string, payload any) bool {
	for {
		select {
		case line, open := <-l.lines:
			if !open {
				return false
			}
			if line["event"] == event && line["payload"] == payload {
				return true
			}
		case <-time.After(200 * time.Millisecond):
			return false
		}
	}
}

// event is the next one that is none of listen.
func (l *listener) event() string {
	l.t.Helper()
	line := l.next()
	for line["event"] == "joined" {
		line = l.next()
	}
	text, err := json.Marshal(line)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// A server is the program, with the ports for clients and senders.
type server struct {
	*process.Process
	t         *testing.T
	senderURL string
}

func start(t *testing.T, env ...string) *server {
	t.Helper()
	port := process.FreePort(t)
	p := process.Start(t, program, "CLIENT_PORT", append(env, "SERVER_SECRET="+secret, "SERVER_PORT="+strconv.Itoa(port))...)
	return &server{p, t, "http://127.0.0.1:" + strconv.Itoa(port) + "/send"}
}

// send sends an event as any sender does, and returns how many took it.
func (s *server) send(room, event, payload string) int {
	s.t.Helper()
	body := fmt.Sprintf(`{"room":%q,"event":%q,"payload":%s}`, room, event, payload)
	req, err := http.NewRequest("POST", s.senderURL, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {auth.PooshSign(secret, []byte(payload))}}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	taken, err := strconv.Atoi(answer.Header.Get("X-Poosh-Delivered"))
	if err != nil {
		s.t.Fatalf("%s: %s", answer.Status, text)
	}
	return taken
}

// What an application broadcasts arrives: in the rooms of its channels, under its name, with
// its payload, at everybody or at everybody but the one whose request it was.
func TestBroadcast(t *testing.T) {
	s, a := start(t), install(t)
	a.sendsTo(s.senderURL, secret)
	one, other := s.listen("elsewhere", "news"), s.listen("news")
	paid := func(body map[string]any, headers ...string) {
		t.Helper()
		body["order"] = map[string]any{"id": 42, "text": "é/<b>", "list": []int{}}
		if status, answer := a.request("/paid", body, headers...); status != 200 {
			t.Fatalf("the application answers %d %v", status, answer)
		}
	}
	const order = `{"order":{"id":42,"list":[],"text":"é/\u003cb\u003e"}}`
	wants := func(l *listener, want string) {
		t.Helper()
		if got := l.event(); got != want {
			t.Errorf("it hears %s, want %s", got, want)
		}
	}

	paid(map[string]any{"channels": []string{"news"}})
	for _, l := range []*listener{one, other} {
		wants(l, `{"event":"App\\OrderPaid","payload":`+order+`}`)
	}
	// toOthers: who sends its id with the request does not hear of it.
	paid(map[string]any{"channels": []string{"news"}, "as": "others", "others": true}, "X-Socket-ID", one.id)
	paid(map[string]any{"channels": []string{"news", "elsewhere"}, "as": "all"}, "X-Socket-ID", one.id)
	wants(one, `{"event":"all","payload":`+order+`}`)
	wants(one, `{"event":"all","payload":`+order+`}`) // of the other channel
	wants(other, `{"event":"others","payload":`+order+`}`)
	wants(other, `{"event":"all","payload":`+order+`}`)
}

// A private channel is a room whose name only the application can make, and it tells the
// name to who may know it.
func TestPrivateChannel(t *testing.T) {
	s, a := start(t), install(t)
	a.sendsTo(s.senderURL, secret)
	asks := func(channel, user string) (int, string) {
		t.Helper()
		status, answer := a.request("/broadcasting/auth", map[string]any{"channel_name": channel, "socket_id": "x"}, "X-User", user)
		room, _ := answer["room"].(string)
		return status, room
	}
	status, room := asks("private-orders.7", "7")
	if status != 200 || !strings.HasPrefix(room, "private-orders.7:") || len(room) != len("private-orders.7:")+64 {
		t.Fatalf("who may know is answered %d %q", status, room)
	}
	for _, row := range []struct{ channel, user string }{{"private-orders.7", "8"}, {"private-orders.7", ""}, {"private-others.7", "7"}, {"", "7"}} {
		if status, room := asks(row.channel, row.user); status != 403 || room != "" {
			t.Errorf("user %q asks for %q and is answered %d %q", row.user, row.channel, status, room)
		}
	}
	guest, member := s.listen("private-orders.7"), s.listen(room)
	if status, answer := a.request("/paid", map[string]any{"order": map[string]any{"id": 7}, "channels": []string{"private-orders.7"}, "as": "paid"}); status != 200 {
		t.Fatalf("the application answers %d %v", status, answer)
	}
	if got := member.event(); got != `{"event":"paid","payload":{"order":{"id":7}}}` {
		t.Errorf("who may know hears %s", got)
	}
	s.send("private-orders.7", "last", "1")
	if got := guest.event(); got != `{"event":"last","payload":1}` {
		t.Errorf("who has joined the room of the channel's name hears %s", got)
	}
}

// What Poosh does not take is an exception that Laravel knows, and says why, and not what
// the secret is.
func TestExceptions(t *testing.T) {
	s, a := start(t, "MAX_BODY_BYTES=1KiB"), install(t)
	gone := "http://127.0.0.1:" + strconv.Itoa(process.FreePort(t)) + "/send"
	for _, row := range []struct {
		name, url, secret string
		body              map[string]any
		says              string
	}{
		{"nobody there", gone, secret, map[string]any{"channels": []string{"news"}}, "Poosh does not answer, channel news: "},
		{"a wrong secret", s.senderURL, "anothersecretofsome", map[string]any{"channels": []string{"news"}}, "Poosh answers 401, channel news: is POOSH_SECRET its SERVER_SECRET?"},
		{"a wrong path", s.senderURL + "er", secret, map[string]any{"channels": []string{"news"}}, "Poosh answers 404, channel news: only POST /send is here"},
		{"a name that clients cannot get", s.senderURL, secret, map[string]any{"channels": []string{"news"}, "as": "connect"}, "Poosh answers 400, channel news: event has a name that"},
		{"too much", s.senderURL, secret, map[string]any{"channels": []string{"news"}, "order": map[string]any{"text": strings.Repeat("x", 1024)}}, "Poosh answers 413, channel news: body is larger than 1024 bytes"},
		{"an encrypted channel", s.senderURL, secret, map[string]any{"channels": []string{"private-encrypted-news"}}, "nothing is encrypted on the way"},
		{"no secret", s.senderURL, "", map[string]any{"channels": []string{"news"}}, "broadcasting.connections.poosh: secret is not set"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a.sendsTo(row.url, row.secret)
			if row.body["order"] == nil {
				row.body["order"] = map[string]any{}
			}
			status, answer := a.request("/paid", row.body)
			says, _ := answer["message"].(string)
			exception := `Illuminate\Broadcasting\BroadcastException`
			if row.secret == "" {
				exception = "InvalidArgumentException"
			}
			if status != 500 || answer["exception"] != exception || !strings.Contains(says, row.says) {
				t.Errorf("%d %v: %q, want %q", status, answer["exception"], says, row.says)
			}
			if row.secret != "" && strings.Contains(says, row.secret) {
				t.Errorf("the secret is in %q", says)
			}
		})
	}
}
