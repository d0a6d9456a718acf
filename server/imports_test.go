package server

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// shared is what every dialect may use: one of each for all of them.
var shared = []string{"poosh/server/admission", "poosh/server/closed", "poosh/server/command", "poosh/server/dialect", "poosh/server/eventsource", "poosh/server/exactjson", "poosh/server/excerpt", "poosh/server/guard", "poosh/server/handover", "poosh/server/health", "poosh/server/http1", "poosh/server/hub", "poosh/server/idempotency", "poosh/server/intake", "poosh/server/latency", "poosh/server/loop", "poosh/server/metric", "poosh/server/network",
	"poosh/server/peers", "poosh/server/presence", "poosh/server/quota", "poosh/server/rate", "poosh/server/respond", "poosh/server/returning", "poosh/server/rotation", "poosh/server/route", "poosh/server/seldom", "poosh/server/sends", "poosh/server/setting", "poosh/server/standing", "poosh/server/websocket"}

// The house as a table: what each package may import of ours and of others, and
// why. Tests are free.
var house = []struct {
	pkg, why string
	ours     []string
	others   []string
}{
	{"poosh/auth", "pure functions over bytes and a clock: every case is a table row", nil,
		[]string{"filippo.io/edwards25519"}},
	{"poosh/server/hub", "if the hub knew a protocol, each new one would edit the hub", []string{"poosh/server/command", "poosh/server/latency", "poosh/server/quota"}, nil},
	{"poosh/server/presence", "questions about all processes, and nobody who answers them", []string{"poosh/server/hub"}, nil},
	{"poosh/server/presence/presencetest", "for tests", []string{"poosh/server/hub", "poosh/server/presence"}, nil},
	{"poosh/server/hub/history", "publications in order, and nobody who gets them", []string{"poosh/server/handover", "poosh/server/hub", "poosh/server/setting"}, nil},
	{"poosh/server/cluster", "one fence around the engine's library: nodes and publications, and no dialect; connections to it are on the event loop", []string{"poosh/server/cluster/resp", "poosh/server/guard", "poosh/server/hub", "poosh/server/loop", "poosh/server/metric", "poosh/server/presence", "poosh/server/seldom", "poosh/server/setting"},
		[]string{"github.com/cenkalti/backoff/v5", "github.com/redis/rueidis"}},
	{"poosh/server/intake", "messages of a Redis of others, whatever they mean; the engine's library, since it is another Redis than the cluster's, and its addresses",
		[]string{"poosh/server/admission", "poosh/server/cluster", "poosh/server/guard", "poosh/server/health", "poosh/server/hub", "poosh/server/metric", "poosh/server/presence", "poosh/server/seldom"},
		[]string{"github.com/cenkalti/backoff/v5", "github.com/redis/rueidis"}},
	{"poosh/server/passing", "requests as bytes between nodes, and no dialect; where nodes are it is told",
		[]string{"poosh/server/http1", "poosh/server/latency", "poosh/server/loop", "poosh/server/metric", "poosh/server/peers", "poosh/server/socketio", "poosh/server/websocket"}, nil},
	{"poosh/server/fleet", "for operators: what a node does itself is handed to it, and no dialect",
		[]string{"poosh/server/eventstream", "poosh/server/guard", "poosh/server/passing", "poosh/server/respond", "poosh/server/sends"}, nil},
	{"poosh/server/cluster/resp", "knows bytes, not commands; no connection, and no library of one", nil, nil},
	{"poosh/server/cluster/redistest", "for tests", []string{"poosh/test/process"}, nil},
	{"poosh/server/handover", "a file with parts, whatever they are of", nil, nil},
	{"poosh/server/returning", "rooms and positions of who is away, whoever they are there", []string{"poosh/server/handover", "poosh/server/hub"}, nil},
	{"poosh/server/latency", "how long something takes, whatever it is", []string{"poosh/server/metric"}, nil},
	{"poosh/server/seldom", "how often the log is told, whatever it is", nil, nil},
	{"poosh/server/guard", "panics, whatever was being done", nil, nil},
	{"poosh/server/excerpt", "texts, whatever they name", nil, nil},
	{"poosh/server/closed", "why connections left, whoever's they were", []string{"poosh/server/excerpt"}, nil},
	{"poosh/server/loop", "knows bytes, not meaning", []string{"poosh/server/closed", "poosh/server/guard", "poosh/server/latency"}, []string{"golang.org/x/sys"}},
	{"poosh/server/websocket", "knows frames, not meaning", []string{"poosh/server/closed", "poosh/server/latency", "poosh/server/loop", "poosh/server/peers", "poosh/server/quota"}, nil},
	{"poosh/server/http1", "knows requests, not what they are for; a neighbour of websocket", []string{"poosh/server/closed", "poosh/server/latency", "poosh/server/loop", "poosh/server/peers", "poosh/server/quota", "poosh/server/secure"}, nil},
	{"poosh/server/secure", "knows bytes and handshakes, and no certificate", []string{"poosh/server/loop"}, nil},
	{"poosh/server/certificate", "knows certificates, and no connection; one fence around ACME's library", []string{"poosh/server/certificate/validity", "poosh/server/setting"}, []string{"github.com/caddyserver/certmagic", "go.uber.org/zap"}},
	{"poosh/server/certificate/validity", "a rule over a certificate and a clock", nil, nil},
	{"poosh/server/certificate/certificatetest", "for tests", nil, nil},
	{"poosh/server/socketio", "one fence around a large dependency and its quirks",
		[]string{"poosh/server/closed", "poosh/server/guard", "poosh/server/latency", "poosh/server/metric", "poosh/server/respond", "poosh/server/http1", "poosh/server/network", "poosh/server/peers", "poosh/server/quota", "poosh/server/setting", "poosh/server/standing", "poosh/server/loop", "poosh/server/websocket"},
		[]string{"github.com/zishang520/socket.io"}},
	{"poosh/server/poosh", "a dialect: never another one, never the environment",
		with("poosh/auth", "poosh/server/socketio"), nil},
	{"poosh/server/emitter", "a dialect without clients: those of another, to whose door it goes",
		with("poosh/server/intake", "poosh/server/poosh", "poosh/server/socketio"), nil},
	{"poosh/server/pusher", "a dialect: never another one, never the environment",
		with("poosh/server/pusher/answer", "poosh/server/pusher/api", "poosh/server/pusher/app", "poosh/server/pusher/client",
			"poosh/server/pusher/protocol", "poosh/server/pusher/tally", "poosh/server/pusher/webhook"), nil},
	{"poosh/server/pusher/api", "meets the clients in the app alone",
		with("poosh/auth", "poosh/server/pusher/answer", "poosh/server/pusher/app", "poosh/server/pusher/protocol", "poosh/server/pusher/tally"), nil},
	{"poosh/server/pusher/client", "meets the API in the app alone",
		with("poosh/auth", "poosh/server/pusher/answer", "poosh/server/pusher/app", "poosh/server/pusher/protocol", "poosh/server/pusher/tally"), nil},
	{"poosh/server/pusher/app", "knows channels and users, and nobody's socket or request",
		with("poosh/server/guard", "poosh/server/presence", "poosh/server/pusher/protocol", "poosh/server/pusher/tally", "poosh/server/pusher/webhook"), []string{"github.com/hashicorp/golang-lru/v2"}},
	{"poosh/server/pusher/webhook", "knows addresses, and no connection",
		[]string{"poosh/auth", "poosh/server/guard", "poosh/server/pusher/protocol", "poosh/server/pusher/tally"}, []string{"github.com/cenkalti/backoff/v5"}},
	{"poosh/server/pusher/answer", "how requests are refused, whatever they ask for", with("poosh/auth", "poosh/server/pusher/tally"), nil},
	{"poosh/server/pusher/tally", "what is counted, a list", nil, nil},
	{"poosh/server/pusher/protocol", "pure functions over bytes", []string{"poosh/auth", "poosh/server/excerpt", "poosh/server/hub", "poosh/server/loop", "poosh/server/websocket"}, nil},
	{"poosh/server/pusher/pushertest", "for tests of the dialect", with("poosh/auth", "poosh/server/http1/http1test", "poosh/server/hub/history", "poosh/server/leaktest", "poosh/server/presence/presencetest", "poosh/server/pusher", "poosh/server/pusher/app"),
		[]string{"github.com/gorilla/websocket"}},
	{"poosh/server/socktopus", "a dialect: never another one, never the environment",
		with("poosh/auth"), nil},
	{"poosh/server/echo", "a dialect: never another one, never the environment",
		with("poosh/server/echo/api", "poosh/server/echo/authorize", "poosh/server/hub/history", "poosh/server/intake", "poosh/server/socketio"), nil},
	{"poosh/server/echo/api", "requests of the HTTP API: the dialect says who is there", shared, nil},
	{"poosh/server/echo/authorize", "asks an application, and knows no client", []string{"poosh/server/exactjson", "poosh/server/excerpt", "poosh/server/guard", "poosh/server/metric"}, nil},
	{"poosh/server/pushsocket", "a dialect: never another one, never the environment",
		with("poosh/auth", "poosh/server/socketio", "poosh/server/pushsocket/store"), nil},
	{"poosh/server/pushsocket/store", "messages and keys on disk, whoever asks", []string{"poosh/auth"}, []string{"github.com/jackc/pgx/v5", "modernc.org/sqlite"}},
	{"poosh/server/pushsocket/store/postgrestest", "for tests", []string{"poosh/test/process"}, []string{"github.com/jackc/pgx/v5"}},
	{"poosh/server/dialect", "what a dialect is, and none of them",
		[]string{"poosh/server/admission", "poosh/server/closed", "poosh/server/handover", "poosh/server/health", "poosh/server/http1", "poosh/server/hub", "poosh/server/idempotency", "poosh/server/metric", "poosh/server/network", "poosh/server/presence", "poosh/server/quota", "poosh/server/rate", "poosh/server/route", "poosh/server/sends", "poosh/server/setting", "poosh/server/standing", "poosh/server/loop", "poosh/server/websocket"}, nil},
	{"poosh/server/idempotency", "keys and answers, whatever was sent", []string{"poosh/server/metric", "poosh/server/setting"}, nil},
	{"poosh/server/health", "the hub, the loop and the gate as a sender and a client would find them, and no dialect",
		[]string{"poosh/server/admission", "poosh/server/hub", "poosh/server/loop", "poosh/server/respond"}, nil},
	{"poosh/server/incident", "for operators: profiles and files, whatever they are of",
		[]string{"poosh/server/admin", "poosh/server/respond"}, nil},
	{"poosh/server/series", "numbers over time, whatever they count", []string{"poosh/server/metric", "poosh/server/respond"}, nil},
	{"poosh/server/overview", "for operators: numbers of this moment, by the names that they have for all",
		[]string{"poosh/server/eventstream", "poosh/server/metric", "poosh/server/respond", "poosh/server/series"}, nil},
	{"poosh/server/inspect", "for operators: rooms and clients, whatever they speak",
		[]string{"poosh/server/closed", "poosh/server/hub", "poosh/server/respond", "poosh/server/route", "poosh/server/sends", "poosh/server/standing"}, nil},
	{"poosh/server/form", "for operators: hands a form to whatever dialect it is for",
		[]string{"poosh/server/dialect", "poosh/server/respond", "poosh/server/sends"}, nil},
	{"poosh/server/sketch", "how often, whatever it is", nil, nil},
	{"poosh/server/admin", "for operators: knows no dialect, what parts have to tell is handed to it",
		[]string{"poosh/server/dashboard", "poosh/server/metric", "poosh/server/peers", "poosh/server/rate", "poosh/server/respond", "poosh/server/route", "poosh/server/setting"},
		[]string{"github.com/hashicorp/golang-lru/v2"}},
	{"poosh/server/systemd", "a service manager, whatever is served", nil, []string{"github.com/coreos/go-systemd/v22"}},
	{"poosh/server/systemd/systemdtest", "for tests", nil, nil},
	{"poosh/server/dashboard", "files for a browser, whatever they show", nil, nil},
	{"poosh/server/route", "paths, whoever's they are", nil, []string{"github.com/go-chi/chi/v5"}},
	{"poosh/server/network", "what all ports share, before there are any; its defaults are those of the packages below", []string{"poosh/server/setting", "poosh/server/loop", "poosh/server/websocket"}, nil},
	{"poosh/server/setting", "texts and fields, whoever's they are", []string{"poosh/server/rate"}, nil},
	{"poosh/server/metric", "numbers and their names, whatever they count", nil, nil},
	{"poosh/server/prometheus", "one fence around the collector's library", []string{"poosh/server/metric"}, []string{"github.com/prometheus/client_golang", "github.com/prometheus/client_model"}},
	{"poosh/server/sends", "knows what the hub says of publications, and no dialect's wire", []string{"poosh/server/eventstream", "poosh/server/excerpt", "poosh/server/hub", "poosh/server/peers", "poosh/server/respond", "poosh/server/sketch"}, nil},
	{"poosh/server/standing", "what is told of a client, whoever's it is", nil, nil},
	{"poosh/server/respond", "bodies, whoever they are for", nil, nil},
	{"poosh/server/eventsource", "knows events, not meaning; a neighbour of websocket, whose place on the loop it takes", []string{"poosh/server/closed", "poosh/server/loop", "poosh/server/peers", "poosh/server/websocket"}, nil},
	{"poosh/server/eventstream", "answers that go on, whatever they tell of", []string{"poosh/server/respond"}, nil},
	{"poosh/server/admission", "one door for publications, whatever they say", nil, nil},
	{"poosh/server/commandline", "a client of a server that runs, as senders, clients and operators are; it reads the settings, and serves nothing",
		[]string{"poosh/auth", "poosh/server", "poosh/server/dialect", "poosh/server/doctor", "poosh/server/fleet", "poosh/server/health", "poosh/server/intake", "poosh/server/loadtest", "poosh/server/migration", "poosh/server/overview", "poosh/server/pushsocket/store", "poosh/server/sends", "poosh/server/websocketclient"},
		[]string{"github.com/cenkalti/backoff/v5", "github.com/gorilla/websocket", "github.com/urfave/cli/v3", "golang.org/x/sys"}},
	{"poosh/server/loadtest", "clients and publishers of any server: knows protocols, and nothing of how they are served", []string{"poosh/auth", "poosh/server/websocketclient"}, []string{"github.com/gorilla/websocket"}},
	{"poosh/server/doctor", "a client from outside: who calls it knows the settings", []string{"poosh/server/certificate/validity", "poosh/server/excerpt", "poosh/server/websocketclient"}, []string{"github.com/gorilla/websocket"}},
	{"poosh/server/websocketclient", "opens a connection, whatever is spoken on it", nil, []string{"github.com/gorilla/websocket"}},
	{"poosh/server/command", "order and answers, whatever is asked", nil, nil},
	{"poosh/server/quota", "numbers that many share", nil, nil},
	{"poosh/server/rate", "how often, whatever it is", []string{"poosh/server/peers"},
		[]string{"github.com/hashicorp/golang-lru/v2", "golang.org/x/time/rate"}},
	{"poosh/server/peers", "whose a connection is", nil, nil},
	{"poosh/server/rotation", "who shows an old secret, whatever it is for", []string{"poosh/server/metric", "poosh/server/peers"},
		[]string{"github.com/hashicorp/golang-lru/v2"}},
	{"poosh/server/exactjson", "texts and structs", nil, nil},
	{"poosh/server/migration/php", "values in a text, whatever they are of", nil, nil},
	{"poosh/server/migration", "a reader of files: what it makes is read by the server's own readers, to see that it starts",
		[]string{"poosh/auth", "poosh/server", "poosh/server/migration/php", "poosh/server/pusher", "poosh/server/rate", "poosh/server/setting"},
		[]string{"github.com/pelletier/go-toml/v2"}},
	{"poosh/server/leaktest", "for tests", nil, nil},
	{"poosh/server/logtest", "for tests", nil, nil},
	{"poosh/server/stalltest", "for tests", nil, nil},
	{"poosh/server/http1/http1test", "for tests of what is served", []string{"poosh/server/http1", "poosh/server/loop", "poosh/server/network", "poosh/server/websocket"}, nil},
}

