package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/test/documents"
)

// notRun are the blocks of code in pages that the tests here do not run, with why not.
// A block is named by its page and how it begins. A test named behind a colon runs what
// the block does.
var notRun = []struct{ page, begins, why string }{
	{"README.md", "test/run", "it runs this test"},
	{"docs/developing.md", "test/run", "it runs this test"},
	{"docs/developing.md", "go test ./auth/...", "test/run does, with the race detector"},
	{"docs/developing.md", "go test . -run", "it writes into the repository: . TestTableOfSettings"},
	{"docs/developing.md", "go test -run '^$' -fuzz", "test/run does it for every target: server/poosh FuzzSend"},
	{"docs/developing.md", "go test -run '^$' -bench", "it measures: server/hub BenchmarkPublish"},
	{"docs/operating.md", "dpkg -i", "it needs a package: test/packages TestDebian"},
	{"docs/operating.md", "helm install", "it needs a cluster: test/packages TestChart"},
	{"docs/developing.md", "git tag", "it makes a release: test/packages TestRelease"},
	{"docs/operating.md", "docker build", "it needs Docker: . TestImage"},
	{"docs/operating.md", "curl -u operator", "it needs an operators' port at a number of one's own: server TestAPI"},
	{"docs/operating.md", "curl -X POST -u operator", "it needs an operators' port at a number of one's own: server TestBundle"},
	{"docs/laravel-echo.md", "curl -H", "it needs a Redis, a port and a key of one's own: server/echo TestExplain"},
	{"docs/command.md", "./poosh check", "it needs a file with mistakes: . TestCommandPage"},
	{"docs/command.md", "./poosh send", "it needs a server of the same settings: . TestCommandPage"},
	{"docs/command.md", "./poosh token", "it needs the settings: . TestCommandPage"},
	{"docs/command.md", "./poosh listen --room news --count 1\n", "it waits for an event: . TestCommandPage"},
	{"docs/command.md", "./poosh listen --room news --count 1 --for", "it needs a server of the same settings: . TestCommandPage"},
	{"docs/command.md", "./poosh tail", "it waits for an event: . TestCommandPage"},
	{"docs/command.md", "./poosh status", "it needs an operators' port: . TestCommandPage"},
	{"docs/command.md", "./poosh kick", "it needs two who listen: . TestCommandPage"},
	{"docs/command.md", "./poosh reload", "it needs an operators' port: . TestCommandPage"},
	{"docs/command.md", "./poosh bundle", "it needs an operators' port: . TestCommandPage"},
	{"docs/command.md", "./poosh bench", "it needs a server of the same settings: . TestCommandPage"},
	{"docs/command.md", "source <(", "it is for a shell with a terminal: . TestCompletion"},
	{"docs/metrics.md", "scrape_configs", "it is a part of a configuration of Prometheus: . TestPrometheusScrapes"},
	{"docs/migrating.md", "poosh import soketi.json\npoosh import --env", "it needs files of other servers: server/migration TestExamples"},
	{"docs/migrating.md", "poosh import soketi.json\npoosh import --from", "it needs files of other servers: server/migration TestExamples"},
	{"docs/migrating.md", "poosh import --env sockudo.env", "it needs files of other servers: server/migration TestExamples"},
	{"docs/migrating.md", "poosh import --from reverb", "it needs files of other servers: server/migration TestExamples"},
	{"docs/migrating.md", "poosh import --env .env config/websockets.php", "it needs files of other servers: server/migration TestExamples"},
	{"docs/migrating.md", "poosh import laravel-echo-server.json", "it needs files of other servers: server/migration TestExamples"},
	{"docs/migrating.md", "poosh import --from laravel-echo-server-to-pusher", "it needs files of other servers: server/migration TestExamples"},
	{"docs/migrating.md", "poosh import --from poosh", "it needs files of other servers: server/migration TestExamples"},
	{"docs/history.md", "var last", "it is a part of a page, with a gap: test/e2e TestMissedEvents"},
	{"docs/history.md", "const socket", "it is a part of a page: test/e2e TestConnectionStateRecovery"},
	{"docs/history.md", "socket.emit('room'", "it is a part of a page: test/e2e TestMissedEvents"},
	{"docs/events.md", "curl -N", "it does not end by itself: test/e2e TestCurlShowsEvents"},
	{"docs/events.md", "const source", "it is a part of a page: test/e2e TestEventSource"},
	{"docs/push-socket.md", "PUSH_SOCKET_DB='postgres://poosh:PASSWORD@db.example.com/poosh?", "it names a database of somebody; the tests of server/pushsocket have one"},
	{"docs/push-socket.md", "PUSH_SOCKET_DB='postgres://poosh:PASSWORD@db.example.com/poosh' ", "it names a database of somebody; the tests of server/commandline have one"},
	{"docs/push-socket.md", "sqlite3", "it needs SQLite's own program, which nothing else here does"},
	{"examples/emitter/README.md", "npm install", "it installs into the repository: test/emitter TestExamples"},
	{"examples/emitter/README.md", "php send.php", "it needs the Redis of emitters: test/emitter TestExamples"},
	{"examples/laravel-echo/README.md", "OrderShipped::dispatch", "it is a part of a Laravel application: test/echo TestExamples"},
	{"examples/laravel-echo/README.md", "php send.php", "it needs Laravel's Redis: test/echo TestExamples"},
	{"examples/laravel-echo/README.md", "Echo.private", "it is a part of a page, with gaps: test/echo TestChannels"},
	{"examples/laravel/README.md", "php artisan", "it needs a Laravel application: test/e2e TestExampleSenders"},
	{"examples/laravel/README.md", "public function handle", "it is a part of a Laravel application: test/e2e TestExampleSenders"},
	{"examples/compose/README.md", "echo", "it needs Docker: test/packages TestCompose"},
	{"examples/laravel/README.md", "composer config", "it needs a Laravel application: test/laravel TestBroadcast"},
	{"examples/laravel/README.md", "broadcast(new", "it is a part of a Laravel application: test/laravel TestBroadcast"},
	{"examples/laravel/README.md", "const socket", "it is a part of a page, with gaps: test/laravel TestPrivateChannel"},
	{"examples/nginx/README.md", "nginx -t", "it needs root and an nginx that runs: test/e2e TestExampleSiteOfNginx"},
	{"examples/pusher/README.md", "Echo.channel", "it is a part of a page, with gaps: test/pusher TestEcho"},
	{"examples/pushsocket/README.md", "npm install", "it installs into the repository: test/pushsocket TestExample"},
	{"examples/pushsocket/README.md", "node device.js bob", "it needs what the block before installs: test/pushsocket TestExample"},
	{"examples/systemd/README.md", "useradd", "it needs root and systemd: . TestServiceHasAStateDirectory"},
	{"examples/systemd/README.md", "install -m 0644 poosh-client.socket", "it needs root and systemd: . TestSocketActivation"},
	{"test/bench/README.md", "test/bench/run", "it takes 40 minutes"},
	{"server/testdata/dotenv/README.md", "npm install", "it makes what is checked in, and installs a package of 2015: server TestDotEnvMeansWhatItMeantToNode"},
}

