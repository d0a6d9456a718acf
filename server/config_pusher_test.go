package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPusherMistakes(t *testing.T) {
	app := func(more ...string) map[string]string {
		env := map[string]string{"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k", "PUSHER_APP_SECRET": "hush-hush"}
		for i := 0; i < len(more); i += 2 {
			env[more[i]] = more[i+1]
		}
		return env
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "apps.json")
	if err := os.WriteFile(file, []byte(`{"apps":[{"id":"1","key":"z","secret":"hush-hush"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared.json")
	if err := os.WriteFile(shared, []byte(`{"apps":[{"id":"2","key":"y","secret":"hush-hush"},{"id":"3","key":"k","secret":"hush-hush"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"no key and no secret", map[string]string{"PUSHER_APP_ID": "1"}, "PUSHER_APP_KEY is not set: an app needs PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET\nPUSHER_APP_SECRET is not set: an app needs PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET"},
		{"a secret of one letter", app("PUSHER_APP_SECRET", "x"), `PUSHER_APP_ID is "1": app "1": secret is shorter than 8 characters`},
		{"an id with a slash", app("PUSHER_APP_ID", "a/b"), `PUSHER_APP_ID is "a/b": app "a/b": want an id`},
		{"a bad rate", app("PUSHER_API_RATE", "many"), `PUSHER_API_RATE is "many": want a number and a time such as 100/60s, or off`},
		{"a bad switch", app("PUSHER_WATCHLIST", "maybe"), `PUSHER_WATCHLIST is "maybe": want on, off, true or false`},
		{"a bad prefix", app("PUSHER_PATH_PREFIX", "push"), `PUSHER_PATH_PREFIX is "push": want a path such as /push`},
		{"no such file", map[string]string{"PUSHER_APPS": filepath.Join(dir, "none")}, "no such file or directory: want the path of a JSON file with apps"},
		{"a directory", map[string]string{"PUSHER_APPS": dir}, "not a file of at most 10 MiB"},
		{"an id twice", app("PUSHER_APPS", file), `two apps have the id "1"`},
		{"a key twice", app("PUSHER_APPS", shared), `shared.json": apps "1" and "3" have the same key`},
		{"a bridge to nothing", map[string]string{"BRIDGE": "1"}, `BRIDGE is "1": no Pusher app is named`},
		{"a bridge to another", app("BRIDGE", "2"), `BRIDGE is "2": want the id of a Pusher app`},
		{"a bridge from nothing", app("BRIDGE", "1", "SERVER_SECRET", ""), `BRIDGE is "1": Poosh is off`},
		{"a port twice", app("PUSHER_PORT", "8000"), "PUSHER_PORT is 8000: want another port than CLIENT_PORT"},
		{"an outbox for no list", app("PUSHER_MAX_MEMBERS", "10000"), `OUTBOX_BYTES is 1048576: want at least 21480064`},
	} {
		_, err := fromMap(tt.env)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.want)
		}
	}
}
