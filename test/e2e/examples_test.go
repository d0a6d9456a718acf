package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// example is the path of a file in examples.
func example(name ...string) string {
	return filepath.Join(append([]string{root, "examples"}, name...)...)
}

// Each sender among the examples runs as it stands, with a room and without.
func TestExampleSenders(t *testing.T) {
	s := start(t)
	next := listens(t, s, "news")
	t.Setenv("POOSH_URL", s.serverURL()+"/send")
	t.Setenv("POOSH_SECRET", secret)
	laravel := []string{"php", filepath.Join("senders", "laravel_class.php"), example("laravel"), s.serverURL() + "/send", secret}
	for name, command := range map[string][]string{
		"curl":    {"sh", example("curl", "send.sh")},
		"node":    {"node", example("node", "send.js")},
		"php":     {"php", example("php", "send.php")},
		"laravel": laravel,
	} {
		for _, room := range []string{"news", ""} {
			const payload = `{"text":"h\u00e9llo / <b>","list":[],"n":12345678901}`
			args := append(command[1:len(command):len(command)], "event-name", payload)
			if room != "" || name == "laravel" {
				args = append(args, room)
			}
			out := runs(t, "", command[0], args...)
			if !strings.Contains(out, "1") { // connections it was handed to
				t.Errorf("%s printed %q", name, out)
			}
			if got := next("event-name"); got != canonical(payload) {
				t.Errorf("%s, room %q: a client was given %s, want %s", name, room, got, payload)
			}
		}
	}
	// A refusal is said and is an exit code.
	t.Setenv("POOSH_SECRET", "another secret")
	for name, command := range map[string][]string{
		"curl": {"sh", example("curl", "send.sh")}, "node": {"node", example("node", "send.js")}, "php": {"php", example("php", "send.php")},
	} {
		out, err := exec.Command(command[0], command[1]).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "401") {
			t.Errorf("%s with a wrong secret: %v, printed %q; want a failure that names 401", name, err, out)
		}
	}
}

// The example page listens where its address tells it to.
func TestExamplePage(t *testing.T) {
	s := start(t)
	d := drive(t, "browser.js")
	c := d.open(opening{
		Version: "1.3.4", Way: "page", HTML: withBundle(t, read(t, example("browser", "index.html"))),
		Search: "&server=http://localhost:" + port(s.clientPort) + "&room=user-7&event=order.paid",
	})
	c.shows(t, "connected")
	s.waitRoom(t, "user-7", 1)
	s.send(t, "user-7", "order.paid", `{"id":42}`)
	c.shows(t, `{"id":42}`)
}

// The example of a page that misses nothing: it is cut off while events are sent, and loaded
// anew. Another one begins with what comes from then on.
func TestExamplePageMissesNothing(t *testing.T) {
	s := start(t, "HISTORY=2m")
	cutter := newScissors(t, addr(s.clientPort))
	d := drive(t, "browser.js")
	c := d.open(opening{
		Version: "1.3.4", Way: "page", HTML: withBundle(t, read(t, example("browser", "missed.html"))),
		Search: "&server=" + cutter.url() + "&room=user-7&event=order.paid",
	})
	c.shows(t, "from now on nothing is missed")
	s.send(t, "user-7", "order.paid", `1`)
	c.shows(t, "\n1")
	cutter.without(func() {
		c.shows(t, "disconnected")
		s.send(t, "user-7", "order.paid", `2`)
		s.send(t, "other", "order.paid", `99`)
		s.send(t, "user-7", "order.paid", `3`)
	})
	c.shows(t, "2 came while it was away")
	c.shows(t, "1\n2\n3")
	cutter.without(func() {
		c.reload()
		c.shows(t, "connecting")
		s.send(t, "user-7", "order.paid", `4`)
	})
	c.shows(t, "1 came while it was away")
	s.send(t, "user-7", "order.paid", `5`)
	c.shows(t, "4\n5")
	s.stop()
	s.restart()
	c.shows(t, "something may be missing")
}

// A page may take its client from the server itself when a file is named.
func TestClientScriptOfTheServer(t *testing.T) {
	script, err := filepath.Abs(filepath.Join("npm", "node_modules", "sio-1.3.4", "socket.io.js"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "CLIENT_SCRIPT="+script)
	d := drive(t, "browser.js")
	server := "http://localhost:" + port(s.clientPort)
	c := d.open(opening{Version: "1.3.4", Way: "own script", HTML: `<!doctype html><p id="out">nothing</p>
		<script src="` + server + `/socket.io/socket.io.js"></script>
		<script>
			var socket = io.connect('` + server + `');
			socket.on('connect', function () { socket.emit('room', 'script'); });
			socket.on('e', function (data) { document.getElementById('out').textContent = 'heard ' + data; });
		</script>`})
	s.waitRoom(t, "script", 1)
	s.send(t, "script", "e", `"it"`)
	c.shows(t, "heard it")

	// Without a file it is somewhere else.
	other := start(t)
	a := ask(t, "GET", other.clientURL()+"/socket.io/socket.io.js", "")
	if a.status < 301 || a.status > 308 || !strings.HasPrefix(a.header.Get("Location"), "https://") {
		t.Errorf("without CLIENT_SCRIPT: status %d to %q, want a redirect", a.status, a.header.Get("Location"))
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// cdn is where the pages of the README and the examples load the client from.
const cdn = "https://cdn.socket.io/socket.io-1.3.4.js"

// withBundle makes a page load the client from the npm package instead.
func withBundle(t *testing.T, html string) string {
	t.Helper()
	if strings.Count(html, cdn) != 1 {
		t.Fatalf("the page should load %s once:\n%s", cdn, html)
	}
	return strings.Replace(html, cdn, "{{bundle}}", 1)
}
