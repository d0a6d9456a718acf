// Package dashboard_test opens the dashboard of the built server in Chromium, while real
// clients of every dialect come, go and stall.
//
// What it looks like in light and dark, on a desk and on a phone, is written to
// test/.cache/dashboard for a person to look at.
package dashboard_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

var program string

func TestMain(m *testing.M) {
	if !process.Listing() {
		if _, err := exec.LookPath("chromium"); err != nil {
			fmt.Fprintln(os.Stderr, "test/dashboard: chromium is not installed: apt-get install chromium")
			os.Exit(1)
		}
	}
	os.Exit(process.Main(m, "dashboard", true, &program,
		"axolotl-crypto", "playwright-core", "pusher", "pusher-js", "sio-2.5.0", "sio-4.8.1", "ws"))
}

// pictures is where pictures of the page are written.
var pictures = filepath.Join("..", ".cache", "dashboard")

// A site is where a server is and what its secrets are, as the scripts read it.
type site struct {
	Admin           int    `json:"admin"`
	Token           string `json:"token"`
	Client          int    `json:"client"`
	Sender          int    `json:"sender"`
	Secret          string `json:"secret"`
	Pusher          int    `json:"pusher"`
	App             string `json:"app"`
	Key             string `json:"key"`
	AppSecret       string `json:"appSecret"`
	Socktopus       int    `json:"socktopus"`
	SocktopusSecret string `json:"socktopusSecret"`
	PushSocket      int    `json:"pushSocket"`
	Hooks           int    `json:"hooks"` // where the script takes webhooks
	Pictures        string `json:"pictures"`
}

// start starts a server with all dialects and the operators' port, and returns what a
// script is told of it.
func start(t *testing.T, env ...string) (*process.Process, string) {
	t.Helper()
	s := site{
		Token: "the-token-of-the-operators", Client: process.FreePort(t), Sender: process.FreePort(t), Secret: "thisisthesharedsecret",
		Pusher: process.FreePort(t), App: "3", Key: "278d425bdf160c739803", AppSecret: "7ad3773142a6692b25b8",
		Socktopus: process.FreePort(t), SocktopusSecret: "s3cret-of-myapp", PushSocket: process.FreePort(t), Hooks: process.FreePort(t),
	}
	var err error
	if s.Pictures, err = filepath.Abs(pictures); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	p := process.Start(t, program, "ADMIN_PORT", append([]string{
		"ADMIN_TOKEN=" + s.Token, fmt.Sprint("CLIENT_PORT=", s.Client), fmt.Sprint("SERVER_PORT=", s.Sender), "SERVER_SECRET=" + s.Secret,
		fmt.Sprint("PUSHER_PORT=", s.Pusher), "PUSHER_APP_ID=" + s.App, "PUSHER_APP_KEY=" + s.Key, "PUSHER_APP_SECRET=" + s.AppSecret,
		fmt.Sprintf("PUSHER_WEBHOOK_URL=http://127.0.0.1:%d/", s.Hooks),
		fmt.Sprint("SOCKTOPUS_PORT=", s.Socktopus), "MYAPP_SOCKTOPUS_SECRET=" + s.SocktopusSecret, "SOCKTOPUS_READ_TIMEOUT=1h",
		fmt.Sprint("PUSH_SOCKET_PORT=", s.PushSocket),
	}, env...)...)
	s.Admin = p.Port
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return p, string(text)
}

// Numbers on the page equal what clients counted that came, were sent to, stalled and left.
func TestNumbers(t *testing.T) {
	_, at := start(t)
	process.Node(t, 6*time.Minute, "numbers.js", at)
}

// Everything is done by keyboard alone.
func TestKeyboard(t *testing.T) {
	_, at := start(t)
	process.Node(t, 4*time.Minute, "keyboard.js", at)
}

// Who has no token, or comes with a page of elsewhere or under another name, sees nothing
// and does nothing.
func TestStrangers(t *testing.T) {
	_, at := start(t)
	process.Node(t, 4*time.Minute, "strangers.js", at)
}

// Names that others have chosen, the password in the address, and answers that are late.
func TestAddresses(t *testing.T) {
	_, at := start(t)
	process.Node(t, 4*time.Minute, "addresses.js", at)
}

// The form sends to pages with Laravel Echo too.
func TestEcho(t *testing.T) {
	const key = "a-key-of-the-echo-server"
	port := fmt.Sprint(process.FreePort(t))
	_, at := start(t, "ECHO_REDIS=redis://"+redistest.Start(t).Addr, "ECHO_PORT="+port, "ECHO_KEYS=app:"+key)
	process.Node(t, 4*time.Minute, "echo.js", at, port, key)
}

// Without a token there is nothing for a page under another name that has come to stand for
// this machine, and ids of clients for nobody.
func TestTokenless(t *testing.T) {
	_, at := start(t, "ADMIN_TOKEN=")
	process.Node(t, 4*time.Minute, "rebinding.js", at)
	process.Node(t, 4*time.Minute, "tokenless.js", at)
}
