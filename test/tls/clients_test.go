package tls

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"poosh/server/certificate/certificatetest"
)

// files are settings for certificates of files, and an authority that vouches for them.
func files(t testing.TB, name string) (set map[string]string, a *certificatetest.Authority, dir, root string) {
	a, dir = certificatetest.New(t), t.TempDir()
	cert, key, root := a.Write(dir, name)
	return map[string]string{"TLS_CERT": cert, "TLS_KEY": key}, a, dir, root
}

// module is where one of the clients of the other tests is installed.
func module(t *testing.T, folder, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", folder, "node_modules", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: npm ci --prefix test/%s", name, folder)
	}
	return path
}

// TestRealClients has clients of both protocols and of Pusher hear an event, as they come.
func TestRealClients(t *testing.T) {
	t.Parallel()
	set, a, _, root := files(t, "push.example.com")
	set["TLS_SENDERS"], set["SHUTDOWN_TIMEOUT"] = "on", "1s" // nobody comes back for a poll
	set["PUSHER_APP_ID"], set["PUSHER_APP_KEY"], set["PUSHER_APP_SECRET"] = "1", "key", "a secret of the app"
	pusher := freePort(t)
	set["PUSHER_PORT"] = strconv.Itoa(pusher)
	s := serve(t, set, nil)
	url := "https://" + addr(s.client)
	node := tool(t, "node", "nodejs")
	for name, args := range map[string][]string{
		"1.0.6 polling":   {"sio", module(t, "e2e/npm", "sio-1.0.6"), url, "polling"},
		"1.7.4 polling":   {"sio", module(t, "e2e/npm", "sio-1.7.4"), url, "polling"},
		"1.7.4 upgrade":   {"sio", module(t, "e2e/npm", "sio-1.7.4"), url, "upgrade"},
		"1.7.4 websocket": {"sio", module(t, "e2e/npm", "sio-1.7.4"), url, "websocket"},
		"4.8.1 polling":   {"sio", module(t, "e2e/npm", "sio-4.8.1"), url, "polling"},
		"4.8.1 upgrade":   {"sio", module(t, "e2e/npm", "sio-4.8.1"), url, "upgrade"},
		"4.8.1 websocket": {"sio", module(t, "e2e/npm", "sio-4.8.1"), url, "websocket"},
		"pusher-js":       {"pusher", module(t, "pusher", "pusher-js-8"), strconv.Itoa(pusher), "key"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(node, append([]string{"client.js"}, args...)...)
			cmd.Env = append(cmd.Environ(), "NODE_EXTRA_CA_CERTS="+root)
			out := start(t, cmd)
			says := func(what string) func() bool { return func() bool { return strings.Contains(out.String(), what) } }
			eventually(t, "it to be in", says("in\n"))
			if args[0] == "pusher" {
				return // that it is in came over the same connection
			}
			eventually(t, "the event", func() bool { // which everybody gets
				if err := s.send("https", a.Client(), name); err != nil {
					t.Fatal(err)
				}
				return says(`got "` + name + `"`)()
			})
		})
	}
}

// TestTools asks as operators do: which versions, which protocol, which status.
func TestTools(t *testing.T) {
	set, _, _, root := files(t, "push.example.com")
	s := serve(t, set, nil)
	at := addr(s.client)
	openssl, curl := tool(t, "openssl", "openssl"), tool(t, "curl", "curl")
	run := func(program string, args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.Stdin = strings.NewReader("")
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	for _, tt := range []struct {
		args []string
		want string // empty for a handshake that fails
	}{
		{[]string{"-tls1_3"}, "TLSv1.3"}, {[]string{"-tls1_2"}, "TLSv1.2"},
		{[]string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, ""}, {[]string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, ""},
		{[]string{"-alpn", "h2,http/1.1"}, "ALPN protocol: http/1.1"}, {[]string{"-alpn", "h2"}, ""},
		{nil, "No client certificate CA names sent"},
	} {
		text, err := run(openssl, append([]string{"s_client", "-connect", at, "-CAfile", root, "-verify_return_error"}, tt.args...)...)
		if (err == nil) != (tt.want != "") || !strings.Contains(text, tt.want) {
			t.Errorf("%v: %v, want %q in:\n%s", tt.args, err, tt.want, text)
		}
	}
	// Who wants to negotiate anew is closed with an alert, RFC 5246 section 7.2.2.
	again := exec.Command(openssl, "s_client", "-connect", at, "-CAfile", root, "-verify_return_error", "-tls1_2")
	again.Stdin = strings.NewReader("R\n")
	if text, err := again.CombinedOutput(); err == nil || !strings.Contains(string(text), "RENEGOTIATING") || !strings.Contains(string(text), "alert number 10") {
		t.Errorf("renegotiation: %v in:\n%s", err, text)
	}
	for url, want := range map[string]string{
		"https://" + at + "/socket.io/?EIO=4&transport=polling": "200",
		"http://" + at + "/socket.io/?EIO=4&transport=polling":  "400",
		"http://" + addr(s.sender) + "/send":                    "401", // who says nothing is told so without TLS
	} {
		text, err := run(curl, "-s", "-o", os.DevNull, "-w", "%{http_code}", "--cacert", root, url)
		if err != nil || text != want {
			t.Errorf("%s: %s %v, want %s", url, text, err, want)
		}
	}
}
