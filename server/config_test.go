package server

import (
	"bytes"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"poosh/server/dialect"
	"poosh/server/pusher"
	"poosh/server/setting"
)

const testSecret = "thisisthesharedsecret"

// fromMap is FromEnv with a secret beside the given settings.
func fromMap(env map[string]string) (*Config, error) {
	return FromEnv(func(name string) (string, bool) {
		value, ok := env[name]
		if !ok && name == "SERVER_SECRET" {
			return testSecret, true
		}
		return value, ok
	})
}

// Whoever sets nothing, empty values or every default as it is documented has the same.
func TestDefaults(t *testing.T) {
	defaults, err := fromMap(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"CLIENT_PORT": 8000, "SERVER_PORT": 1337, "PUSHER_PORT": 6001, "SOCKTOPUS_PORT": 8080, "PUSH_SOCKET_PORT": 0, "ECHO_PORT": 6001, "HOST": "",
		"MAX_BODY_BYTES": int64(102_400), "OUTBOX_BYTES": 1 << 20, "PUSHER_MAX_BODY_BYTES": 10_000_000, "PUSH_SOCKET_MAX_IDENTITIES": 1_000_000,
		"WRITE_TIMEOUT": time.Minute, "PUSH_SOCKET_MAX_AGE": 30 * 24 * time.Hour, "PUSHER_API_RATE": pusher.Rate{Limit: -1},
		"PUSHER_SUBSCRIBE_RATE": pusher.Rate{Limit: 600, Per: time.Minute}, "PUSHER_CLIENT_EVENTS": false, "PUSHER_MAX_CONNECTIONS": 0,
		"TRUSTED_PROXIES": []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, "CLIENT_ORIGINS": []string{"*"},
		"SERVER_SECRET": true, "PUSHER_APP_SECRET": false, "LOG_LEVEL": slog.LevelInfo, "LOG_FORMAT": "text",
	} {
		if got := defaults.Values()[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	t.Run("written out", func(t *testing.T) {
		env := make(map[string]string)
		for _, s := range Settings() {
			if s.Default != "" {
				env[s.Name] = s.Default
			}
		}
		if got, err := fromMap(env); err != nil || !reflect.DeepEqual(got.Values(), defaults.Values()) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, defaults)
		}
	})
	t.Run("empty values count as unset, ports aside", func(t *testing.T) {
		env := make(map[string]string)
		for _, s := range Settings() {
			if s.Name != "SERVER_SECRET" && !strings.HasSuffix(s.Name, "_PORT") {
				env[s.Name] = ""
			}
		}
		if got, err := fromMap(env); err != nil || !reflect.DeepEqual(got.Values(), defaults.Values()) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, defaults)
		}
	})
}

