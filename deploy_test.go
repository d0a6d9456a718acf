package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"poosh/server"
)

// documentedPorts are the settings of ports with their defaults. PUSH_SOCKET_PORT has
// none, since setting it turns the dialect on: it is what its example says. ADMIN_PORT has
// none either, and is for nobody outside: no site passes on to it.
func documentedPorts(t *testing.T) map[string]string {
	t.Helper()
	ports := make(map[string]string)
	for _, s := range server.Settings() {
		if strings.HasSuffix(s.Name, "_PORT") && s.Name != "ADMIN_PORT" {
			ports[s.Name] = s.Default
		}
	}
	m := regexp.MustCompile(`PUSH_SOCKET_PORT=([0-9]+)`).FindStringSubmatch(readFile(t, "examples/pushsocket/README.md"))
	if m == nil {
		t.Fatal("examples/pushsocket/README.md names no PUSH_SOCKET_PORT")
	}
	ports["PUSH_SOCKET_PORT"] = m[1]
	if len(ports) < 5 || slices.Contains(values(ports), "") {
		t.Fatalf("a port without a default: %v", ports)
	}
	return ports
}

func values(m map[string]string) (list []string) {
	for _, v := range m {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// dockerfile returns the instructions, each with its words, of the stages of the
// Dockerfile.
func dockerfile(t *testing.T) (stages [][][]string) {
	t.Helper()
	text := strings.ReplaceAll(readFile(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
			continue
		case words[0] == "FROM":
			stages = append(stages, nil)
		}
		last := len(stages) - 1
		if last < 0 {
			t.Fatalf("%q stands before FROM", line)
		}
		stages[last] = append(stages[last], words)
	}
	return stages
}

// arguments are the words behind an instruction, wherever it stands in a stage.
func arguments(stage [][]string, instruction string) (words []string) {
	for _, line := range stage {
		if line[0] == instruction {
			words = append(words, line[1:]...)
		}
	}
	return words
}

func TestImage(t *testing.T) {
	stages := dockerfile(t)
	if len(stages) != 2 || stages[1][0][1] != "scratch" {
		t.Fatalf("want a build and an image from scratch: %q", stages)
	}
	image := stages[1]
	exposed := arguments(image, "EXPOSE")
	slices.Sort(exposed)
	want := values(documentedPorts(t))
	slices.Sort(want)
	want = slices.Compact(want) // those of Pusher and of laravel-echo are the same
	if !slices.Equal(exposed, want) {
		t.Errorf("it exposes %v, want the ports of the settings, %v", exposed, want)
	}
	user, _, _ := strings.Cut(strings.Join(arguments(image, "USER"), " "), ":")
	if !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(user) {
		t.Errorf("it runs as %q, want the number of a user that is not root", user)
	}
	if dir := arguments(image, "WORKDIR"); !slices.Equal(dir, []string{"/data"}) || !slices.Equal(arguments(image, "VOLUME"), dir) {
		t.Errorf("it works in %v, and %v is a volume", dir, arguments(image, "VOLUME"))
	}
	var database string
	for _, s := range server.Settings() {
		if s.Name == "PUSH_SOCKET_DB" {
			database = s.Default
		}
	}
	if database == "" || filepath.Dir(database) != "." {
		t.Errorf("PUSH_SOCKET_DB is %q, want a name in the working directory, the volume", database)
	}
	if check := strings.Join(arguments(image, "HEALTHCHECK"), " "); !strings.HasSuffix(check, `CMD ["/poosh", "health"]`) {
		t.Errorf("its health is looked at by %q", check)
	}
	copies := make(map[string]bool)
	for _, line := range image {
		if line[0] == "COPY" {
			copies[strings.Join(line[1:], " ")] = true
		}
	}
	for _, want := range []string{
		"--from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
		"--from=build /poosh /poosh",
		"--from=build --chown=" + user + ":" + user + " /volume/ /",
	} {
		if !copies[want] {
			t.Errorf("no COPY %s", want)
		}
	}
	if run := strings.Join(arguments(stages[0], "RUN"), " "); !strings.Contains(run, "mkdir -p /volume/data") || !strings.Contains(run, "CGO_ENABLED=0") {
		t.Errorf("the build runs %q", run)
	}
}

// What the build copies is all that the program consists of, and .dockerignore lets
// it through.
func TestImageHasTheSources(t *testing.T) {
	sent := make(map[string]bool) // what .dockerignore lets through
	for line := range strings.Lines(readFile(t, ".dockerignore")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			sent[name] = true
		}
	}
	copied := make(map[string]bool)
	for _, line := range dockerfile(t)[0] {
		if line[0] != "COPY" {
			continue
		}
		for _, name := range line[1 : len(line)-1] {
			copied[name] = true
			if !sent[name] {
				t.Errorf(".dockerignore keeps %s from the build", name)
			}
		}
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.ImportPath}} {{join .EmbedFiles \",\"}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, embedded, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		top, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(pkg, "poosh"), "/"), "/")
		if top == "" {
			top = "main.go"
		}
		if !copied[top] || strings.Contains(embedded, "testdata") {
			t.Errorf("%s (%s) is not in the build", pkg, embedded)
		}
	}
	out, err = exec.Command("go", "list", "-f", "{{join .GoFiles \"\\n\"}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if !copied[name] {
			t.Errorf("%s is not in the build", name)
		}
	}
}

