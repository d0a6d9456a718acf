package main

import (
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"poosh/server"
	"poosh/test/documents"
)

func pages(t *testing.T) []*documents.Page {
	t.Helper()
	list, err := documents.Read(".")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// what a page says, by its path.
func page(t *testing.T, name string) *documents.Page {
	t.Helper()
	for _, p := range pages(t) {
		if p.Path == name {
			return p
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// The README is what everybody reads first, so it is short, and from there every page
// can be reached.
func TestREADME(t *testing.T) {
	const most = 250
	if n := strings.Count(readFile(t, "README.md"), "\n"); n > most {
		t.Errorf("README.md has %d lines, want %d at the most: what not every reader needs goes to docs", n, most)
	}
	links := page(t, "README.md").Links
	for _, p := range pages(t) {
		if path.Dir(p.Path) == "docs" && !slices.ContainsFunc(links, func(l documents.Text) bool { return l.Text == p.Path }) {
			t.Errorf("README.md has no link to %s", p.Path)
		}
	}
}

// Every link leads somewhere: a file that is there, a heading that is there, or an
// address that can be one. Nothing is fetched.
func TestLinks(t *testing.T) {
	anchors := make(map[string]map[string]bool)
	for _, p := range pages(t) {
		anchors[p.Path] = p.Anchors
	}
	for _, p := range pages(t) {
		for _, link := range p.Links {
			if wrong := brokenLink(p.Path, link.Text, anchors); wrong != "" {
				t.Errorf("%s:%d: link to %s: %s", p.Path, link.Line, link.Text, wrong)
			}
		}
	}
}

// brokenLink says what is wrong with a link from a page; empty for nothing.
func brokenLink(from, target string, anchors map[string]map[string]bool) string {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		return err.Error()
	case u.Host == "localhost" || u.Hostname() == "localhost":
		return "" // of a program that the page has told to start
	case u.Scheme == "https":
		if !strings.Contains(u.Host, ".") || strings.ContainsAny(target, " \t") {
			return "no address of the web"
		}
		return ""
	case u.Scheme != "" || u.Host != "" || strings.HasPrefix(u.Path, "/"):
		return "want https, or a path from where the page is"
	}
	file := from
	if u.Path != "" {
		file = path.Join(path.Dir(from), u.Path)
	}
	if strings.HasPrefix(file, "../") {
		return "it leads out of the repository"
	}
	if _, err := os.Stat(filepath.FromSlash(file)); err != nil {
		return "there is no " + file
	}
	if u.Fragment != "" && !anchors[file][u.Fragment] {
		return file + " has no such heading"
	}
	return ""
}

func TestBrokenLinks(t *testing.T) {
	anchors := map[string]map[string]bool{"README.md": {"speed": true}, "docs/poosh.md": {"sending": true}}
	for _, row := range []struct {
		from, target string
		good         bool
	}{
		{"README.md", "docs/poosh.md", true},
		{"README.md", "docs/poosh.md#sending", true},
		{"README.md", "#speed", true},
		{"README.md", "examples", true},
		{"docs/poosh.md", "../README.md#speed", true},
		{"docs/poosh.md", "https://example.com/x#y", true},
		{"docs/poosh.md", "http://localhost:8080/", true},
		{"README.md", "docs/no.md", false},
		{"README.md", "docs/poosh.md#receiving", false},
		{"README.md", "#sending", false},
		{"docs/poosh.md", "README.md", false},
		{"README.md", "../README.md", false},
		{"README.md", "/README.md", false},
		{"README.md", "http://example.com/", false},
		{"README.md", "https://example/", false},
	} {
		if wrong := brokenLink(row.from, row.target, anchors); (wrong == "") != row.good {
			t.Errorf("%s in %s: %q", row.target, row.from, wrong)
		}
	}
}

// notOurs are files that pages name and that belong to others, with whom.
var notOurs = map[string]string{
	"socket.io.js":             "a file of the npm package socket.io-client",
	"axolotl-crypto":           "an npm package",
	"config/broadcasting.php":  "a file of a Laravel application",
	"config/poosh.php":         "a file of a Laravel application",
	"app/Services/Poosh.php":   "a file of a Laravel application",
	"routes/channels.php":      "a file of a Laravel application",
	"test/.cache/bench":        "made by test/bench/run",
	"apps.json":                "made by poosh import",
	"soketi.json":              "a file of soketi",
	"laravel-echo-server.json": "a file of laravel-echo-server",
}

var fileName = regexp.MustCompile(`^[A-Za-z0-9_][\w.-]*\.(go|js|php|sh|py|lua|json|html|conf|service|md|mod)$`)

// missing returns what a text names as a file or package of this repository and is not
// there. dir is where the page is that holds it.
func missing(dir, text string) (names []string) {
	for word := range strings.FieldsSeq(text) {
		word = strings.Trim(word, "`'\"()[]{},;:=")
		if all, found := strings.CutSuffix(word, "/..."); found { // a package and those below
			word = all
		}
		word = strings.TrimSuffix(word, ".")
		word = strings.TrimSuffix(strings.TrimPrefix(word, "./"), "/")
		if _, others := notOurs[word]; others {
			continue
		}
		first, _, isPath := strings.Cut(word, "/")
		if first == "poosh" && isPath { // as Go imports it
			word = strings.TrimPrefix(word, "poosh/")
			first, _, _ = strings.Cut(word, "/")
		}
		if isPath && first != "" && first != ".." && (isDir(first) || isDir(path.Join(dir, first))) || !isPath && fileName.MatchString(word) {
			if !matches(word) && !matches(path.Join(dir, word)) {
				names = append(names, word)
			}
		}
	}
	return names
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// matches reports whether there is such a file; a star stands for anything.
func matches(pattern string) bool {
	found, err := filepath.Glob(filepath.FromSlash(pattern))
	return err == nil && len(found) > 0
}

// Files and packages that pages name are there. The list of changes may name what is
// there no more.
func TestNamedFiles(t *testing.T) {
	for _, p := range pages(t) {
		if p.Path == "CHANGELOG.md" {
			continue
		}
		dir := path.Dir(p.Path)
		for _, s := range p.Spans {
			for _, name := range missing(dir, s.Text) {
				t.Errorf("%s:%d names %s, which is not there", p.Path, s.Line, name)
			}
		}
		for _, b := range p.Blocks {
			if b.Language != "sh" && b.Language != "text" {
				continue
			}
			for _, name := range missing(dir, b.Code) {
				t.Errorf("%s names %s, which is not there", b, name)
			}
		}
	}
}

func TestMissingFiles(t *testing.T) {
	for text, want := range map[string]string{
		"server/hub": "", "`server/hub/hub.go`": "", "main.go": "", "./server/...": "", "poosh/server/hub": "", "server/config*.go": "",
		"see server/hub/hub.go (server/http1/request.go), or": "", "/usr/local/bin/poosh": "", "application/json": "", "pusher:error": "",
		"send.js": "send.js", "server/nothing": "server/nothing", "x (server/hub/no.go);": "server/hub/no.go", "./server/no/...": "server/no",
		"poosh/server/no": "server/no", "server/no*.go": "server/no*.go",
	} {
		if got := strings.Join(missing(".", text), " "); got != want {
			t.Errorf("%q: %q is missing, want %q", text, got, want)
		}
	}
	if got := missing("examples/node", "send.js"); got != nil {
		t.Errorf("beside its page: %q is missing", got)
	}
}

// noSetting are names in the form of one that are none, with what they are.
var noSetting = map[string]string{
	"POOSH_URL":            "a variable of the examples of senders",
	"POOSH_PORT":           "a variable of joearcher/pooshlaravel",
	"POOSH_SECRET":         "a variable of the examples of senders",
	"POOSH_TIMEOUT":        "a variable of examples/laravel",
	"PUSH_SOCKET_URL":      "a variable of examples/pushsocket",
	"SOCKTOPUS_URL":        "a variable of examples/socktopus",
	"FUZZ_TIME":            "a variable of test/run",
	"PUSH_SOCKET_":         "how settings begin",
	"SOKETI_":              "how variables of soketi begin",
	"LARAVEL_ECHO_SERVER_": "how variables of laravel-echo-server begin",
	"BROADCAST_CONNECTION": "a variable of Laravel",
	"BROADCAST_DRIVER":     "a variable of Laravel",
	"REDIS_PREFIX":         "a variable of Laravel",
	"REDIS_HOST":           "a variable of Laravel, and of examples/emitter",
	"REDIS_PORT":           "a variable of Laravel, and of examples/emitter",
	"REDIS_PASSWORD":       "a variable of Laravel, and of examples/emitter",
	"APP_NAME":             "a variable of Laravel",
	"SSL_CERT_FILE":        "a variable of programs in Go, and of OpenSSL",
	"NO_COLOR":             "a variable of many programs, no-color.org",
}

var settingName = regexp.MustCompile(`^[A-Z][A-Z0-9]*(?:_[A-Z0-9]*)+`)

// Settings that pages name are there.
func TestNamedSettings(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range server.Settings() {
		known[s.Name] = true
	}
	for _, p := range pages(t) {
		if p.Path == "CHANGELOG.md" {
			continue
		}
		for _, s := range p.Spans {
			name := settingName.FindString(s.Text)
			if name != "" && !known[name] && noSetting[name] == "" && !strings.HasSuffix(name, "_SOCKTOPUS_SECRET") {
				t.Errorf("%s:%d names %s, which is no setting", p.Path, s.Line, name)
			}
		}
	}
}

// packages returns the directories in which there is Go, but for examples, which have
// pages of their own.
func packages(t *testing.T) []string {
	t.Helper()
	dirs := make(map[string]bool)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == "examples" || name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules":
			if d.IsDir() {
				return filepath.SkipDir
			}
		case filepath.Ext(name) == ".go":
			dirs[filepath.ToSlash(filepath.Dir(name))] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(dirs, ".") // whose files have rows of their own
	return slices.Sorted(maps.Keys(dirs))
}

// The tree for developers has every package.
func TestEveryPackageIsExplained(t *testing.T) {
	explained := make(map[string]bool)
	for _, s := range page(t, "docs/developing.md").Spans {
		explained[s.Text] = true
	}
	dirs := packages(t)
	for _, deep := range []string{"auth", "server/pusher/app", "test/bench/load", "test/bench/peers/cmd/floor"} {
		if !slices.Contains(dirs, deep) {
			t.Errorf("%s was not found: %v", deep, dirs)
		}
	}
	for _, dir := range dirs {
		if !explained[dir] {
			t.Errorf("docs/developing.md does not say what %s is", dir)
		}
	}
}

// The table of dependencies has each module that this one requires, and no other.
func TestDependencies(t *testing.T) {
	const title = "## Dependencies"
	_, rest, found := strings.Cut(readFile(t, "docs/developing.md"), title)
	if !found {
		t.Fatalf("docs/developing.md has no %q", title)
	}
	var explained []string
	for _, m := range regexp.MustCompile(`(?m)^\| \[([^\]]+)\]`).FindAllStringSubmatch(rest, -1) {
		explained = append(explained, m[1])
	}
	belongs := func(module, row string) bool { return module == row || strings.HasPrefix(module, row+"/") }
	var required []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\s*([\w.-]+\.[\w./-]+) v\S+$`).FindAllStringSubmatch(readFile(t, "go.mod"), -1) {
		required = append(required, m[1])
		if !slices.ContainsFunc(explained, func(row string) bool { return belongs(m[1], row) }) {
			t.Errorf("go.mod requires %s, and docs/developing.md does not say what for", m[1])
		}
	}
	for _, row := range explained {
		if !slices.ContainsFunc(required, func(module string) bool { return belongs(module, row) }) {
			t.Errorf("docs/developing.md explains %s, which go.mod does not require", row)
		}
	}
}
