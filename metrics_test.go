package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server"
	"poosh/server/certificate/certificatetest"
	"poosh/server/cluster/redistest"
	"poosh/server/pushsocket/store/postgrestest"
	"poosh/test/process"
)

// everything is a scrape of a server with all dialects and all limits on, in a cluster of one, that
// nobody has connected to.
func everything(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	withEverything(t).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// withEverything runs such a server until the test ends, and returns what answers scrapes.
func withEverything(t *testing.T) http.Handler {
	t.Helper()
	cert, key, _ := certificatetest.New(t).Write(t.TempDir(), "push.example.com")
	redis := "redis://" + redistest.Start(t).Addr
	set := map[string]string{
		"CLUSTER_REDIS": redis, "CLUSTER_TIMEOUT": "5s", "EMITTER_REDIS": redis,
		"TLS_CERT": cert, "TLS_KEY": key,
		"HISTORY": "1m", "HOST": "127.0.0.1", "SERVER_SECRET": "thisisthesharedsecret", "CLIENT_PORT": "0", "SERVER_PORT": "0",
		"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "key", "PUSHER_APP_SECRET": "a secret of the app", "PUSHER_PORT": "0",
		"PUSHER_API_RATE": "100/60s", "PUSHER_CONNECT_RATE": "100/60s",
		"DEMO_SOCKTOPUS_SECRET": "replace-this-secret", "SOCKTOPUS_PORT": "0",
		"ECHO_REDIS": "redis://127.0.0.1:1", "ECHO_PORT": "0", "ECHO_AUTH_URL": "http://127.0.0.1:1/broadcasting/auth", "ECHO_KEYS": "id:key",
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": postgrestest.Start(t, "fsync=off").Schema(t),
	}
	lookup := func(name string) (string, bool) { text, ok := set[name]; return text, ok }
	cfg, err := server.FromEnv(lookup, "DEMO_SOCKTOPUS_SECRET")
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	// What is known once it has joined.
	for end := time.Now().Add(process.Patience); ; time.Sleep(10 * time.Millisecond) {
		w := httptest.NewRecorder()
		s.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if strings.Contains(w.Body.String(), "\npoosh_cluster_engine_up 1\n") && strings.Contains(w.Body.String(), "poosh_cluster_passed_here_total") {
			return s.MetricsHandler()
		}
		if time.Now().After(end) {
			t.Fatal("the server has not joined its cluster")
		}
	}
}

// A family is one name of a scrape with all that has it.
type family struct {
	name, kind, help string
	labels           []string
}

var (
	helpLine   = regexp.MustCompile(`(?m)^# HELP (\S+) (.*)$`)
	labelNames = regexp.MustCompile(`([a-z_]+)="`)
)

// families reads a scrape.
func families(t *testing.T, text string) (list []family) {
	t.Helper()
	for _, m := range helpLine.FindAllStringSubmatch(text, -1) {
		f := family{name: m[1], help: m[2]}
		kind := regexp.MustCompile(`(?m)^# TYPE ` + f.name + ` (\w+)$`).FindStringSubmatch(text)
		if kind == nil {
			t.Fatalf("%s has no type", f.name)
		}
		f.kind = kind[1]
		if sample := regexp.MustCompile(`(?m)^` + f.name + `\{(.*)\} `).FindStringSubmatch(text); sample != nil {
			for _, l := range labelNames.FindAllStringSubmatch(sample[1], -1) {
				f.labels = append(f.labels, l[1])
			}
		}
		list = append(list, f)
	}
	return list
}

// names are those of our own families of a scrape.
func names(t *testing.T, text string) map[string]family {
	ours := make(map[string]family)
	for _, f := range families(t, text) {
		if strings.HasPrefix(f.name, "poosh_") {
			ours[f.name] = f
		}
	}
	return ours
}

// The table of docs/metrics.md has every metric, and no other, as a scrape has it.
func TestTableOfMetrics(t *testing.T) {
	const name = "docs/metrics.md"
	text := readFile(t, name)
	i, j := between(t, text, "<!-- metrics: go test . -update writes this table -->\n", "<!-- end of metrics -->")
	var table strings.Builder
	table.WriteString("| metric | kind | labels | what it is |\n|---|---|---|---|\n")
	for _, f := range families(t, everything(t)) {
		if !strings.HasPrefix(f.name, "poosh_") {
			continue // of every program in Go
		}
		labels := "none"
		if len(f.labels) > 0 {
			labels = "`" + strings.Join(f.labels, "`, `") + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, f.help)
	}
	sameFile(t, name, text, text[:i]+table.String()+text[j:])
}

// closedLabels are the labels that there may be. None of them is a room, a user, a socket
// or an address; a name is that of a certificate, which the settings have.
var closedLabels = []string{"app_id", "port", "error_type", "limiter_type", "request_context", "channel_type",
	"dialect", "reason", "of", "event", "status", "code", "outcome", "transport", "version", "goversion", "name", "by"}

func TestLabelsAreClosedSets(t *testing.T) {
	for _, f := range names(t, everything(t)) {
		for _, l := range f.labels {
			if !slices.Contains(closedLabels, l) {
				t.Errorf("%s has a label %s", f.name, l)
			}
		}
	}
}

// sharedNames are what the dashboard and the alert rules of Sockudo ask for, but for
// horizontal_adapter_resolve_time, which is a histogram without labels (ops/grafana/websocket-dashboard-example.json and
// ops/grafana/alert-rules-example.json of Sockudo 5.0.1, with metrics_prefix), with the
// labels that they use.
var sharedNames = map[string][]string{
	"connected": nil, "new_connections_total": nil, "new_disconnections_total": nil,
	"connection_errors_total": {"error_type"},
	"socket_received_bytes":   nil, "socket_transmitted_bytes": nil,
	"ws_messages_received_total": nil, "ws_messages_sent_total": nil,
	"http_calls_received_total": nil, "http_received_bytes": nil, "http_transmitted_bytes": nil,
	"active_channels": {"channel_type"}, "channel_subscriptions_total": {"channel_type"}, "channel_unsubscriptions_total": {"channel_type"},
	"horizontal_adapter_resolved_promises": nil, "horizontal_adapter_uncomplete_promises": nil, "horizontal_adapter_sent_requests": nil,
	"horizontal_adapter_received_requests": nil, "horizontal_adapter_received_responses": nil,
	"rate_limit_checks_total": {"limiter_type", "request_context"}, "rate_limit_triggered_total": {"limiter_type", "request_context"},
}

func TestNamesThatOthersShare(t *testing.T) {
	ours := names(t, everything(t))
	for name, labels := range sharedNames {
		f, there := ours["poosh_"+name]
		for _, l := range append([]string{"app_id", "port"}, labels...) {
			if !slices.Contains(f.labels, l) {
				t.Errorf("%s: there is one: %v; want a label %s beside %v", name, there, l, f.labels)
			}
		}
	}
}

// promtool runs Prometheus' own tool.
func promtool(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed: apt-get install -y --no-install-recommends prometheus")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// oldNames are counters that other servers named before there was a rule for that. Each
// is there with _total too.
var oldNames = []string{"poosh_socket_received_bytes", "poosh_socket_transmitted_bytes", "poosh_http_received_bytes", "poosh_http_transmitted_bytes",
	"poosh_horizontal_adapter_received_requests", "poosh_horizontal_adapter_received_responses", "poosh_horizontal_adapter_resolved_promises",
	"poosh_horizontal_adapter_sent_requests", "poosh_horizontal_adapter_uncomplete_promises"}

// promtool finds nothing but the old names.
func TestPromtoolChecksMetrics(t *testing.T) {
	scraped := everything(t)
	out, _ := promtool(t, scraped, "check", "metrics")
	var found []string
	for line := range strings.Lines(out) {
		name, why, _ := strings.Cut(strings.TrimSpace(line), " ")
		if slices.Contains(oldNames, name) && strings.Contains(why, `"_total" suffix`) {
			found = append(found, name)
			continue
		}
		if strings.HasPrefix(name, "poosh_") || name == "error" {
			t.Errorf("promtool: %s", line)
		}
	}
	slices.Sort(found)
	if want := slices.Sorted(slices.Values(oldNames)); !slices.Equal(found, want) {
		t.Errorf("promtool finds old names %v, want %v\n%s", found, want, out)
	}
	for _, name := range oldNames {
		if !strings.Contains(scraped, "\n# TYPE "+name+"_total counter\n") {
			t.Errorf("there is no %s_total", name)
		}
	}
}

func TestPromtoolChecksAlerts(t *testing.T) {
	const file = "examples/grafana/alerts.yml"
	if out, err := promtool(t, "", "check", "rules", file); err != nil || !strings.Contains(out, "SUCCESS") {
		t.Errorf("%v: %s", err, out)
	}
	namesThere(t, file, readFile(t, file))
}

// A Prometheus scrapes, and a query and a rule of ours have an answer there.
func TestPrometheusScrapes(t *testing.T) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("prometheus is not installed: apt-get install -y --no-install-recommends prometheus")
	}
	target := httptest.NewServer(withEverything(t))
	defer target.Close()
	at := fmt.Sprint("127.0.0.1:", process.FreePort(t))
	dir := t.TempDir()
	rules, err := filepath.Abs("examples/grafana/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n- job_name: poosh\n  metrics_path: /\n  static_configs: [{targets: [%q]}]\n",
		rules, target.Listener.Addr())
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	// Such a Prometheus takes the native buckets of a histogram; promtool reads the others.
	cmd := exec.Command(path, "--enable-feature=native-histograms", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	}()
	ask := func(query string) string {
		resp, err := http.Get("http://" + at + query)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	for query, want := range map[string]string{
		"/api/v1/query?query=" + url.QueryEscape(`up{job="poosh"}`):                                            `"1"]`,
		"/api/v1/query?query=" + url.QueryEscape(`sum(poosh_connected{app_id=~".*"})`):                         `"0"]`,
		"/api/v1/query?query=" + url.QueryEscape(`count(poosh_closed_total{dialect="pusher",reason!=""}) > 9`): `"value"`,
		"/api/v1/query?query=" + url.QueryEscape(`poosh_backlog_bytes / poosh_backlog_limit_bytes`):            `"0"]`,
		"/api/v1/query?query=" + url.QueryEscape(`histogram_count(poosh_delivery_latency_seconds)`):            `"0"]`,
		"/api/v1/rules": `"name":"PooshBacklog"`,
	} {
		answer := ""
		for end := time.Now().Add(process.Patience); !strings.Contains(answer, want) && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			answer = ask(query)
		}
		if !strings.Contains(answer, want) {
			t.Errorf("%s: %s, want %s", query, answer, want)
		}
	}
}

// The dashboard is JSON, each of its panels asks for something, and for metrics that
// there are.
func TestDashboard(t *testing.T) {
	const file = "examples/grafana/dashboard.json"
	text := readFile(t, file)
	var board struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&board); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range board.Panels {
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			fmt.Fprintf(&rules, "  - {record: 'x%d', expr: %q}\n", rules.Len(), target.Expr)
		}
	}
	// There is no tool that reads a dashboard, but one that reads rules.
	asked := filepath.Join(t.TempDir(), "asked.yml")
	if err := os.WriteFile(asked, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "", "check", "rules", asked); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
	namesThere(t, file, text)
}

// namesThere fails for names of metrics in a text that no scrape has.
func namesThere(t *testing.T, file, text string) {
	t.Helper()
	ours := names(t, everything(t))
	used := regexp.MustCompile(`poosh_[a-z_]+`).FindAllString(text, -1)
	if len(used) == 0 {
		t.Errorf("%s names no metric", file)
	}
	for _, name := range used {
		if of, found := strings.CutSuffix(name, "_bucket"); found && ours[of].kind == "histogram" {
			name = of
		}
		if _, there := ours[name]; !there {
			t.Errorf("%s names %s, which is not there", file, name)
		}
	}
}
