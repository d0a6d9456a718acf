package pusher_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var examples = filepath.Join("..", "..", "examples", "pusher")

// TestExamples runs what examples/pusher holds: the file of apps, the page in
// Chromium and the sender, and reads the settings for Laravel as Laravel would.
func TestExamples(t *testing.T) {
	file, err := filepath.Abs(filepath.Join(examples, "apps.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "PUSHER_APP_ID=", "PUSHER_APP_KEY=", "PUSHER_APP_SECRET=", "PUSHER_APPS="+file)
	d := drive(t, s)
	page, err := os.ReadFile(filepath.Join(examples, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	d.do(map[string]any{"op": "page", "id": "page", "html": string(page), "query": map[string]any{"port": s.port, "host": "127.0.0.1"}})
	d.wait("page", "text", "state", "connected", 1)

	cmd := exec.Command("node", "-")
	cmd.Stdin = strings.NewReader(mustRead(t, "send.js"))
	cmd.Env = append(os.Environ(), fmt.Sprint("PUSHER_PORT=", s.port))
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "sent 200" {
		t.Errorf("send.js: %v: %s", err, out)
	}
	d.wait("page", "text", "events", `{"key1":"value1"}`, 1)

	laravel := mustRead(t, "laravel.env")
	for _, want := range []string{"PUSHER_APP_ID=1\n", "PUSHER_APP_KEY=shop-key\n", "PUSHER_APP_SECRET=replace-this-secret-of-the-shop\n", "PUSHER_PORT=6001\n"} {
		if !strings.Contains(laravel, want) {
			t.Errorf("laravel.env does not fit apps.json: it lacks %s", want)
		}
	}
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