// Every site of nginx tells Poosh whose a connection is, and there is one for each
// port that clients come to.
func TestSitesForwardTheAddress(t *testing.T) {
	files, err := filepath.Glob("examples/*/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	location := regexp.MustCompile(`(?s)location [^{]*\{(.*?)\n\s*\}`)
	var all string
	for _, name := range files {
		text := readFile(t, name)
		if !strings.Contains(text, "server {") {
			continue // test/doctor looks at those of other proxies
		}
		all += text
		blocks := location.FindAllStringSubmatch(text, -1)
		if len(blocks) != strings.Count(text, "proxy_pass ") || len(blocks) == 0 {
			t.Errorf("%s: %d locations for %d of proxy_pass", name, len(blocks), strings.Count(text, "proxy_pass "))
		}
		for _, b := range blocks {
			if !regexp.MustCompile(`proxy_set_header X-Forwarded-For \$(remote_addr|proxy_add_x_forwarded_for);`).MatchString(b[1]) {
				t.Errorf("%s: a location does not forward the address:\n%s", name, b[1])
			}
			if strings.Contains(b[1], "Upgrade") && (!strings.Contains(b[1], "proxy_http_version 1.1;") || !strings.Contains(b[1], "proxy_read_timeout")) {
				t.Errorf("%s: a location cannot carry a WebSocket:\n%s", name, b[1])
			}
		}
	}
	for setting, port := range documentedPorts(t) {
		if setting != "SERVER_PORT" && !strings.Contains(all, "127.0.0.1:"+port) {
			t.Errorf("no site passes on to %s, %s", setting, port)
		}
	}
}

// The service can reach systemd, which would wait for it else, and every socket unit is for a
// port that there is, of the same number.
func TestServiceTellsSystemd(t *testing.T) {
	unit := readFile(t, "examples/systemd/poosh.service")
	for _, want := range []string{`(?m)^Type=notify$`, `(?m)^ExecReload=/bin/kill -HUP \$MAINPID$`, `(?m)^WatchdogSec=\d+$`, `(?m)^RestrictAddressFamilies=.*\bAF_UNIX\b`} {
		if !regexp.MustCompile(want).MatchString(unit) {
			t.Errorf("the unit has nothing like %s", want)
		}
	}
	defaults := make(map[string]string)
	for _, s := range server.Settings() {
		defaults[s.Name] = s.Default
	}
	sockets, err := filepath.Glob("examples/systemd/*.socket")
	if err != nil || len(sockets) == 0 {
		t.Fatalf("%d socket units, %v", len(sockets), err)
	}
	for _, path := range sockets {
		m := regexp.MustCompile(`(?s)\nListenStream=(\d+)\n.*\nFileDescriptorName=(\w+)\n`).FindStringSubmatch(readFile(t, path))
		if m == nil || defaults[m[2]] != m[1] {
			t.Errorf("%s: %q", path, m)
		}
	}
}

// The unit in packages is that of the example, with the program where packages have it.
func TestPackagedUnit(t *testing.T) {
	example := readFile(t, "examples/systemd/poosh.service")
	want := strings.Replace(example, "\nExecStart=/usr/local/bin/poosh\n", "\nExecStart=/usr/bin/poosh\n", 1)
	if want == example {
		t.Fatal("the example does not start /usr/local/bin/poosh")
	}
	sameFile(t, "packaging/linux/poosh.service", readFile(t, "packaging/linux/poosh.service"), want)
}

// The service may write where its README puts the database.
func TestServiceHasAStateDirectory(t *testing.T) {
	unit := readFile(t, "examples/systemd/poosh.service")
	m := regexp.MustCompile(`(?m)^StateDirectory=(.+)$`).FindStringSubmatch(unit)
	if m == nil {
		t.Fatal("no StateDirectory, and ProtectSystem=strict makes everything else read-only")
	}
	if want := "PUSH_SOCKET_DB=/var/lib/" + m[1] + "/"; !strings.Contains(readFile(t, "examples/systemd/README.md"), want) {
		t.Errorf("the README does not say %s", want)
	}
}