func with(more ...string) []string { return append(more, shared...) }

// forbidden is what a pure package must not do.
var forbidden = map[string][]string{
	"poosh/auth":       {"net", "net/http", "os", "log", "log/slog"},
	"poosh/server/hub": {"net", "net/http", "os", "encoding/json", "log", "log/slog"},
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "poosh", "poosh/auth", "poosh/server/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	imports := make(map[string][]string)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath] = p.Imports
	}
	known := map[string]bool{"poosh/server": true} // which wires, and sees everything
	for _, path := range imports["poosh"] {
		if strings.HasPrefix(path, "poosh/") && path != "poosh/server" && path != "poosh/server/commandline" {
			t.Errorf("main imports %s, but: a dialect is named in its folder and in server's list alone", path)
		}
	}
	delete(imports, "poosh")
	for _, row := range house {
		known[row.pkg] = true
		for _, path := range imports[row.pkg] {
			if !mayImport(path, row.ours, row.others) {
				t.Errorf("%s imports %s, but: %s", row.pkg, path, row.why)
			}
			for _, no := range forbidden[row.pkg] {
				if path == no {
					t.Errorf("%s imports %s: it is to be pure", row.pkg, path)
				}
			}
		}
	}
	for pkg := range imports {
		if !known[pkg] {
			t.Errorf("%s has no row in the table", pkg)
		}
	}
}

func mayImport(path string, ours, others []string) bool {
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") && first != "poosh" {
		return true // the standard library
	}
	for _, allowed := range append(ours, others...) {
		if path == allowed || strings.HasPrefix(path, allowed+"/") {
			return true
		}
	}
	return false
}

// What is for tests and for looking into a program is not in the one that ships:
// net/http/httptest, for one, puts a flag of its own into every command line. expvar comes
// with client_golang, and shows its variables on a mux that no port serves.
func TestProgramHasNoTestPackages(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "poosh").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	list := strings.Fields(string(out))
	if !slices.Contains(list, "poosh/server") {
		t.Fatalf("go list knows %d packages, and not the server's", len(list))
	}
	for _, no := range []string{"testing", "net/http/httptest", "net/http/pprof", "poosh/server/cluster/redistest", "poosh/server/leaktest", "poosh/server/logtest", "poosh/server/presence/presencetest", "poosh/server/stalltest"} {
		if slices.Contains(list, no) {
			t.Errorf("the program has %s in it", no)
		}
	}
}
