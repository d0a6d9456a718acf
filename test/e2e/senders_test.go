package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runs starts a program, feeds it and returns what it printed. What it says on
// stderr, or an exit code that is not 0, fails the test.
func runs(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%s: %v\n%s%s", name, err, errs.String(), out.String())
	}
	return out.String()
}

// listens joins a room and returns what hears the next event of a name there.
func listens(t *testing.T, s *server, room string) func(event string) string {
	t.Helper()
	ws, err := joinSocket(s.clientPort, 3, room, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	s.waitRoom(t, room, 1)
	return func(event string) string {
		t.Helper()
		prefix := canonical(`["` + event + `",`)
		got, err := ws.hear(patience, "event "+event, func(m string) bool {
			return strings.HasPrefix(m, "42") && strings.HasPrefix(canonical(m[2:]), prefix)
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(strings.TrimPrefix(canonical(got[2:]), prefix), "]")
	}
}

// PHP signs what json_encode makes, with its slashes escaped, its numbers as PHP
// prints them and its empty arrays as lists. All of it is accepted, and arrives
// token for token.
func TestPHPSenders(t *testing.T) {
	const (
		unescapedSlashes = 64
		unescapedUnicode = 256
		preserveZero     = 1024
		unescapedLines   = 2048
		hexAll           = 1 | 2 | 4 | 8
	)
	type sending struct {
		Room  string `json:"room"`
		Event string `json:"event"`
		PHP   string `json:"php"`
		Flags int    `json:"flags"`
	}
	var cases []sending
	for _, php := range []string{
		`['key1' => 'value1', 'key2' => 'value2']`,
		`['url' => 'https://example.org/a/b', 'slash' => '</script>']`,
		`['name' => 'Café Señor', 'emoji' => '😀', 'lines' => "\u{2028}\u{2029}"]`,
		`[0.1, 1.0, 12.50, -0.0, 1.0e-7, 0.00001, 1.0e25, 1.0E+20, 123456789.12345678, 3.0e100]`,
		`[9007199254740993, PHP_INT_MAX, PHP_INT_MIN, 12345678901234567890]`,
		`['nested' => ['list' => [1, [2, [3]]], 'map' => ['a' => ['b' => ['c' => null]]]]]`,
		`[]`,
		`['empty' => [], 'object' => new stdClass, 'none' => null, 'yes' => true, 'no' => false, '' => '']`,
		`[5 => 'five', 2 => 'two', 'name' => 'x', '-1' => 'minus', '007' => 'bond']`,
		`"line\nfeed \t \r \x08 \x0c \x00 \x1f \x7f \"quoted\" \\ back"`,
		`'just text'`, `42`, `null`, `true`, `1.0`,
		`['<b>&amp;\'"</b>', '+&=%']`,
		`['zwj' => "👨\u{200d}👩\u{200d}👧", 'bom' => "\u{feff}", 'cjk' => '部屋']`,
		`array_fill(0, 1000, ['id' => 123, 'path' => 'a/b/ç'])`,
	} {
		for _, flags := range []int{0, preserveZero, unescapedSlashes | unescapedUnicode, unescapedUnicode | unescapedLines | preserveZero, hexAll} {
			cases = append(cases, sending{Room: "php/é", Event: "événement", PHP: php, Flags: flags})
		}
	}
	s := start(t)
	next := listens(t, s, "php/é")
	var stdin strings.Builder
	for _, c := range cases {
		json.NewEncoder(&stdin).Encode(c)
	}
	lines := bufio.NewReader(strings.NewReader(runs(t, stdin.String(), "php", filepath.Join("senders", "send.php"), s.serverURL()+"/send", secret)))
	for _, c := range cases {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			t.Fatalf("the PHP script stopped before %s", c.PHP)
		}
		var sent struct {
			Status         int
			Signed, Answer string
		}
		if err := json.Unmarshal(line, &sent); err != nil {
			t.Fatalf("the PHP script printed %q: %v", line, err)
		}
		if sent.Status != 200 {
			t.Errorf("%s with flags %d: status %d %q", c.PHP, c.Flags, sent.Status, sent.Answer)
			continue
		}
		if got := next(c.Event); got != canonical(sent.Signed) {
			t.Errorf("%s with flags %d: a client was given %.300s, PHP signed %.300s", c.PHP, c.Flags, got, sent.Signed)
		}
	}
}

// The Laravel package of the Node server knows no rooms: what it sends is for
// everyone, also for those who are in none.
func TestLaravelSenderReachesEveryone(t *testing.T) {
	s := start(t)
	in := listens(t, s, "some room")
	d := drive(t, "node.js")
	const event = `App\Events\OrderShipped`
	c := d.open(opening{Version: "1.3.4", Way: "upgrade", URL: s.clientURL(), Listen: []string{event}})
	c.wait(t, "upgrade", 1)
	out := runs(t, "", "php", filepath.Join("senders", "laravel.php"), s.serverURL()+"/send", secret)
	status, payload, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if !strings.Contains(status, " 200 ") {
		t.Fatalf("the sender was answered %q", status)
	}
	if got := in(`App\\Events\\OrderShipped`); got != canonical(payload) {
		t.Errorf("a client in a room was given %s, want %s", got, payload)
	}
	if got := canonical(c.events(t, event, 1)[0]); got != canonical("["+payload+"]") {
		t.Errorf("a client in no room was given %s, want [%s]", got, payload)
	}
}

func TestCurlSender(t *testing.T) {
	s := start(t)
	next := listens(t, s, "curl")
	const payload = `{"text":"from a shell","n":1.50}`
	for _, more := range [][]string{nil, {"--http1.0"}, {"-H", "Expect: 100-continue"}, {"-H", "Transfer-Encoding: chunked"}} {
		args := append([]string{"-sS", "-i", "-X", "POST", s.serverURL() + "/send", "-H", "Content-Type: application/json",
			"-H", "Authorization: " + token(payload), "-d", body("curl", "e", payload)}, more...)
		out := runs(t, "", "curl", args...)
		if !strings.Contains(out, " 200 OK\r\n") || !strings.Contains(strings.ToLower(out), "x-poosh-delivered: 1\r\n") {
			t.Errorf("curl %v printed %q", more, out)
		}
		if got := next("e"); got != canonical(payload) {
			t.Errorf("curl %v: a client was given %s, want %s", more, got, payload)
		}
	}
}

func TestNodeSender(t *testing.T) {
	s := start(t)
	next := listens(t, s, "node é")
	for text, want := range map[string]string{
		`{"b":1,"a":"é😀\u2028","2":[1.50,12345678901234567890]}`: `{"2":[1.5,12345678901234567000],"b":1,"a":"é😀\u2028"}`,
		`"\ud800"`: `"\ud800"`,
	} {
		out := runs(t, "", "node", filepath.Join("senders", "send.js"), s.serverURL()+"/send", secret, "node é", "e", text)
		if strings.TrimSpace(out) != "200" {
			t.Errorf("%s: the sender was answered %q", text, out)
		}
		if got := next("e"); got != canonical(want) {
			t.Errorf("a client was given %s, want %s", got, want)
		}
	}
}
