package pusher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"poosh/auth"
	"poosh/server/migration"
)

// migrated are the examples of other servers' configurations, which are the unit
// tests' too, and the apps that their clients and senders know.
var migrated = []struct {
	file, env string
	apps      []app
}{
	{"soketi.json", "", []app{{"1001", "shop-key", "secret-of-the-shop-soketi"}, {"1002", "blog-key", "secret-of-the-blog-soketi"}}},
	{"soketi.env", "", []app{{"2001", "env-key", "secret-of-the-env-soketi"}}},
	{"soketi-plain.env", "", []app{{"2002", "plain-key", "secret-of-the-plain-soketi"}}},
	{"sockudo.toml", "", []app{{"3001", "toml-key", "secret-of-the-toml-sockudo"}, {"3002", "flat-key", "secret-of-the-flat-sockudo"}}},
	{"sockudo.json", "", []app{{"3003", "json-key", "secret-of-the-json-sockudo"}}},
	{"sockudo.env", "", []app{{"3004", "variable-key", "secret-of-the-variable-sockudo"}}},
	{"reverb.env", "", []app{{"4001", "reverb-key", "secret-of-the-reverb-app"}}},
	{"laravel/config/reverb.php", "laravel/application.env", []app{{"4003", "config-key", "secret-of-the-config-app"}, {"4002", "second-key", "secret-of-the-second-reverb-app"}}},
	{"laravel/config/websockets.php", "laravel/application.env", []app{{"5001", "websockets-key", "secret-of-the-websockets-app"}}},
	{"laravel/config/websockets-2-beta.php", "laravel/application.env", []app{{"5001", "websockets-key", "secret-of-the-websockets-app"}, {"5003", "second-websockets-key", "secret-of-the-second-websockets-app"}}},
	{"laravel-echo-server.json", "", []app{{"9f2c", "secret-key-of-echo", ""}}},
}

// An app is one of the file of apps. Without a secret it has one that was made for it.
type app struct{ id, key, secret string }

// madeSecrets puts the secrets of a file of apps in where there are none.
func madeSecrets(t *testing.T, dir string, apps []app) []app {
	t.Helper()
	var made struct {
		Apps []struct{ ID, Secret string }
	}
	text, err := os.ReadFile(filepath.Join(dir, "apps.json"))
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil || len(made.Apps) != len(apps) {
		t.Fatalf("%v, %d apps, want %d", err, len(made.Apps), len(apps))
	}
	apps = slices.Clone(apps)
	for i := range apps {
		if apps[i].secret == "" && made.Apps[i].ID == apps[i].id {
			apps[i].secret = made.Apps[i].Secret
		}
	}
	return apps
}

// What is made of another server's configuration starts as it was written, and a client
// with the key of each app gets what is sent with its secret.
func TestMigration(t *testing.T) {
	for _, m := range migrated {
		t.Run(strings.ReplaceAll(m.file, "/", "-"), func(t *testing.T) {
			dir := migrate(t, m.file, m.env)
			apps := madeSecrets(t, dir, m.apps)
			s := startIn(t, dir)
			for _, a := range apps {
				s.secrets = append(s.secrets, a.secret)
			}
			for _, a := range apps {
				ctx, stop := context.WithTimeout(t.Context(), patience)
				defer stop()
				settings := marshal(map[string]any{"app": a.id, "key": a.key, "secret": a.secret, "port": s.port})
				out, err := exec.CommandContext(ctx, "node", "drive/subscribe.js", settings).CombinedOutput()
				if err != nil || strings.TrimSpace(string(out)) != `{"order":7}` {
					t.Errorf("app %s: %v, %s\n%s", a.id, err, out, s.log)
				}
			}
		})
	}
}

// The Node server's .env is taken as it is: its senders' tokens are good.
func TestMigrationOfPoosh(t *testing.T) {
	const payload = `{"a":1}`
	const secret = `secret-of-the-"node" server # this too`
	s := startIn(t, migrate(t, "poosh.env", ""))
	s.secrets = []string{secret, strings.ReplaceAll(secret, `"`, `\"`)}
	for token, want := range map[string]int{auth.PooshSign(secret, []byte(payload)): http.StatusOK, strings.Repeat("0", 40): http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprintf("http://127.0.0.1:%d/send", s.sender),
			strings.NewReader(`{"event":"e","payload":`+payload+`}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("token %s: %d, want %d", token, resp.StatusCode, want)
		}
	}
}

// migrate writes what is made of an example to a new directory.
func migrate(t *testing.T, file, env string) string {
	t.Helper()
	const examples = "../../server/migration/testdata"
	o := migration.Options{Out: t.TempDir()}
	if file == "laravel-echo-server.json" {
		o.From = "laravel-echo-server-to-pusher" // unasked, it stays what it was
	}
	if env != "" {
		o.Env = filepath.Join(examples, env)
	}
	var out, errs bytes.Buffer
	if code := migration.Run(filepath.Join(examples, file), o, strings.NewReader(""), &out, &errs); code == migration.Failed {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	return o.Out
}

// startIn runs the binary with the .env of a directory. Only its ports are others, and
// its address, since other tests run beside it.
func startIn(t *testing.T, dir string) *server {
	t.Helper()
	s := &server{t: t, port: freePort(t), client: freePort(t), sender: freePort(t), dir: dir}
	s.plain = []string{"HOST=127.0.0.1", fmt.Sprint("PUSHER_PORT=", s.port), fmt.Sprint("CLIENT_PORT=", s.client), fmt.Sprint("SERVER_PORT=", s.sender)}
	if text, err := os.ReadFile(filepath.Join(dir, ".env")); err != nil {
		t.Fatal(err)
	} else if strings.Contains(string(text), "\nADMIN_PORT=") {
		s.plain = append(s.plain, fmt.Sprint("ADMIN_PORT=", freePort(t)))
	} else if strings.Contains(string(text), "\nSERVER_SECRET=") {
		s.port = s.sender // which answers
	}
	s.launch()
	t.Cleanup(s.stop)
	return s
}
