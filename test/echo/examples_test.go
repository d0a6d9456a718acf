package echo

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// examples is what TestExamples runs.
var examples = filepath.Join("..", "..", "examples", "laravel-echo")

func readExample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The page of the example hears, in Chromium, its sender, and its event from an application of
// Laravel with its settings; its script for pages that are built connects.
func TestExamples(t *testing.T) {
	redis := redistest.Start(t)
	app := laravel(t, redis)
	s := process.Start(t, program, "ECHO_PORT", "ECHO_REDIS=redis://"+redis.Addr)
	showLog(t, s)
	_, port, _ := strings.Cut(redis.Addr, ":")
	t.Setenv("REDIS_PORT", port)
	process.Page(t, examples, url.Values{"host": {s.URL()}}, map[string]string{
		"https://cdn.socket.io/4.8.1/socket.io.min.js":                      "node_modules/sio-4.8.1/dist/socket.io.min.js",
		"https://cdn.jsdelivr.net/npm/laravel-echo@2.5.0/dist/echo.iife.js": "node_modules/echo-2/dist/echo.iife.js",
	},
		process.Step{Run: []string{"php", filepath.Join(examples, "send.php"), "OrderShipped", `{"id":1}`, "orders"}, Shows: `{"id":1}`},
		process.Step{Run: []string{"curl", "-sSf", "-X", "POST", app + "/example"}, Shows: `{"id":7}`},
	)

	built := strings.NewReplacer("'laravel-echo'", "'echo-2'", "'socket.io-client'", "'sio-4.8.1'", "import.meta.env.VITE_ECHO_HOST", "'"+s.URL()+"'").Replace(readExample(t, "echo.js"))
	cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "-e", "globalThis.window = globalThis;"+built+
		"const late = setTimeout(() => process.exit(1), 60000); window.Echo.connector.socket.on('connect', () => { clearTimeout(late); window.Echo.disconnect(); console.log('connected') })")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "connected\n" {
		t.Errorf("echo.js: %v: %s", err, out)
	}
}
