package server

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"poosh/server/setting"
)

// withNames makes a Config of an environment and all its names, with bounds that a small
// machine has the memory for.
func withNames(env map[string]string) (*Config, error) {
	all := map[string]string{"BACKLOG_BYTES": "64MiB", "ROOM_BYTES": "16MiB"}
	maps.Copy(all, env)
	return FromEnv(lookupIn(all), slices.Sorted(maps.Keys(all))...)
}

func TestSocktopusSecrets(t *testing.T) {
	if c, err := withNames(map[string]string{"SERVER_SECRET": testSecret}); err != nil || len(c.on()) != 1 {
		t.Errorf("on without a secret: %v", err)
	}
	if c, err := withNames(map[string]string{"MYAPP_SOCKTOPUS_SECRET": testSecret}); err != nil || len(c.on()) != 1 || c.on()[0].Name != "socktopus" {
		t.Errorf("not on with a secret: %v", err)
	}
	_, err := withNames(map[string]string{"APP_SOCKTOPUS_SECRET": "hush-hush1", "App_SOCKTOPUS_SECRET": "hush-hush2"})
	if err == nil || !strings.HasPrefix(err.Error(), "App_SOCKTOPUS_SECRET is the same application as APP_SOCKTOPUS_SECRET") || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
}

// A short secret is a mistake or a warning, and neither shows it.
func TestSocktopusSecretLength(t *testing.T) {
	for _, test := range []struct{ secret, mistake, warning string }{
		{"x", "A_SOCKTOPUS_SECRET is too short: want at least 8 characters", ""},
		{"seven77", "A_SOCKTOPUS_SECRET is too short", ""},
		{"äääääää", "A_SOCKTOPUS_SECRET is too short", ""},
		{"eight888", "", "A_SOCKTOPUS_SECRET is short enough to be guessed: want at least 16"},
		{"fifteen-fifteen", "", "A_SOCKTOPUS_SECRET is short enough"},
		{"sixteen-sixteen-", "", "A_SOCKTOPUS_SECRET is made of few different characters, 7"},
		{"sixteen-and-more", "", ""},
		{strings.Repeat("x", 4096), "", "A_SOCKTOPUS_SECRET is made of few different characters, 1"},
		{strings.Repeat("abcdefgh", 512), "", ""},
		{strings.Repeat("x", 4097), "A_SOCKTOPUS_SECRET is too long", ""},
	} {
		c, err := withNames(map[string]string{"A_SOCKTOPUS_SECRET": test.secret})
		warnings := ""
		if c != nil {
			warnings = strings.Join(c.Warnings(), "\n")
		}
		if (err != nil) != (test.mistake != "") || err != nil && (!strings.HasPrefix(err.Error(), test.mistake) || strings.Contains(err.Error(), test.secret) && len(test.secret) > 1) {
			t.Errorf("%.20q: %v", test.secret, err)
		}
		if (warnings != "") != (test.warning != "") || !strings.HasPrefix(warnings, test.warning) || strings.Contains(warnings, test.secret) && warnings != "" {
			t.Errorf("%.20q: %s", test.secret, warnings)
		}
	}
}

// The Node server took ten characters: they are warned of, no more.
func TestServerSecretWarning(t *testing.T) {
	c, err := withNames(map[string]string{"SERVER_SECRET": "0123456789"})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Warnings(); len(got) != 1 || !strings.HasPrefix(got[0], "SERVER_SECRET is short") || strings.Contains(got[0], "0123456789") {
		t.Errorf("%q", got)
	}
	if c, err := withNames(map[string]string{"SERVER_SECRET": "correct horse battery staple"}); err != nil || c.Warnings() != nil {
		t.Errorf("%v, %q", err, c.Warnings())
	}
}

func TestSocktopusOrigins(t *testing.T) {
	c, err := withNames(map[string]string{"A_SOCKTOPUS_SECRET": testSecret, "SOCKTOPUS_ORIGINS": " https://a.example , *.b.example"})
	if err != nil || !reflect.DeepEqual(c.Values()["SOCKTOPUS_ORIGINS"], []string{"https://a.example", "*.b.example"}) {
		t.Errorf("%v, %v", c, err)
	}
	_, err = withNames(map[string]string{"A_SOCKTOPUS_SECRET": testSecret, "SOCKTOPUS_ORIGINS": "https://a.example/x"})
	if err == nil || !strings.HasPrefix(err.Error(), `SOCKTOPUS_ORIGINS is "https://a.example/x": "https://a.example/x" is none: want *`) {
		t.Error(err)
	}
}

func TestSocktopusPort(t *testing.T) {
	for _, test := range []struct {
		own, platform string
		want          int
		mistake       string
	}{
		{"", "", 8080, ""},
		{"", "5000", 5000, ""},
		{"7000", "5000", 7000, ""},
		{"7000", "/a/pipe", 7000, ""},
		{"0", "", setting.AnyPort, ""},
		{"", "/a/pipe", 0, `PORT is "/a/pipe": want a port number`},
		{"x", "", 0, `SOCKTOPUS_PORT is "x": want a port number`},
		{"8000", "", 0, `SOCKTOPUS_PORT is 8000: want another port than CLIENT_PORT`},
	} {
		env := map[string]string{"SERVER_SECRET": testSecret, "A_SOCKTOPUS_SECRET": testSecret, "PORT": test.platform, "SOCKTOPUS_PORT": test.own}
		c, err := withNames(env)
		if test.mistake != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.mistake) {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil || c.Values()["SOCKTOPUS_PORT"] != test.want {
			t.Errorf("%+v: %v, %v", test, c, err)
		}
	}
	// PORT is another's affair while Socktopus is off.
	if _, err := withNames(map[string]string{"SERVER_SECRET": testSecret, "PORT": "/a/pipe"}); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte("B_SOCKTOPUS_SECRET=x\n# C=1\nA=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Names(path, []string{"A=2", "D=", "E=x=y"}); !slices.Equal(got, []string{"A", "B_SOCKTOPUS_SECRET", "D", "E"}) {
		t.Errorf("%q", got)
	}
	if got := Names(path+".none", []string{"A=2"}); !slices.Equal(got, []string{"A"}) {
		t.Errorf("%q", got)
	}
}
