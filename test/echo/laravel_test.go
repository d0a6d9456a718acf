package echo

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/server/logtest"
	"poosh/test/process"
)

// laravel starts an application of Debian's Laravel and returns its address. What it has in
// application is put in the place of one that composer create-project makes, with the settings
// and the event of the examples.
func laravel(t *testing.T, redis *redistest.Server) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "application")
	if err := os.CopyFS(dir, os.DirFS("application")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "app", "Events"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(redis.Addr, ":")
	for name, example := range map[string]string{".env": "laravel.env", "app/Events/OrderShipped.php": "OrderShipped.php"} {
		text := strings.Replace(readExample(t, example), "REDIS_PORT=6379\n", "REDIS_PORT="+port+"\n", 1)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := "127.0.0.1:" + strconv.Itoa(process.FreePort(t))
	cmd := exec.Command("php", "-S", at, "index.php")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	log := new(logtest.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	if err := process.StartBound(cmd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("php says\n%.4000s", log.String())
		}
	})
	redistest.Until(t, "php -S listens", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return "http://" + at
}

// The framework itself says who may join, and broadcasts: events to channels of each kind, to
// all and to others, and notifications.
func TestLaravel(t *testing.T) {
	redis := redistest.Start(t)
	app := laravel(t, redis)
	s := &server{redis: redis, Process: process.Start(t, program, "ECHO_PORT", settings(redis, app+"/broadcasting/auth")...)}
	showLog(t, s.Process)
	b := newBroadcaster(t, redis, prefix)
	post := func(path, body, socket string) {
		t.Helper()
		req, err := http.NewRequest("POST", app+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
		if socket != "" {
			req.Header.Set("X-Socket-ID", socket)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); res.StatusCode != 200 {
			t.Fatalf("%s: %d %.1000s", path, res.StatusCode, text)
		}
	}
	one, two := open(t, s.URL(), "echo-1", "sio-2.5.0", 7), open(t, s.URL(), "echo-2", "sio-4.8.1", 7)
	for _, p := range []*page{one, two} {
		p.join("public", "orders", ".App\\OrderShipped")
		p.hears(b, "orders", "orders")
		p.join("private", "orders.7", ".App\\OrderShipped")
		p.hears(b, "orders.7", "private-orders.7")
		p.join("private", "App.Models.User.7")
		p.hears(b, "App.Models.User.7", "private-App.Models.User.7")
		p.join("private", "orders.8")
		p.wants(`["subscription_error","private-orders.8",403]`)
		p.join("presence", "room.7", ".App\\OrderShipped")
		p.wants(fmt.Sprintf(`["here","room.7",[%s]]`, ann(7)))
	}
	three := open(t, s.URL(), "echo-2", "sio-4.8.1", 8)
	three.join("presence", "room.7", ".App\\OrderShipped")
	three.wants(fmt.Sprintf(`["here","room.7",[%s,%s]]`, ann(8), ann(7)))
	guest := open(t, s.URL(), "echo-2", "sio-2.5.0", 0)
	guest.join("presence", "room.7")
	guest.wants(`["subscription_error","presence-room.7",403]`)

	shipped := func(p *page, channels ...string) {
		t.Helper()
		for _, name := range channels {
			p.wants(fmt.Sprintf(`["event",%q,".App\\OrderShipped",{"order":{"id":7,"text":"é/<b>"}}]`, name))
		}
	}
	for _, p := range []*page{one, two} {
		p.wants(fmt.Sprintf(`["joining","room.7",%s]`, ann(8)))
	}
	const order = `{"order":{"id":7,"text":"é/<b>"}`
	post("/ship", order+"}", one.id)
	shipped(one, "orders", "orders.7", "room.7")
	shipped(two, "orders", "orders.7", "room.7")
	shipped(three, "room.7")
	post("/ship", order+`,"others":true}`, one.id)
	shipped(two, "orders", "orders.7", "room.7")
	shipped(three, "room.7")
	post("/notify", "{}", "")
	for _, p := range []*page{one, two} { // and nothing of the one before, which was from the first
		line := p.next()
		if !strings.HasPrefix(line, `["notification","App.Models.User.7",{"amount":5,"id":"`) || !strings.HasSuffix(line, `","type":"App\\Hi"}]`) {
			t.Errorf("%s: %s", p.name, line)
		}
	}
}