// A setting whose value does not reach its field would be one that does nothing.
func TestEverySettingFillsAFieldOfItsOwn(t *testing.T) {
	c := newConfig()
	for _, g := range c.groups {
		for _, s := range g.Settings {
			if s.Default == "" {
				continue
			}
			if !s.Value.IsZero() {
				t.Errorf("%s fills what another setting has filled", s.Name)
			}
			if err := s.Value.Set(s.Default); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
}

func TestSettingsAreDescribed(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Settings() {
		if seen[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		seen[s.Name] = true
		if s.Group == "" || s.Help == "" || strings.ContainsAny(s.Help+s.Default, "\n|`") {
			t.Errorf("%+v: want a group and one line of help, without the marks of a table", s)
		}
	}
}

func TestSettingValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "socket.io.js")
	if err := os.WriteFile(file, []byte("io"), 0o600); err != nil {
		t.Fatal(err)
	}
	prefixes := func(list ...string) []netip.Prefix {
		out := []netip.Prefix{}
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for _, row := range []struct {
		name, value string
		of          string // a setting that follows
		want        any
	}{
		{"CLIENT_PORT", "9000", "CLIENT_PORT", 9000},
		{"CLIENT_PORT", " 9000 ", "CLIENT_PORT", 9000},
		{"CLIENT_PORT", "0", "CLIENT_PORT", setting.AnyPort},
		{"SERVER_PORT", "65535", "SERVER_PORT", 65535},
		{"MAX_BODY_BYTES", "4096", "MAX_BODY_BYTES", int64(4096)},
		{"MAX_BODY_BYTES", "100KB", "MAX_BODY_BYTES", int64(100_000)},
		{"MAX_BODY_BYTES", "100 kib", "MAX_BODY_BYTES", int64(102_400)},
		{"MAX_BODY_BYTES", "2MiB", "OUTBOX_BYTES", 16 << 20},
		{"BACKLOG_BYTES", "8GB", "BACKLOG_BYTES", int64(8e9)},
		{"BACKLOG_BYTES", "1024GiB", "BACKLOG_BYTES", int64(1) << 40},
		{"OUTBOX_BYTES", "2mb", "OUTBOX_BYTES", 2_000_000},
		{"CLIENT_ORIGINS", "https://Example.com:443, http://b.example:8080\tnull,http://c.example:80", "CLIENT_ORIGINS",
			[]string{"https://example.com", "http://b.example:8080", "null", "http://c.example"}},
		{"CLIENT_ORIGINS", "file://,capacitor://localhost", "CLIENT_ORIGINS", []string{"file://", "capacitor://localhost"}},
		{"MAX_PACKET_BYTES", "2048B", "MAX_PACKET_BYTES", 2048},
		{"PING_INTERVAL", "1500ms", "PING_INTERVAL", 1500 * time.Millisecond},
		{"PING_TIMEOUT", "90", "PING_TIMEOUT", 90 * time.Second},
		{"WRITE_TIMEOUT", "1m30s", "WRITE_TIMEOUT", 90 * time.Second},
		{"MAX_ROOMS", "7", "MAX_ROOMS", 7},
		{"HOST", "[::]", "HOST", "::"},
		{"HOST", "fe80::1%lo", "HOST", "fe80::1%lo"},
		{"HOST", "push-1.example.com", "HOST", "push-1.example.com"},
		{"TRUSTED_PROXIES", "10.1.2.3/8, 192.0.2.1 2001:db8::/32", "TRUSTED_PROXIES", prefixes("10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32")},
		{"TRUSTED_PROXIES", "::ffff:10.0.0.0/104,::ffff:192.0.2.1", "TRUSTED_PROXIES", prefixes("10.0.0.0/8", "192.0.2.1/32")},
		{"TRUSTED_PROXIES", "none", "TRUSTED_PROXIES", prefixes()},
		{"LOG_LEVEL", "DEBUG", "LOG_LEVEL", slog.LevelDebug},
		{"LOG_FORMAT", "Json", "LOG_FORMAT", "json"},
		{"CLIENT_SCRIPT", "http://cdn.example/a b.js?x", "CLIENT_SCRIPT", "http://cdn.example/a%20b.js?x"},
		{"CLIENT_SCRIPT", file, "CLIENT_SCRIPT", file},
	} {
		c, err := fromMap(map[string]string{row.name: row.value})
		if err != nil {
			t.Errorf("%s=%q: %v", row.name, row.value, err)
			continue
		}
		if got := c.Values()[row.of]; !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s=%q gives %v, want %v", row.name, row.value, got, row.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("empty.js", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		wantPort    = "want a port number from 1 to 65535, or 0 for any free port"
		wantSize    = ", in bytes or with KB, MB, GB, KiB, MiB or GiB"
		wantTime    = "want a time from 1s to 1h, such as 90s, 1m30s or 90 (seconds)"
		wantProxies = "want addresses and networks such as 10.0.0.0/8 with commas between, or none"
		wantHost    = "want an address such as 127.0.0.1 or ::1, or a host name, without a port"
		wantScript  = "want an http or https address, or the path of a file"
		noSecret    = "SERVER_SECRET is not set: you must set it in the .env file or in the environment, at least 10 characters"
		shortSecret = "SERVER_SECRET is too short: want at least 10 characters"
	)
	for _, row := range []struct {
		name, value string
		want        string // the whole message
	}{
		{"SERVER_SECRET", "", noSecret},
		{"SERVER_SECRET", " \t\u00a0 \u3000      ", noSecret},
		{"SERVER_SECRET", "123456789", shortSecret},
		{"SERVER_SECRET", "\U0001F600\U0001F600\U0001F600\U0001F6009", shortSecret}, // 9 UTF-16 units, 17 bytes
		{"CLIENT_PORT", "", "CLIENT_PORT is set but empty: " + wantPort + "; unset, it is 8000"},
		{"SERVER_PORT", " ", "SERVER_PORT is set but empty: " + wantPort + "; unset, it is 1337"},
		{"CLIENT_PORT", "http", `CLIENT_PORT is "http": ` + wantPort},
		{"CLIENT_PORT", "-1", `CLIENT_PORT is "-1": ` + wantPort},
		{"CLIENT_PORT", "+80", `CLIENT_PORT is "+80": ` + wantPort},
		{"CLIENT_PORT", "80.5", `CLIENT_PORT is "80.5": ` + wantPort},
		{"SERVER_PORT", "65536", `SERVER_PORT is "65536": ` + wantPort},
		{"SERVER_PORT", "1337 # the port", `SERVER_PORT is "1337 # the port": ` + wantPort},
		{"SERVER_PORT", "13\n37", `SERVER_PORT is "13\n37": ` + wantPort},
		{"SERVER_PORT", strings.Repeat("9", 500), `SERVER_PORT is "` + strings.Repeat("9", 60) + `...": ` + wantPort},
		{"SERVER_PORT", "8000", "SERVER_PORT is 8000: want another port than CLIENT_PORT"},
		{"MAX_ROOMS", "0", `MAX_ROOMS is "0": want a whole number from 1 to 1000000`},
		{"MAX_ROOMS", "many", `MAX_ROOMS is "many": want a whole number from 1 to 1000000`},
		{"MAX_CONNECTIONS", "1e6", `MAX_CONNECTIONS is "1e6": want a whole number from 1 to 10000000`},
		{"MAX_CONNECTIONS_PER_ADDRESS", "+5", `MAX_CONNECTIONS_PER_ADDRESS is "+5": want a whole number from 1 to 10000000`},
		{"MAX_UNFINISHED_PER_ADDRESS", "99999999999999999999", `MAX_UNFINISHED_PER_ADDRESS is "99999999999999999999": want a whole number from 1 to 1000000`},
		{"MAX_BODY_BYTES", "100kbit", `MAX_BODY_BYTES is "100kbit": want a size from 1KiB to 64MiB` + wantSize},
		{"MAX_BODY_BYTES", "-1", `MAX_BODY_BYTES is "-1": want a size from 1KiB to 64MiB` + wantSize},
		{"MAX_BODY_BYTES", "1.5MB", `MAX_BODY_BYTES is "1.5MB": want a size from 1KiB to 64MiB` + wantSize},
		{"MAX_BODY_BYTES", "KB", `MAX_BODY_BYTES is "KB": want a size from 1KiB to 64MiB` + wantSize},
		{"MAX_ROOM_NAME_BYTES", "1", `MAX_ROOM_NAME_BYTES is "1": want a size from 16 to 64KiB` + wantSize},
		{"CLIENT_ORIGINS", "example.com", `CLIENT_ORIGINS is "example.com": want * for all, or origins such as https://example.com with commas between`},
		{"CLIENT_ORIGINS", "https://example.com/", `CLIENT_ORIGINS is "https://example.com/": want * for all, or origins such as https://example.com with commas between`},
		{"CLIENT_ORIGINS", "*,https://example.com", `CLIENT_ORIGINS is "*,https://example.com": want * alone, or origins without it`},
		{"MAX_PACKET_BYTES", "1GB", `MAX_PACKET_BYTES is "1GB": want a size from 1KiB to 100MB` + wantSize},
		{"BACKLOG_BYTES", "9223372036854775807KiB", `BACKLOG_BYTES is "9223372036854775807KiB": want a size from 1MiB to 1024GiB` + wantSize},
		{"BACKLOG_BYTES", "18014398509481984KiB", `BACKLOG_BYTES is "18014398509481984KiB": want a size from 1MiB to 1024GiB` + wantSize}, // 2^64 bytes
		{"OUTBOX_BYTES", "512KiB", "OUTBOX_BYTES is 524288: want at least 614464, so that one event of MAX_BODY_BYTES fits"},
		{"OUTBOX_BYTES", "1GiB", "BACKLOG_BYTES is 536870912: want at least OUTBOX_BYTES, which is 1073741824"},
		{"PING_INTERVAL", "soon", `PING_INTERVAL is "soon": ` + wantTime},
		{"PING_INTERVAL", "25000", `PING_INTERVAL is "25000": ` + wantTime}, // milliseconds, as Node writes them
		{"PING_TIMEOUT", "0", `PING_TIMEOUT is "0": ` + wantTime},
		{"UPGRADE_TIMEOUT", "-5s", `UPGRADE_TIMEOUT is "-5s": ` + wantTime},
		{"CONNECT_TIMEOUT", "1h5", `CONNECT_TIMEOUT is "1h5": ` + wantTime},
		{"HEADER_TIMEOUT", "1d", `HEADER_TIMEOUT is "1d": ` + wantTime},
		{"BODY_TIMEOUT", "999ms", `BODY_TIMEOUT is "999ms": ` + wantTime},
		{"IDLE_TIMEOUT", "61m", `IDLE_TIMEOUT is "61m": ` + wantTime},
		{"WRITE_TIMEOUT", "9999999999999999999999", `WRITE_TIMEOUT is "9999999999999999999999": ` + wantTime},
		{"DRAIN_TIME", "8s", "SHUTDOWN_TIMEOUT is 10s: want at least 11s, which is DRAIN_DELAY and DRAIN_TIME and a third more"},
		{"DRAIN_DELAY", "1h", "SHUTDOWN_TIMEOUT is 10s: want at least 1h20m, which is DRAIN_DELAY and DRAIN_TIME and a third more"},
		{"DRAIN_TIME", "-1s", `DRAIN_TIME is "-1s": want a time from 0s to 1h, such as 90s, 1m30s or 90 (seconds)`},
		{"SHUTDOWN_TIMEOUT", "1ms", `SHUTDOWN_TIMEOUT is "1ms": want a time from 100ms to 1h, such as 90s, 1m30s or 90 (seconds)`},
		{"HOST", "127.0.0.1:8000", `HOST is "127.0.0.1:8000": ` + wantHost},
		{"HOST", "localhost:8000", `HOST is "localhost:8000": ` + wantHost},
		{"HOST", "300.1.1.1", `HOST is "300.1.1.1": ` + wantHost},
		{"HOST", "*", `HOST is "*": ` + wantHost},
		{"HOST", "a..b", `HOST is "a..b": ` + wantHost},
		{"HOST", "http://localhost", `HOST is "http://localhost": ` + wantHost},
		{"TRUSTED_PROXIES", "10.0.0.0/33", `TRUSTED_PROXIES is "10.0.0.0/33": ` + wantProxies},
		{"TRUSTED_PROXIES", "proxy.example", `TRUSTED_PROXIES is "proxy.example": ` + wantProxies},
		{"TRUSTED_PROXIES", "fe80::1%eth0", `TRUSTED_PROXIES is "fe80::1%eth0": ` + wantProxies},
		{"TRUSTED_PROXIES", ",", `TRUSTED_PROXIES is ",": ` + wantProxies},
		{"LOG_LEVEL", "loud", `LOG_LEVEL is "loud": want debug, info, warn or error`},
		{"LOG_FORMAT", "xml", `LOG_FORMAT is "xml": want text or json`},
		{"CLIENT_SCRIPT", "ftp://a/b.js", `CLIENT_SCRIPT is "ftp://a/b.js": ` + wantScript},
		{"CLIENT_SCRIPT", "https://", `CLIENT_SCRIPT is "https://": ` + wantScript},
		{"CLIENT_SCRIPT", "https://u:p@a/b.js", `CLIENT_SCRIPT is "https://u:p@a/b.js": ` + wantScript},
		{"CLIENT_SCRIPT", ".", `CLIENT_SCRIPT is ".": not a file of 1 byte to 10 MiB: ` + wantScript},
		{"CLIENT_SCRIPT", "empty.js", `CLIENT_SCRIPT is "empty.js": not a file of 1 byte to 10 MiB: ` + wantScript},
		{"CLIENT_SCRIPT", "none.js", `CLIENT_SCRIPT is "none.js": no such file or directory: ` + wantScript},
	} {
		c, err := fromMap(map[string]string{row.name: row.value})
		if err == nil {
			t.Errorf("%s=%q is taken", row.name, row.value)
		} else if err.Error() != row.want {
			t.Errorf("%s=%q\nsays %s\nwant %s", row.name, row.value, err, row.want)
		}
		if c != nil {
			t.Errorf("%s=%q: a Config came with the mistake", row.name, row.value)
		}
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := FromEnv(lookupIn(map[string]string{
		"CLIENT_PORT":   "http",
		"SERVER_PORT":   "8000", // the default of the port that is wrong: no second complaint
		"SERVER_SECRET": "hush hush",
		"PING_INTERVAL": "never",
		"OUTBOX_BYTES":  "little",
		"BACKLOG_BYTES": "1MiB",
		"LOG_LEVEL":     "loud",
		"UNKNOWN":       "not ours",
	}))
	if err == nil {
		t.Fatal("taken")
	}
	var names []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	want := []string{"CLIENT_PORT", "SERVER_SECRET", "PING_INTERVAL", "OUTBOX_BYTES", "LOG_LEVEL"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("got mistakes about %q, want %q", names, want)
	}
	if strings.Contains(err.Error(), "hush") {
		t.Errorf("the secret is in the message: %s", err)
	}
}

// Poosh may be left out only when another dialect is on.
func TestAnotherDialectInsteadOfPoosh(t *testing.T) {
	read := func(on bool, env map[string]string) (*Config, error) {
		c := newConfig()
		c.spoken = append(c.spoken, &dialect.Dialect{Name: "other", Settings: new(setting.Group), On: func() bool { return on }})
		return c.read(setting.Environment{Lookup: lookupIn(env)})
	}
	if _, err := read(false, nil); err == nil || !strings.HasPrefix(err.Error(), "SERVER_SECRET is not set") {
		t.Errorf("with no dialect on: %v", err)
	}
	if c, err := read(true, nil); err != nil || c.Values()["SERVER_SECRET"] != false || c.Network.MaxConnections != 100_000 {
		t.Errorf("with another dialect on: %+v, %v", c, err)
	}
	if _, err := read(true, map[string]string{"SERVER_SECRET": "short"}); err == nil {
		t.Error("a short secret is taken when another dialect is on")
	}
}

func TestSizesFitEveryPlatform(t *testing.T) {
	for _, g := range newConfig().groups {
		for _, s := range g.Settings {
			if s.Value == nil {
				continue
			}
			if _, ok := s.Value.Get().(int); ok && s.Value.Set("3GiB") == nil {
				t.Errorf("%s takes more than %d, the most that an int holds on small machines", s.Name, math.MaxInt32)
			}
		}
	}
}

func TestNewLogger(t *testing.T) {
	for _, row := range []struct{ format, want string }{
		{"text", `level=INFO msg="two words" room="a b"` + "\n"},
		{"json", `"level":"INFO","msg":"two words","room":"a b"}` + "\n"},
	} {
		var out bytes.Buffer
		log := NewLogger(&out, slog.LevelInfo, row.format)
		log.Debug("not this")
		log.Info("two words", "room", "a b")
		if !strings.HasSuffix(out.String(), row.want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %q, want one line that ends in %q", row.format, out.String(), row.want)
		}
	}
}
