package pusher

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"poosh/server/network"
	"poosh/server/setting"
)

// readSettings makes settings of an environment.
func readSettings(env map[string]string) (*settings, error) {
	n := network.Defaults()
	s := &settings{network: &n}
	groups := []*setting.Group{s.group()}
	var m setting.Mistakes
	setting.Read(groups, setting.Environment{Lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}, &m)
	setting.Fill(groups[0].Settings)
	setting.Check(groups, &m)
	return s, m.Err()
}

func TestPusherSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "apps.json")
	text := `{"apps":[{"id":"2","key":"k2","secret":"secret-2","max_event_bytes":20000,"webhooks":[{"url":"https://a.test/hook"}]},{"id":"3","key":"k3","secret":"secret-3"}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readSettings(map[string]string{
		"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k1", "PUSHER_APP_SECRET": " secret ", "PUSHER_APPS": file,
		"PUSHER_CLIENT_EVENTS": "on", "PUSHER_MAX_EVENT_BYTES": "15KB", "PUSHER_API_RATE": "100/60s", "PUSHER_CONNECT_RATE_PER_ADDRESS": "20/m",
		"PUSHER_ACTIVITY_TIMEOUT": "30", "PUSHER_ALLOWED_ORIGINS": "example.com, *.example.org", "PUSHER_WEBHOOK_URL": "http://hook.test/",
		"PUSHER_PATH_PREFIX": "/push", "BRIDGE": "3", "PUSHER_PORT": "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	apps := s.Config.Apps
	if len(apps) != 3 || s.Port != setting.AnyPort || s.Config.PathPrefix != "/push" || s.Config.ConnectRate != (Rate{Limit: 20, Per: time.Minute}) {
		t.Fatalf("%+v", s)
	}
	a, b, d := apps[0], apps[1], apps[2]
	if a.Secret != " secret " || a.MaxEventBytes != 15000 || len(a.AllowedOrigins) != 2 || a.Webhooks[0].URL != "http://hook.test/" ||
		a.APIRate != (Rate{Limit: 100, Per: time.Minute}) {
		t.Errorf("the app of the environment is %+v", a)
	}
	if b.ID != "2" || b.MaxEventBytes != 20000 || !b.ClientEvents || time.Duration(b.ActivityTimeout) != 30*time.Second || b.Webhooks[0].URL != "https://a.test/hook" {
		t.Errorf("the first app of the file is %+v", b)
	}
	if d.ID != "3" || d.MaxEventBytes != 15000 || d.Secret != "secret-3" || d.Webhooks != nil {
		t.Errorf("the second app of the file is %+v", d)
	}
}
