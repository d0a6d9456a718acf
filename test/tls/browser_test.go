package tls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"poosh/server/logtest"
)

// A browser is Chromium, as the tests of socket.io's clients drive it.
type browser struct {
	t   *testing.T
	in  io.WriteCloser
	out *logtest.Buffer // a line of JSON for each thing that a page sees
}

// browse starts a browser that takes a server by its certificate, whoever has signed that.
func browse(t *testing.T, cert string) *browser {
	t.Helper()
	module(t, "e2e/npm", "playwright-core")
	tool(t, "chromium", "chromium")
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	cmd := exec.Command(tool(t, "node", "nodejs"), filepath.Join("..", "e2e", "npm", "drive", "browser.js"))
	cmd.Env = append(cmd.Environ(), "CHROMIUM_FLAGS=--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(sum[:]))
	b := &browser{t: t}
	if b.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	b.out = start(t, cmd)
	t.Cleanup(func() { // before it is killed, which would leave Chromium behind
		_ = b.in.Close()
		defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
		_ = cmd.Wait()
	})
	return b
}

// open opens a page.
func (b *browser) open(page map[string]any) {
	b.t.Helper()
	page["op"] = "open"
	line, err := json.Marshal(page)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		b.t.Fatal(err)
	}
}

// saw is what a page saw of a kind, or of a name.
func (b *browser) saw(page, what string) (texts []string) {
	b.t.Helper()
	for line := range strings.Lines(b.out.String()) {
		var r struct{ ID, Saw, Name, Text string }
		if !strings.HasSuffix(line, "\n") || json.Unmarshal([]byte(line), &r) != nil {
			continue // it is not whole, or what node says
		}
		if r.Saw == "fault" {
			b.t.Fatalf("the browser: %s", r.Text)
		}
		if r.ID == page && (r.Saw == what || r.Name == what) {
			texts = append(texts, r.Text)
		}
	}
	return texts
}

// sourcePage is a page without any library.
const sourcePage = `<!doctype html><title>events</title><script>
const source = new EventSource('{{url}}/events?room=r')
for (const name of ['e', 'poosh:connected', 'poosh:closed']) source.addEventListener(name, e => report({ saw: 'event', name, text: e.data }))
</script>`

// TestBrowser has pages of another origin listen in each way, over TLS: they hear an event, and
// are told when the server ends.
func TestBrowser(t *testing.T) {
	t.Parallel()
	set, _, _, _ := files(t, "push.example.com")
	s := serve(t, set, nil)
	url := "https://" + addr(s.client)
	b := browse(t, set["TLS_CERT"])
	pages := map[string]string{"EventSource": "poosh:connected"} // and what each sees once it is in
	b.open(map[string]any{"id": "EventSource", "version": "none", "html": strings.Replace(sourcePage, "{{url}}", url, 1)})
	for _, version := range []string{"1.3.4", "4.8.1"} {
		for way, in := range map[string]string{"polling": "connect", "websocket": "connect", "upgrade": "upgrade"} {
			id := version + " " + way
			pages[id] = in
			b.open(map[string]any{"id": id, "version": version, "way": way, "url": url, "listen": []string{"e"}, "options": map[string]any{"reconnection": false}})
		}
	}
	for page, in := range pages {
		eventually(t, page+" to be in", func() bool { return len(b.saw(page, in)) > 0 })
	}
	if err := s.send("http", nil, "hello"); err != nil {
		t.Fatal(err)
	}
	for page := range pages {
		eventually(t, page+" to hear", func() bool { return len(b.saw(page, "e")) > 0 })
		if got := b.saw(page, "e"); len(got) != 1 || strings.Trim(got[0], "[]") != `"hello"` {
			t.Errorf("%s heard %q", page, got)
		}
	}
	s.stop()
	for page := range pages {
		end, reason := "disconnect", ""
		if page == "EventSource" {
			end, reason = "poosh:closed", `{"reason":"server shutdown"}`
		}
		eventually(t, page+" to be told", func() bool { return len(b.saw(page, end)) > 0 })
		if got := b.saw(page, end)[0]; reason != "" && got != reason {
			t.Errorf("%s was told %s", page, got)
		}
	}
}