// noCode are the languages of blocks that are not there to be run.
var noCode = []string{"text", "ini"}

// A book is the code in all pages of the repository.
type book struct {
	blocks []documents.Block
	taken  []bool // by block: something has run it
}

func openBook(t *testing.T) *book {
	t.Helper()
	pages, err := documents.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	b := new(book)
	for _, p := range pages {
		b.blocks = append(b.blocks, p.Blocks...)
	}
	b.taken = make([]bool, len(b.blocks))
	return b
}

// find returns the places of the blocks of a page that begin in a way and are in a
// language, or in any if that is empty.
func (b *book) find(page, language, begins string) (found []int) {
	for i, block := range b.blocks {
		if block.Page == page && (language == "" || block.Language == language) && strings.HasPrefix(block.Code, begins) {
			found = append(found, i)
		}
	}
	return found
}

// take returns the one such block, which the caller runs.
func (b *book) take(t *testing.T, page, language, begins string) string {
	t.Helper()
	found := b.find(page, language, begins)
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s that begin with %q, want one", page, len(found), language, begins)
	}
	b.taken[found[0]] = true
	return b.blocks[found[0]].Code
}

// Every block of code in the pages of the repository is run as it stands. Only ports,
// what stands for a secret, and the address of a page's script are others.
func TestREADMEAndDocuments(t *testing.T) {
	b := openBook(t)
	t.Run("README", func(t *testing.T) { runREADME(t, b) })
	t.Run("swap", func(t *testing.T) { runSwap(t, b) })
	t.Run("starts", func(t *testing.T) { runStarts(t, b) })
	f := startFourfold(t, "DEMO_SOCKTOPUS_SECRET=replace-this-secret", "PUSH_SOCKET_OPERATOR_TOKEN="+operatorToken, "HISTORY=1m",
		"ECHO_REDIS=redis://"+redistest.Start(t).Addr, "ECHO_PORT="+strconv.Itoa(freePort(t)), "ECHO_AUTH_URL=http://127.0.0.1/broadcasting/auth")
	t.Run("senders", func(t *testing.T) { runSenders(t, b, f) })
	t.Run("missed", func(t *testing.T) { runMissed(t, b, f) })
	t.Run("history", func(t *testing.T) { runHistory(t, b, f) })
	t.Run("socktopus", func(t *testing.T) { runSocktopus(t, b, f) })
	t.Run("operators", func(t *testing.T) { runOperators(t, b, f) })
	t.Run("status line", func(t *testing.T) { runStatusLine(t, b, f) })
	t.Run("page", func(t *testing.T) { runPage(t, b) })
	t.Run("JSON", func(t *testing.T) { readJSON(t, b) })
	if !t.Failed() {
		t.Run("the rest", func(t *testing.T) { b.rest(t) })
	}
}

