package migration

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newWords are those that an import makes here, so that it makes the same each time.
const newWords = "secret-made-by-the-import"

func init() { newWord = func() string { return newWords } }

var update = flag.Bool("update", false, "write testdata/golden anew")

// fixtures are configurations that we wrote of keys that the servers have.
var fixtures = []fixture{
	{"soketi.json", "", "soketi", NeedLook},
	{"soketi.env", "", "soketi", NeedLook},
	{"soketi-plain.env", "", "soketi", Mapped},
	{"sockudo.toml", "", "sockudo", NeedLook},
	{"sockudo.json", "", "sockudo", NeedLook},
	{"sockudo.env", "", "sockudo", NeedLook},
	{"reverb.env", "", "reverb", NeedLook},
	{"laravel/config/reverb.php", "laravel/application.env", "reverb", NeedLook},
	{"laravel/config/websockets.php", "laravel/application.env", "laravel-websockets", Mapped},
	{"laravel/config/websockets2.php", "laravel/application.env", "laravel-websockets", NeedLook},
	{"laravel/config/websockets-2-beta.php", "laravel/application.env", "laravel-websockets", Mapped},
	{"laravel-echo-server.json", "", "laravel-echo-server", NeedLook},
	{"laravel-echo-server.env", "", "laravel-echo-server", NeedLook},
	{"laravel-echo-sentinels.json", "", "laravel-echo-server", NeedLook},
	{"laravel-echo-plain.json", "", "laravel-echo-server", Mapped},
	{"laravel-echo-server.json", "", "laravel-echo-server-to-pusher", NeedLook},
	{"poosh.env", "", "poosh", Mapped},
}

// A fixture is one of them.
type fixture struct {
	file, env string
	source    string
	code      int
}

// asked are sources that have to be named.
var asked = map[string]bool{"laravel-echo-server-to-pusher": true}

func (f fixture) options() Options {
	var o Options
	if f.env != "" {
		o.Env = "testdata/" + f.env
	}
	if asked[f.source] {
		o.From = f.source
	}
	return o
}

// name is what its example is called.
func (f fixture) name() string {
	name := strings.ReplaceAll(f.file, "/", "-")
	if asked[f.source] {
		name = f.source + "-" + name
	}
	return name
}

func imported(t *testing.T, file string, o Options) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(file, o, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// What is made of each example, to the letter, so that a change of it is seen.
func TestExamples(t *testing.T) {
	for _, f := range fixtures {
		t.Run(f.name(), func(t *testing.T) {
			code, out, errs := imported(t, "testdata/"+f.file, f.options())
			if code != f.code {
				t.Errorf("exit code %d, want %d", code, f.code)
			}
			golden := filepath.Join("testdata/golden", f.name()+".txt")
			got := out + "\n--- report ---\n" + errs
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v: go test ./server/migration -update writes it", err)
			}
			if got != string(want) {
				t.Errorf("%s is other than %s:\n%s", f.file, golden, got)
			}
		})
	}
}

// The file tells whose it is, and the report as JSON has the same as the one for people.
func TestJSONReport(t *testing.T) {
	for _, f := range fixtures {
		o := f.options()
		o.JSON = true
		code, out, errs := imported(t, "testdata/"+f.file, o)
		var r Report
		if err := json.Unmarshal([]byte(out), &r); err != nil || errs != "" {
			t.Fatalf("%s: %v, %q", f.file, err, errs)
		}
		if r.Source != f.source || code != f.code || r.Look != (code == NeedLook) || len(r.Keys) == 0 {
			t.Errorf("%s is read as %s, exit code %d, look %v, %d keys", f.file, r.Source, code, r.Look, len(r.Keys))
		}
		for _, k := range r.Keys {
			if k.Becomes == "" && k.Says == "" {
				t.Errorf("%s: nothing is said of %s", f.file, k.Key)
			}
		}
		for _, list := range []string{"keys", "added", "notes", "other_variables", "files"} {
			if strings.Contains(out, `"`+list+`": null`) {
				t.Errorf("%s: %s is null, want a list", f.file, list)
			}
		}
	}
}

