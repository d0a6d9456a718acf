package emitter

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// The page of the examples hears, in Chromium, what their senders emit to its room and to all.
func TestExamples(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, redis)
	_, port, _ := strings.Cut(redis.Addr, ":")
	t.Setenv("REDIS_PORT", port)
	// The package by its own name, as npm install of the example has it.
	modules, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	named := t.TempDir()
	if err := os.Mkdir(filepath.Join(named, "@socket.io"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(modules, "emitter-5"), filepath.Join(named, "@socket.io", "redis-emitter")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_PATH", named+string(os.PathListSeparator)+modules)

	examples := filepath.Join("..", "..", "examples", "emitter")
	js, php := filepath.Join(examples, "send.js"), filepath.Join(examples, "send.php")
	process.Page(t, examples, url.Values{"server": {n.URL()}},
		map[string]string{"https://cdn.socket.io/4.8.1/socket.io.min.js": "node_modules/sio-4.8.1/dist/socket.io.min.js"},
		process.Step{Run: []string{"node", js, "event-name", `{"text":"Node é"}`, "news"}, Shows: `{"text":"Node é"}`},
		process.Step{Run: []string{"node", js, "event-name", `[1,{"all":null}]`}, Shows: `[1,{"all":null}]`},
		process.Step{Run: []string{"php", php, "event-name", `{"text":"PHP é"}`, "news"}, Shows: `{"text":"PHP é"}`},
		process.Step{Run: []string{"php", php, "event-name", `{"all":[1.5,true]}`}, Shows: `{"all":[1.5,true]}`},
	)
}