// readJSON looks whether what is called JSON is.
func readJSON(t *testing.T, b *book) {
	for i, block := range b.blocks {
		if block.Language != "json" {
			continue
		}
		b.taken[i] = true
		if !json.Valid([]byte(block.Code)) {
			t.Errorf("%s is no JSON:\n%s", block, block.Code)
		}
	}
}

// rest fails the test for blocks that nothing runs and no reason is given for, and for
// reasons that are none any more.
func (b *book) rest(t *testing.T) {
	for _, row := range notRun {
		found := b.find(row.page, "", row.begins)
		if len(found) != 1 {
			t.Errorf("%s has %d blocks that begin with %q, want one, which is not run since %s", row.page, len(found), row.begins, row.why)
			continue
		}
		if b.taken[found[0]] {
			t.Errorf("%s is run, and is said not to be since %s", b.blocks[found[0]], row.why)
		}
		b.taken[found[0]] = true
		if _, test, found := strings.Cut(row.why, ": "); found && !isTest(t, test) {
			t.Errorf("%s: there is no test %s", row.page, test)
		}
	}
	for i, block := range b.blocks {
		switch {
		case block.Language == "":
			t.Errorf("%s has no language behind its fence:\n%s", block, block.Code)
		case !b.taken[i] && !slices.Contains(noCode, block.Language):
			t.Errorf("nothing runs %s: run it here, or say in notRun why not\n%s", block, block.Code)
		}
	}
}

// isTest reports whether a folder of the repository, named before a blank, has a test of
// the name behind it.
func isTest(t *testing.T, test string) bool {
	t.Helper()
	dir, name, _ := strings.Cut(test, " ")
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && declared.Match(text)
	})
}