var secrets = regexp.MustCompile(`secret[- ][-\w" ]+\w|c2Vjcm[\w=]+`)

// Secrets are in the files that are made, and nowhere else.
func TestNoSecretInReports(t *testing.T) {
	found := 0
	for _, f := range fixtures {
		var texts []string
		for _, name := range []string{f.file, f.env} {
			if name != "" {
				b, err := os.ReadFile("testdata/" + name)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, secrets.FindAllString(string(b), -1)...)
			}
		}
		_, _, errs := imported(t, "testdata/"+f.file, f.options())
		o := f.options()
		o.JSON = true
		_, report, _ := imported(t, "testdata/"+f.file, o)
		for _, secret := range append(texts, newWords) {
			found++
			if strings.Contains(errs, secret) || strings.Contains(report, secret) {
				t.Errorf("%s: a report holds %q", f.file, secret)
			}
		}
	}
	if found < 25 {
		t.Errorf("%d secrets are in the examples: the test looks for the wrong thing", found)
	}
}

// Nor are they in what is said of files that cannot be read.
func TestBrokenFiles(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"a.json", "{\n  \"port\": 6001,\n  \"key\": hush-hush\n}", "line 3: is no JSON"},
		{"b.json", `{"port": 6001} {"port": "hush-hush"}`, "more than one JSON object"},
		{"c.toml", "port = 6001\n[app_manager]\ndriver = hush-hush\n", "line 3, column"},
		{"d.env", "SOKETI_PORT=6001\nhush-hush hush-hush\n", "line 2: want NAME=value"},
		{"d2.env", "SOKETI_PORT=6001\nSOKETI_DEFAULT_APP_SECRET=\"hush-hush\n", "line 2: want NAME=value"},
		{"e.php", "<?php return [\n'a' => 'hush-hush',\n'b' => 'hush-hush\n];", "line 3: a text has no end"},
		{"f.php", "<?php return [\n'a' => ['hush-hush'\n;", "line 3: want ] or a comma"},
		{"g.php", "<?php echo 'hush-hush';", "returns nothing"},
		{"h.php", "<?php return 'hush-hush';", "returns no array"},
		{"i.txt", "HUSH=hush-hush\n", "no key of any known server"},
		{"j.txt", "", "no key of any known server"},
		{"k.json", `{"port": 6001, "debug": true}`, "could be of soketi or sockudo"},
		{"l.toml", "port = 6001\n[app_manager]\nsecret = \"${HUSH} ${ALSO}\"\n", "--env: HUSH, ALSO"},
		{"n.toml", "port = 6001\na = " + strings.Repeat("[", 2000), "line 2: more than 1000 brackets"},
		{"m.json", strings.Repeat(" ", maxFile) + "{}", "is larger than"},
	} {
		path := filepath.Join(t.TempDir(), row.name)
		if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := imported(t, path, Options{})
		if code != Failed || out != "" || !strings.Contains(errs, row.want) || strings.Contains(errs, "hush") || !strings.HasPrefix(errs, "poosh: ") {
			t.Errorf("%s: exit code %d, %q, %q, want %q", row.name, code, out, errs, row.want)
		}
	}
	dir := t.TempDir()
	for path, want := range map[string]string{dir: "is a directory", filepath.Join(dir, "none"): "no such file"} {
		if code, _, errs := imported(t, path, Options{}); code != Failed || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %q", path, code, errs)
		}
	}
	if code, _, errs := imported(t, "testdata/soketi.json", Options{From: "soketti"}); code != Failed || !strings.Contains(errs, "want one of soketi, sockudo, reverb") {
		t.Errorf("%d, %q", code, errs)
	}
	if code, _, errs := imported(t, "testdata/soketi.json", Options{From: "reverb"}); code != Failed || !strings.Contains(errs, "is written as JSON") {
		t.Errorf("%d, %q", code, errs)
	}
}

