package server

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"

	"poosh/server/certificate/certificatetest"
)

// "poosh health" asks whoever runs with the same settings, and its exit code is the answer.
func TestHealthCommand(t *testing.T) {
	r := run(t, map[string]string{"ADMIN_PORT": "0"}, nil)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()
	_, admin, _ := net.SplitHostPort(r.Addrs()["ADMIN_PORT"].String())
	_, client, _ := net.SplitHostPort(r.client)
	_, none, _ := net.SplitHostPort(nobody)
	ask := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := healthCommand().Run(args, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	t.Chdir(t.TempDir())
	poosh := map[string]string{"HOST": "127.0.0.1", "SERVER_SECRET": testSecret}
	for name, row := range map[string]struct {
		env  map[string]string
		args []string
		code int
	}{
		"the operators' port":             {map[string]string{"ADMIN_PORT": admin, "CLIENT_PORT": none}, nil, 0},
		"the clients' port":               {map[string]string{"CLIENT_PORT": client}, nil, 0},
		"on all addresses":                {map[string]string{"CLIENT_PORT": client, "HOST": "0.0.0.0"}, nil, 0},
		"nobody":                          {map[string]string{"CLIENT_PORT": none}, nil, 1},
		"any port":                        {map[string]string{"CLIENT_PORT": "0"}, nil, 1},
		"a mistake":                       {map[string]string{"CLIENT_PORT": "x"}, nil, 1},
		"a URL":                           {map[string]string{"CLIENT_PORT": none}, []string{"http://" + r.client + "/ready"}, 0},
		"a wrong URL":                     {nil, []string{"http://" + r.sender + "/ready"}, 1},
		"for programs":                    {map[string]string{"CLIENT_PORT": client}, []string{"--json"}, 0},
		"no URL":                          {nil, []string{"now"}, 2},
		"two":                             {nil, []string{"http://x", "http://x"}, 2},
		"another dialect, without /ready": {map[string]string{"SERVER_SECRET": "", "SHOP_SOCKTOPUS_SECRET": "secret-of-socktopus", "SOCKTOPUS_PORT": client}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, env := range []map[string]string{poosh, row.env} {
				for k, v := range env {
					t.Setenv(k, v)
				}
			}
			code, stdout, stderr := ask(row.args...)
			if code != row.code || (code == 0) != (stdout != "") || (code == 0) != (stderr == "") || strings.Contains(stderr, testSecret) {
				t.Errorf("exit code %d, want %d\n%s%s", code, row.code, stdout, stderr)
			}
		})
	}
	t.Run("over TLS", func(t *testing.T) {
		cert, key, _ := certificatetest.New(t).Write(t.TempDir(), "push.example.com")
		secured := map[string]string{"TLS_CERT": cert, "TLS_KEY": key}
		r := run(t, secured, nil)
		_, client, _ := net.SplitHostPort(r.client)
		for _, env := range []map[string]string{poosh, secured, {"CLIENT_PORT": client}} {
			for k, v := range env {
				t.Setenv(k, v)
			}
		}
		if code, stdout, stderr := ask(); code != 0 {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
		r.stop()
		if err := r.wait(t); err != nil {
			t.Error(err)
		}
	})
	if err := r.gate.Enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	for { // until it has been told to end
		if code, _, stderr := ask("http://" + r.client + "/ready"); code == 1 && strings.Contains(stderr, http.StatusText(http.StatusServiceUnavailable)) && strings.Contains(stderr, "is shutting down") {
			break
		} else if code == 1 {
			t.Error(stderr)
			break
		}
	}
	r.gate.Leave()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}
