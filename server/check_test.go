package server

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/certificate/certificatetest"
	"poosh/server/setting"
)

// goodSecret is one that nobody is warned of.
const goodSecret = "correct horse battery staple"

// findingsOf is what Check finds of a file of settings and an environment, but for what the
// machine has too little of.
func findingsOf(t *testing.T, dotenv string, env map[string]string, ports bool) (errors, warnings []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if dotenv != "" {
		if err := os.WriteFile(path, []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var environ []string
	for name, value := range env {
		environ = append(environ, name+"="+value)
	}
	slices.Sort(environ)
	found := Check(path, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}, environ, ports)
	for _, f := range found.Errors {
		errors = append(errors, f.Text)
	}
	for _, f := range found.Warnings {
		if !strings.Contains(f.Text, "the limit of open files") && !strings.Contains(f.Text, "of memory") {
			warnings = append(warnings, strings.ReplaceAll(f.Text, path, ".env"))
		}
	}
	return errors, warnings
}

// Each row is one thing that is wrong, and found alone.
func TestCheck(t *testing.T) {
	worldly := filepath.Join(t.TempDir(), "apps.json")
	if err := os.WriteFile(worldly, []byte(`{"apps":[{"id":"1","key":"k","secret":"`+goodSecret+`"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(worldly, 0o644); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	dir, authority := t.TempDir(), certificatetest.New(t)
	pair := func(name string, from, until time.Duration) string {
		cert, key := authority.Issue("push.example.com", time.Now().Add(from), time.Now().Add(until))
		sub := filepath.Join(dir, name)
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		_, another := authority.Issue("push.example.com", time.Now(), time.Now().Add(until))
		certificatetest.Put(t, filepath.Join(sub, "other.pem"), another)
		return "TLS_CERT=" + certificatetest.Put(t, filepath.Join(sub, "cert.pem"), cert) + "\nTLS_KEY=" + certificatetest.Put(t, filepath.Join(sub, "key.pem"), key) + "\n"
	}
	shown := func(set string) string {
		return strings.TrimPrefix(strings.Split(set, "\n")[0], "TLS_CERT=")
	}
	const day = 24 * time.Hour
	good, old, soon, later, open := pair("a", -day, 90*day), pair("b", -9*day, -day), pair("c", -89*day, 2*day), pair("d", day, 90*day), pair("e", -day, 90*day)
	if err := os.Chmod(filepath.Join(dir, "e", "key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := strconv.Itoa(busy.Addr().(*net.TCPAddr).Port)
	const pusher = "PUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET=correct horse battery staple\n"
	for name, row := range map[string]struct {
		dotenv         string
		env            map[string]string
		error, warning string // how each begins; empty for none
	}{
		"nothing": {},

		"a slip in .env":             {"SERVER_SECERT=x\n", nil, "", "SERVER_SECERT is no setting and is not looked at: SERVER_SECRET is one"},
		"a letter too few":           {"SERVER_SECRE=x\n", nil, "", "SERVER_SECRE is no setting"},
		"a letter too many":          {"MAX_ROOMSS=x\n", nil, "", "MAX_ROOMSS is no setting"},
		"a wrong letter":             {"MAX_ROOMZ=x\n", nil, "", "MAX_ROOMZ is no setting"},
		"small letters":              {"max_rooms=7\n", nil, "", "max_rooms is no setting"},
		"two slips":                  {"MAX_ROMOSS=x\n", nil, "", ""},
		"one word in .env":           {"HOTS=127.0.0.1\n", nil, "", "HOTS is no setting"},
		"a slip in the environment":  {"", map[string]string{"SREVER_PORT": "1"}, "", "SREVER_PORT is no setting"},
		"one word in there":          {"", map[string]string{"SORT": "x", "POST": "y", "HOTS": "z"}, "", ""},
		"others' in there":           {"", map[string]string{"PUSHER_HOST": "x", "PUSHER_APP_CLUSTER": "mt1", "PATH": "/", "SERVER_NAME": "x"}, "", ""},
		"a pattern":                  {"SHOP_SOCKTOPUS_SECERT=x\n", nil, "", "SHOP_SOCKTOPUS_SECERT is no setting and is not looked at: SHOP_SOCKTOPUS_SECRET is one"},
		"a pattern without its dash": {"SHOPSOCKTOPUS_SECRET=x\n", nil, "", "SHOPSOCKTOPUS_SECRET is no setting"},

		"export":              {"export MAX_ROOMS=7\n", nil, "", ".env: line 1 is no setting and is skipped"},
		"twice":               {"MAX_ROOMS=7\nMAX_ROOMS=8\n", nil, "", ".env: MAX_ROOMS stands in line 1 and in line 2"},
		"a comment behind":    {"LOG_LEVEL=info # or debug\n", nil, "LOG_LEVEL is \"info # or debug\"", ".env: line 1: what stands behind the # is part of LOG_LEVEL"},
		"comments and blanks": {"# a comment\n\n  # and one more\n", nil, "", ""},

		"everybody is a proxy":      {"TRUSTED_PROXIES=0.0.0.0/0\n", nil, "", "TRUSTED_PROXIES has 0.0.0.0/0, which is everybody"},
		"everybody of IPv6":         {"TRUSTED_PROXIES=::/0\n", nil, "", "TRUSTED_PROXIES has ::/0, which is everybody"},
		"public networks":           {"TRUSTED_PROXIES=1.1.1.0/24,2606:4700::/32\n", nil, "", "TRUSTED_PROXIES has public networks, 1.1.1.0/24, 2606:4700::/32"},
		"private ones, and one":     {"TRUSTED_PROXIES=10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fd00::/8,100.64.0.0/10,127.0.0.0/8,fe80::/10,1.2.3.4\n", nil, "", ""},
		"a name for a proxy":        {"TRUSTED_PROXIES=proxy.example.com\n", nil, `TRUSTED_PROXIES is "proxy.example.com": want addresses`, ""},
		"a port of the proxy":       {"TRUSTED_PROXIES=10.0.0.1:80\n", nil, "TRUSTED_PROXIES is", ""},
		"the documents' secret":     {"SERVER_SECRET=thisisthesharedsecret\n", nil, "", "SERVER_SECRET is what the documentation shows"},
		"in large letters":          {"SERVER_SECRET=THISISTHESHAREDSECRET\n", nil, "", "SERVER_SECRET is what the documentation shows"},
		"a short secret":            {"SERVER_SECRET=abcdefghijk\n", nil, "", "SERVER_SECRET is short enough"},
		"a dull secret":             {"SERVER_SECRET=abababababababababab\n", nil, "", "SERVER_SECRET is made of few"},
		"an app's dull secret":      {strings.Replace(pusher, goodSecret, "aaaaaaaaaaaaaaaaaaaaa", 1), nil, "", "PUSHER_APP_SECRET is made of few"},
		"a dull token":              {"ADMIN_PORT=0\nADMIN_TOKEN=0000000000000000000\n", nil, "", "ADMIN_TOKEN is made of few"},
		"another dull token":        {"PUSH_SOCKET_PORT=0\nPUSH_SOCKET_OPERATOR_TOKEN=0000000000000000000\n", nil, "", "PUSH_SOCKET_OPERATOR_TOKEN is made of few"},
		"operators without a token": {"ADMIN_PORT=0\n", nil, "", "ADMIN_TOKEN is not set: every user and program"},
		"and for others":            {"ADMIN_PORT=0\nADMIN_HOST=0.0.0.0\n", nil, "ADMIN_TOKEN is not set, and ADMIN_HOST is", ""},

		"an origin with a slash": {"CLIENT_ORIGINS=https://example.com/\n", nil, `CLIENT_ORIGINS is "https://example.com/"`, ""},
		"an origin with a star":  {"CLIENT_ORIGINS=https://*.example.com\n", nil, "", "CLIENT_ORIGINS has"},
		"a host with a slash":    {pusher + "PUSHER_ALLOWED_ORIGINS=example.com/\n", nil, "", "PUSHER_ALLOWED_ORIGINS has"},
		"an origin with a path":  {pusher + "PUSHER_ALLOWED_ORIGINS=https://example.com/x\n", nil, "", "PUSHER_ALLOWED_ORIGINS has"},
		"good hosts":             {pusher + "PUSHER_ALLOWED_ORIGINS=https://example.com,*.example.com,example.org\n", nil, "", ""},
		"without the dialect":    {"PUSHER_ALLOWED_ORIGINS=example.com/\n", nil, "", ""},

		"a body and all input":       {"MAX_BODY_BYTES=8MiB\n", nil, "", "MAX_BODY_BYTES is 8388608, and about 3653632 is the most"},
		"a small body":               {"INPUT_BYTES=1MiB\nMAX_BODY_BYTES=200KiB\nMAX_PACKET_BYTES=1KiB\n", nil, "", "MAX_BODY_BYTES is 204800, and about 155648 is the most"},
		"one that fits":              {"MAX_BODY_BYTES=3MiB\n", nil, "", ""},
		"a packet":                   {"MAX_PACKET_BYTES=20MiB\n", nil, "", "MAX_PACKET_BYTES is"},
		"a body of Pusher's":         {pusher + "PUSHER_MAX_BODY_BYTES=32MiB\n", nil, "", "PUSHER_MAX_BODY_BYTES is"},
		"rooms":                      {"MAX_ROOMS=1000000\n", nil, "", "MAX_ROOMS is 1000000, and about"},
		"channels":                   {pusher + "PUSHER_MAX_CHANNELS=1000000\n", nil, "", "PUSHER_MAX_CHANNELS is"},
		"an event and its body":      {pusher + "PUSHER_MAX_EVENT_BYTES=11MB\nOUTBOX_BYTES=100MiB\n", nil, "", "PUSHER_MAX_EVENT_BYTES is"},
		"an app and all":             {pusher + "PUSHER_MAX_CONNECTIONS=200000\n", nil, "", "PUSHER_MAX_CONNECTIONS is 200000, and about 100000"},
		"an address and all":         {"MAX_CONNECTIONS=50\nMAX_CONNECTIONS_PER_ADDRESS=60\nMAX_UNFINISHED_PER_ADDRESS=5\n", nil, "", "MAX_CONNECTIONS_PER_ADDRESS is 60"},
		"a device and all":           {"PUSH_SOCKET_PORT=0\nPUSH_SOCKET_DB_MAX_BYTES=1MiB\n", nil, "", "PUSH_SOCKET_BYTES_PER_DEVICE is"},
		"a key and all keys":         {"PUSH_SOCKET_PORT=0\nPUSH_SOCKET_KEY_BYTES_PER_DEVICE=2KiB\n", nil, "", "PUSH_SOCKET_MAX_KEY_BYTES is"},
		"an outbox and one event":    {"OUTBOX_BYTES=1KiB\n", nil, "OUTBOX_BYTES is 1024: want at least", ""},
		"a file that is not there":   {"PUSHER_APPS=/nowhere/apps.json\n", nil, "PUSHER_APPS is \"/nowhere/apps.json\": no such file", ""},
		"a file that all may read":   {"PUSHER_APPS=" + worldly + "\n", nil, "", "PUSHER_APPS is \"" + worldly + "\", which everybody"},
		"a directory that is not":    {"PUSH_SOCKET_PORT=0\nPUSH_SOCKET_DB=/nowhere/x.db\n", nil, "PUSH_SOCKET_DB cannot be made in \"/nowhere\": no such file", ""},
		"a directory for a file":     {"PUSH_SOCKET_PORT=0\nPUSH_SOCKET_DB=/\n", nil, "PUSH_SOCKET_DB is \"/\", which is no file", ""},
		"a database without dialect": {"PUSH_SOCKET_DB=/nowhere/x.db\n", nil, "", ""},

		"a certificate":             {good, nil, "", ""},
		"one that is not there":     {"TLS_CERT=/nowhere/cert.pem\nTLS_KEY=/nowhere/key.pem\n", nil, "TLS_CERT is of no use: ", ""},
		"another's key":             {strings.Replace(good, "/key.pem", "/other.pem", 1), nil, "TLS_CERT is of no use: ", ""},
		"a certificate without key": {strings.Split(good, "\n")[0] + "\n", nil, "TLS_KEY is not set", ""},
		"an old one":                {old, nil, "", "TLS_CERT is " + setting.Shown(shown(old)) + ", whose certificate for push.example.com ended at "},
		"one that ends soon":        {soon, nil, "", "TLS_CERT is " + setting.Shown(shown(soon)) + ", whose certificate for push.example.com ends at "},
		"one for later":             {later, nil, "", "TLS_CERT is " + setting.Shown(shown(later)) + ", whose certificate for push.example.com is valid from "},
		"a key that all may read":   {open, nil, "", "TLS_KEY is " + setting.Shown(strings.Replace(shown(open), "/cert.pem", "/key.pem", 1)) + ", which everybody"},
		"files and names":           {good + "TLS_DOMAINS=push.example.com\nACME_HTTP_PORT=0\nACME_DIR=" + dir + "\n", nil, "TLS_DOMAINS is set beside TLS_CERT", ""},
		"names":                     {"TLS_DOMAINS=push.example.com\nACME_HTTP_PORT=0\nACME_DIR=" + dir + "/new/deep\n", nil, "", ""},
		"names, and a file for it":  {"TLS_DOMAINS=push.example.com\nACME_HTTP_PORT=0\nACME_DIR=" + shown(good) + "/acme\n", nil, "ACME_DIR cannot be made or written in", ""},
		"names, and nobody to ask":  {"TLS_DOMAINS=push.example.com\nACME_HTTP_PORT=0\nTLS_CLIENT_CA=" + shown(good) + "\nACME_DIR=" + dir + "\n", nil, "", "TLS_CLIENT_CA is set, and ACME_HTTP_PORT is 0"},
		"names, and a taken port":   {"TLS_DOMAINS=push.example.com\nACME_HTTP_PORT=" + taken + "\nHOST=127.0.0.1\nACME_DIR=" + dir + "\n", nil, "ACME_HTTP_PORT is " + taken + ", which cannot be listened on", ""},
		"names, and a port twice":   {"TLS_DOMAINS=push.example.com\nACME_HTTP_PORT=7001\nADMIN_PORT=7001\nADMIN_TOKEN=" + goodSecret + "\nACME_DIR=" + dir + "\n", nil, "ACME_HTTP_PORT is 7001: want another port than ADMIN_PORT", ""},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"CLIENT_PORT": "0", "SERVER_PORT": "0", "PUSHER_PORT": "0"}
			for k, v := range row.env {
				env[k] = v
			}
			dotenv := row.dotenv
			if !strings.Contains("\n"+dotenv, "\nSERVER_SECRET=") {
				dotenv += "SERVER_SECRET=" + goodSecret + "\n"
			}
			errors, warnings := findingsOf(t, dotenv, env, true)
			if !alone(errors, row.error) || !alone(warnings, row.warning) {
				t.Errorf("errors %q, want %q\nwarnings %q, want %q", errors, row.error, warnings, row.warning)
			}
		})
	}
}

// alone reports whether a list is of one text that begins in a way, or empty for none.
func alone(list []string, begins string) bool {
	if begins == "" {
		return len(list) == 0
	}
	return len(list) == 1 && strings.HasPrefix(list[0], begins)
}

// A file that does not belong to the reader alone is told of if there is a secret in it.
func TestCheckFileThatAllMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	for text, want := range map[string]bool{"SERVER_SECRET=" + goodSecret + "\n": true, "A_SOCKTOPUS_SECRET=" + goodSecret + "\n": true, "MAX_ROOMS=7\nSERVER_SECRET=\n": false} {
		for _, mode := range []os.FileMode{0o644, 0o640} {
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			got := slices.ContainsFunc(notices(path, nil), func(line string) bool { return strings.Contains(line, "everybody on this machine may read") })
			if got != (want && mode == 0o644) {
				t.Errorf("%q with mode %o: %v", text, mode, got)
			}
		}
	}
}

// A port in use is an error, unless nobody asks; and everything else is found all the same,
// without the value of any secret.
func TestCheckFindsAllAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	const text = "SERVER_SECRET=hush-hush1\nPING_INTERVAL=x\nSERVER_SECERT=hush-hush2\nexport ADMIN_TOKEN=hush-hush3\nA_SOCKTOPUS_SECRET=hush # hush4\n"
	env := map[string]string{"HOST": "127.0.0.1", "CLIENT_PORT": port, "SERVER_PORT": "0", "SOCKTOPUS_PORT": "0", "PUSHER_APP_SECRET": "hush5", "PUSHER_PORT": port}
	for _, ports := range []bool{true, false} {
		errors, warnings := findingsOf(t, text, env, ports)
		all := strings.Join(append(errors, warnings...), "\n")
		for want, there := range map[string]bool{
			"PING_INTERVAL is \"x\"": true, "PUSHER_PORT is " + port + ": want another port than CLIENT_PORT": true, "PUSHER_APP_ID": true,
			"CLIENT_PORT is " + port + ", which cannot be listened on: address already in use": ports,
			"SERVER_SECERT is no setting": true, "line 4 is no setting": true, "SERVER_SECRET is short": true, "behind the #": true,
		} {
			if strings.Contains(all, want) != there {
				t.Errorf("ports %v: %q: %v, want %v\n%s", ports, want, !there, there, all)
			}
		}
		if strings.Contains(all, "hush") {
			t.Errorf("a secret is shown:\n%s", all)
		}
	}
}

// What Check says is the most is the most, for a body and for rooms.
func TestBoundsAreWhereCheckSays(t *testing.T) {
	r := run(t, map[string]string{"INPUT_BYTES": "1MiB", "MAX_BODY_BYTES": "400KiB", "ROOM_BYTES": "1MiB", "MAX_ROOMS": "1000"}, nil)
	most := make(map[string]int)
	for _, line := range r.cfg.limits() {
		var name string
		var value, n int
		if _, err := fmt.Sscanf(line, "%s is %d, and about %d is the most", &name, &value, &n); err == nil {
			most[name] = n
		}
	}
	if most["MAX_BODY_BYTES"] == 0 || most["MAX_ROOMS"] == 0 {
		t.Fatal(most)
	}
	for more, want := range map[int]bool{0: true, 2 * heads: false} {
		payload := `"` + strings.Repeat("x", most["MAX_BODY_BYTES"]+more) + `"`
		req, err := http.NewRequest(http.MethodPost, "http://"+r.sender+"/send", strings.NewReader(`{"event":"e","payload":`+payload+"}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {auth.PooshSign(testSecret, []byte(payload))}}
		req.Close = true
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			res.Body.Close()
		}
		if taken := err == nil && res.StatusCode == http.StatusOK; taken != want {
			t.Errorf("a body of %d bytes more than the most: taken %v, want %v: %v %v", more, taken, want, res, err)
		}
	}

	ws := r.listen(t, "first")
	say := func(text string) {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	joins := func(from, to int) {
		for i := from; i < to; i++ {
			say(fmt.Sprintf(`42["room","%0512d"]`, i))
		}
		say("2")
	}
	joins(0, most["MAX_ROOMS"]-1)
	r.hear(t, ws, "3")
	joins(most["MAX_ROOMS"], most["MAX_ROOMS"]+3)
	if _, text, err := ws.ReadMessage(); err == nil {
		t.Errorf("with more rooms than the most a client is told %q, want it to be closed", text)
	}
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

func TestOneSlip(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"abc", "abc"}: true, {"abc", "abd"}: true, {"abc", "ab"}: true, {"abc", "abcd"}: true, {"abc", "xabc"}: true, {"abc", "acb"}: true,
		{"abc", "bac"}: true, {"a", ""}: true, {"", ""}: true, {"abc", "cba"}: false, {"abc", "abcde"}: false, {"abcd", "badc"}: false,
		{"abcd", "axcx"}: false, {"ab", "cd"}: false, {"abcdef", "abcxfe"}: false,
	} {
		if oneSlip(pair[0], pair[1]) != want || oneSlip(pair[1], pair[0]) != want {
			t.Errorf("%q: %v", pair, !want)
		}
	}
}

// What stands for a secret in the documents and examples is known to be no secret.
func TestExamplesOfSecretsAreKnown(t *testing.T) {
	assigned := regexp.MustCompile(`(?i)(?:secret|token)"?\s*(?:=|:-|:)\s*['"]?([a-z][a-z-]{15,})\b`)
	found := 0
	for _, dir := range []string{"../README.md", "../docs", "../examples", "../.env.example"} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() && d.Name() == "node_modules" {
				return err
			}
			if d.IsDir() {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range assigned.FindAllSubmatch(text, -1) {
				found++
				if setting.WeakSecret("X", string(m[1])) == nil {
					t.Errorf("%s shows the secret %q, which setting.Examples does not have", path, m[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 10 {
		t.Errorf("%d secrets are found, want more: are they looked for where they are?", found)
	}
}
