package e2e

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// sourcePage is a page of another origin without any library.
const sourcePage = `<!doctype html><title>events</title><script>
const source = new EventSource('{{url}}/events?room=a&room=b')
const tell = (name, text) => report({ saw: 'event', name, text })
for (const name of ['n', 'poosh:connected', 'poosh:closed']) source.addEventListener(name, e => tell(name, e.data))
source.onerror = e => tell('error', String(source.readyState))
</script>`

// A browser's own client is cut off again and again while events flow to two rooms, and sees
// all of them once, in order. It finds the server again after a restart, and is told then
// that something may be missing.
func TestEventSource(t *testing.T) {
	s := start(t, "HISTORY=2m", "HISTORY_EVENTS=10000")
	cutter := newScissors(t, addr(s.clientPort))
	d := drive(t, "browser.js")
	page := d.open(opening{Version: "none", Way: "EventSource", HTML: strings.Replace(sourcePage, "{{url}}", cutter.url(), 1)})
	page.events(t, "poosh:connected", 1)
	const events, cuts = 300, 3
	for n := range events {
		if n%(events/cuts) == events/cuts/2 {
			page.events(t, "poosh:connected", 1+n/(events/cuts)) // it is back since the cut before
			cutter.Reset()
		}
		s.send(t, []string{"a", "b"}[n%2], "n", fmt.Sprint(n))
		s.send(t, "c", "n", "-1")
	}
	for i, text := range page.events(t, "n", events) {
		if text != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, text)
		}
	}
	connected := page.events(t, "poosh:connected", cuts+1)
	for _, text := range connected[1:] {
		if !strings.Contains(text, `"recovered":true`) {
			t.Errorf("told %s", text)
		}
	}
	s.stop()
	if text := page.events(t, "poosh:closed", 1)[0]; text != `{"reason":"server shutdown"}` {
		t.Errorf("at the end it was told %s", text)
	}
	before := len(page.events(t, "poosh:connected", 1))
	s.restart()
	if text := page.events(t, "poosh:connected", before+1)[before]; !strings.Contains(text, `"recovered":false`) {
		t.Errorf("after a restart it was told %s", text)
	}
	s.send(t, "a", "n", `"again"`)
	if got := page.events(t, "n", events+1)[events]; got != `"again"` {
		t.Errorf("after a restart it got %s", got)
	}
	for _, text := range page.events(t, "error", 1) {
		if text != "0" { // CONNECTING; it gives up with 2
			t.Errorf("it came to the state %s", text)
		}
	}
}

// curl shows events as they come, in HTTP/1.0 and 1.1, and through an nginx that speaks HTTP/1.0
// to the server, as it does unless it is told otherwise, or 1.1.
func TestCurlShowsEvents(t *testing.T) {
	s := start(t, "PING_INTERVAL=1s")
	through := nginxTo(t, s)
	for name, args := range map[string][]string{
		"HTTP/1.1":              {s.clientURL()},
		"HTTP/1.0":              {"--http1.0", s.clientURL()},
		"nginx, HTTP/1.0":       {through + "/old"},
		"nginx, HTTP/1.1":       {through + "/new"},
		"nginx, HTTP/1.0 twice": {"--http1.0", through + "/old"},
	} {
		t.Run(name, func(t *testing.T) {
			args[len(args)-1] += "/events?room=a"
			curl := exec.Command("curl", append([]string{"-sSN", "--max-time", fmt.Sprint(int(patience.Seconds()))}, args...)...)
			out, err := curl.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := curl.Start(); err != nil {
				t.Fatalf("curl: %v: apt-get install curl", err)
			}
			defer func() {
				_ = curl.Process.Kill()
				_ = curl.Wait()
			}()
			seen, beats := false, 0
			for lines := bufio.NewScanner(out); lines.Scan(); {
				switch line := lines.Text(); {
				case line == "event: poosh:connected":
					s.send(t, "a", "n", `{"a":1}`)
				case strings.HasPrefix(line, ":"):
					beats++
				case line == `data: {"a":1}`:
					seen = true
				}
				if seen && beats > 0 {
					return
				}
			}
			t.Errorf("it ended; it showed the event: %v; heartbeats: %d", seen, beats)
		})
	}
	eventually(t, patience, "those who have gone to be gone", func() bool {
		return s.send(t, "a", "n", "1") == 0
	})
}

// nginxTo starts an nginx in front of a server, and returns its URL.
func nginxTo(t *testing.T, s *server) string {
	t.Helper()
	listen := freePort(t)
	startNginx(t, t.TempDir(), "server { listen "+addr(listen)+";\n"+
		"location /old/ { proxy_pass "+s.clientURL()+"/; proxy_http_version 1.0; }\n"+
		"location /new/ { proxy_pass "+s.clientURL()+"/; proxy_http_version 1.1; }\n}\n", listen)
	return "http://" + addr(listen)
}
