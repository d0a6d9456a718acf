package socktopus_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/test/process"
)

// The example's application lets a client in, and its sender sends to it and kicks
// it. What is started is what its README says.
func TestExample(t *testing.T) {
	t.Parallel()
	const secret = "DEMO_SOCKTOPUS_SECRET=replace-this-secret"
	p := start(t, secret)
	dir := filepath.Join("..", "..", "examples", "socktopus")
	env := append(os.Environ(), secret, "SOCKTOPUS_URL="+p.URL())
	port := strconv.Itoa(process.FreePort(t))
	app := exec.Command("node", "app.js")
	app.Dir, app.Env = dir, append(env, "APP_PORT="+port)
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = app.Process.Kill()
		_ = app.Wait() // killed
	}()
	var res *http.Response
	for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if res, err = http.Get("http://127.0.0.1:" + port + "/token?id=alice"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	defer res.Body.Close()
	var answer struct{ URL string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	ws, _, err := websocket.DefaultDialer.Dial(answer.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	_ = ws.SetReadDeadline(time.Now().Add(process.Patience))
	for _, step := range []struct {
		args        []string
		says, frame string
	}{
		{[]string{"alice", "hello"}, "sent\n", "DATA:hello"},
		{[]string{"bob", "hello"}, "not connected\n", ""},
		{[]string{"--kick", "alice"}, "kicked\n", "CLOSE"},
	} {
		send := exec.Command("node", append([]string{"send.js"}, step.args...)...)
		send.Dir, send.Env = dir, env
		if out, err := send.CombinedOutput(); err != nil || string(out) != step.says {
			t.Errorf("%q: %s, %v", step.args, out, err)
		}
		if step.frame == "" {
			continue
		}
		if _, got, err := ws.ReadMessage(); err != nil || string(got) != step.frame {
			t.Errorf("%q: %q, %v", step.args, got, err)
		}
	}
	page, err := http.Get("http://127.0.0.1:" + port + "/?id=alice")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	if got := page.Header.Get("Content-Type"); page.StatusCode != 200 || !strings.HasPrefix(got, "text/html") {
		t.Error(page.StatusCode, got)
	}
}
