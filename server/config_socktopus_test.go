package server

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var socktopusDefaults = SocktopusConfig{
	Port:            8080,
	ReadTimeout:     20 * time.Second,
	MaxBodyBytes:    1 << 20,
	MaxMessageBytes: 64 << 10,
	MaxMessages:     10_000,
	MaxKicks:        1000,
}

// withNames makes a Config of an environment and all its names.
func withNames(env map[string]string) (Config, error) {
	return FromEnv(lookupIn(env), slices.Sorted(maps.Keys(env))...)
}

func TestSocktopusSecrets(t *testing.T) {
	c, err := withNames(map[string]string{
		"MYAPP_SOCKTOPUS_SECRET": " s3cret ", "a_b_SOCKTOPUS_SECRET": "x", "NAME_SOCKTOPUS_SECRET": "y",
		"EMPTY_SOCKTOPUS_SECRET": "", "_SOCKTOPUS_SECRET": "none", "SOCKTOPUS_SECRET": "none", "C_SOCKTOPUS_SECRETS": "none",
	})
	want := map[string]string{"myapp": " s3cret ", "a_b": "x", "name": "y"}
	if err != nil || !reflect.DeepEqual(c.Socktopus.Secrets, want) {
		t.Errorf("%q, %v", c.Socktopus.Secrets, err)
	}
	if c, err := withNames(map[string]string{"SERVER_SECRET": testSecret}); err != nil || c.Socktopus.on() {
		t.Errorf("on without a secret: %v", err)
	}
	_, err = withNames(map[string]string{"APP_SOCKTOPUS_SECRET": "hush1", "App_SOCKTOPUS_SECRET": "hush2"})
	if err == nil || !strings.HasPrefix(err.Error(), "App_SOCKTOPUS_SECRET is the same application as APP_SOCKTOPUS_SECRET") || strings.Contains(err.Error(), "hush") {
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
		{"0", "", AnyPort, ""},
		{"", "/a/pipe", 0, `PORT is "/a/pipe": want a port number`},
		{"x", "", 0, `SOCKTOPUS_PORT is "x": want a port number`},
		{"8000", "", 0, `SOCKTOPUS_PORT is 8000: want another port than CLIENT_PORT`},
	} {
		env := map[string]string{"SERVER_SECRET": testSecret, "A_SOCKTOPUS_SECRET": "x", "PORT": test.platform, "SOCKTOPUS_PORT": test.own}
		c, err := withNames(env)
		if test.mistake != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.mistake) {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil || c.Socktopus.Port != test.want {
			t.Errorf("%+v: %d, %v", test, c.Socktopus.Port, err)
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