// A person may say whose a file is that could be of several.
func TestFrom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "either.json")
	if err := os.WriteFile(path, []byte(`{"port": 6001, "debug": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"soketi", "sockudo"} {
		_, out, _ := imported(t, path, Options{From: from, JSON: true})
		if !strings.Contains(out, `"source": "`+from+`"`) || !strings.Contains(out, "PUSHER_PORT=6001") {
			t.Errorf("%s: %s", from, out)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := Run("-", Options{}, strings.NewReader("SOKETI_PORT=6011\nSOKETI_DEFAULT_APP_SECRET=sixteen-letters-x"), &stdout, &stderr); code != NeedLook || !strings.Contains(stdout.String(), "PUSHER_PORT=6011") {
		t.Errorf("standard input: %d\n%s\n%s", code, stdout.String(), stderr.String())
	}
}

// An environment beside the file counts more than the file.
func TestEnvironmentBeside(t *testing.T) {
	env := filepath.Join(t.TempDir(), "env")
	text := "SOKETI_PORT=6055\nSOKETI_DEFAULT_APP_SECRET=another-secret-of-the-shop\nPORT=1\n"
	if err := os.WriteFile(env, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, errs := imported(t, "testdata/soketi.json", Options{Env: env})
	for _, want := range []string{"PUSHER_PORT=6055", `"secret": "another-secret-of-the-shop"`, `"secret": "secret-of-the-blog-soketi"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	for _, want := range []string{"port: is overridden by SOKETI_PORT", "appManager.array.apps.0.secret: is overridden by SOKETI_DEFAULT_APP_SECRET"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %s in\n%s", want, errs)
		}
	}
}

// The app of Sockudo's environment takes the place of those in its file, if it is whole.
func TestSockudoDefaultApp(t *testing.T) {
	for env, want := range map[string][]string{
		"SOCKUDO_DEFAULT_APP_ID=9\nSOCKUDO_DEFAULT_APP_KEY=nine\nSOCKUDO_DEFAULT_APP_SECRET=secret-of-number-nine\n": {`"id": "9"`, `"max_connections": 100`},
		"SOCKUDO_DEFAULT_APP_MAX_CONNECTIONS=7\n":   {`"id": "3003"`, `"max_connections": 100`},
		"TOML_SECRET=x\nPORT=6066\nUNRELATED=yes\n": {`"id": "3003"`, "PUSHER_PORT=6066"},
	} {
		path := filepath.Join(t.TempDir(), "env")
		if err := os.WriteFile(path, []byte(env), 0o600); err != nil {
			t.Fatal(err)
		}
		_, out, errs := imported(t, "testdata/sockudo.json", Options{Env: path})
		for _, w := range want {
			if !strings.Contains(out, w) || strings.Count(out, `"secret":`) != 1 {
				t.Errorf("%s: no %s in\n%s\n%s", env, w, out, errs)
			}
		}
	}
}

// The variables of a Laravel application are those of the .env above its config, and a
// person is told so; those that a config does not ask for are named.
func TestLaravelVariables(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	if err := os.Mkdir(config, 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"laravel/config/reverb.php": "config/reverb.php", "laravel/application.env": ".env"} {
		b, err := os.ReadFile("testdata/" + from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), append(b, "\nREVERB_APP_MAX_CONNECTIONS=null\n"...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_, out, errs := imported(t, filepath.Join(config, "reverb.php"), Options{})
	for text, want := range map[string]string{out: `"key": "config-key"`, errs: "The variables of the application are those of "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if !strings.Contains(errs, "The file does not ask for the variable REVERB_APP_MAX_CONNECTIONS.") {
		t.Error(errs)
	}
	// Without it the file alone is not enough, and that is said.
	if err := os.Remove(filepath.Join(dir, ".env")); err != nil {
		t.Fatal(err)
	}
	code, _, errs := imported(t, filepath.Join(config, "reverb.php"), Options{})
	for _, want := range []string{"apps.apps.0.secret: is the variable REVERB_APP_SECRET of the environment, which is not known: name its file with --env", "Poosh will not start with it"} {
		if code != NeedLook || !strings.Contains(errs, want) {
			t.Errorf("%d, no %s in\n%s", code, want, errs)
		}
	}
	// In a .env null is no text, as for Laravel.
	path := filepath.Join(dir, "null.env")
	if err := os.WriteFile(path, []byte("REVERB_APP_ID=1\nREVERB_APP_KEY=k\nREVERB_APP_SECRET=secret-of-null\nREVERB_APP_MAX_CONNECTIONS=null\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := imported(t, path, Options{}); code != Mapped || strings.Contains(out, "max_connections") {
		t.Errorf("%d\n%s\n%s", code, out, errs)
	}
}

// fromText imports a text as a file of some name.
func fromText(t *testing.T, name, text string, o Options) (code int, out, errs string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return imported(t, path, o)
}

// Of the apps of Sockudo's file none is left beside the one of the environment.
func TestSockudoDefaultAppAlone(t *testing.T) {
	env := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(env, []byte("SOCKUDO_DEFAULT_APP_ID=9\nSOCKUDO_DEFAULT_APP_KEY=nine\nSOCKUDO_DEFAULT_APP_SECRET=secret-of-number-nine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, errs := imported(t, "testdata/sockudo.toml", Options{Env: env})
	if strings.Count(out, `"secret":`) != 1 || strings.Contains(out, "webhooks") || !strings.Contains(out, `"id": "9"`) || !strings.Contains(errs, "does not count") {
		t.Errorf("%s\n%s", out, errs)
	}
}

// A variable that bears a server's name tells more than those that others have too, and
// is this server's though it is not known.
func TestOwnVariables(t *testing.T) {
	text := "SOKETI_DEFAULT_APP_ID=1\nSOKETI_DEFAULT_APP_KEY=k\nSOKETI_DEFAULT_APP_SECRET=secret-of-soketi\nSOKETI_ENTIRELY_ANOTHER_THING=1\n" +
		"PUSHER_APP_ID=1\nPUSHER_APP_KEY=k\nPUSHER_APP_SECRET=secret-of-soketi\nPUSHER_HOST=h\nPUSHER_PORT=1\nPUSHER_SCHEME=http\nBROADCAST_CONNECTION=pusher\nREDIS_HOST=r\nREDIS_PASSWORD=p\n"
	code, _, errs := fromText(t, "x.env", text, Options{})
	if code != NeedLook || !strings.Contains(errs, "is read as soketi") || !strings.Contains(errs, "SOKETI_ENTIRELY_ANOTHER_THING: is no key of soketi") {
		t.Errorf("%d\n%s", code, errs)
	}
}

// A webhook that would be told of more, or of nothing, is left out, and that is said.
func TestWebhooksLeftOut(t *testing.T) {
	const app = `{"appManager.array.apps": [{"id": "1", "key": "k", "secret": "secret-of-hooks", "webhooks": %s}]}`
	for hooks, want := range map[string]string{
		`[{"url": "https://a.example.com"}]`:                                                 "no event types",
		`[{"url": "https://a.example.com", "event_types": []}]`:                              "no event types",
		`[{"url": "https://a.example.com", "event_types": ["other"]}]`:                       "Poosh has no webhooks for other",
		`[{"url": "ftp://a.example.com", "event_types": ["member_added"]}]`:                  "want an http or https address",
		`[{"lambda_function": "f", "event_types": ["member_added"]}]`:                        "Poosh tells addresses alone",
		`"[{\"url\": \"https://a.example.com\", \"event_types\": [\"member_added\"]}]"`:      "",
		`[{"url": "https://a.example.com", "event_types": ["member_added"], "headers": {}}]`: "",
		`"{"`: "cannot be read: want a list",
	} {
		code, out, errs := fromText(t, "x.json", strings.Replace(app, "%s", hooks, 1), Options{})
		if told := strings.Contains(out, "a.example.com"); told != (want == "") || !strings.Contains(errs, want) || (code == NeedLook) != (want != "") {
			t.Errorf("%s: %d\n%s\n%s", hooks, code, out, errs)
		}
	}
}
