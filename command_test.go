package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"poosh/test/documents"
)

// The secrets of the server that commands are tried with: none may be printed.
var secrets = map[string]string{
	"SERVER_SECRET":              "hush-one-of-the-senders",
	"PUSHER_APP_SECRET":          "hush-two-of-the-app-1234",
	"ADMIN_TOKEN":                "hush-three-of-operators",
	"A_SOCKTOPUS_SECRET":         "hush-four-of-socktopus",
	"PUSH_SOCKET_OPERATOR_TOKEN": "hush-five-of-the-store",
	"PUSHER_WEBHOOK_URL":         "http://127.0.0.1:9/hush-six",
}

// A station is a server that runs, and a directory with its settings in .env.
type station struct {
	t     *testing.T
	dir   string
	ports map[string]string
	cmd   *exec.Cmd
	ended chan struct{}
	log   *syncBuffer
}

// startStation starts a server of the dialects that commands speak, with more settings.
func startStation(t *testing.T, more ...string) *station {
	t.Helper()
	s := &station{t: t, dir: t.TempDir(), ports: make(map[string]string)}
	var env strings.Builder
	for _, name := range []string{"CLIENT_PORT", "SERVER_PORT", "ADMIN_PORT", "PUSHER_PORT", "SOCKTOPUS_PORT", "PUSH_SOCKET_PORT"} {
		s.ports[name] = freePort(t)
		fmt.Fprintf(&env, "%s=%s\n", name, s.ports[name])
	}
	for name, value := range secrets {
		fmt.Fprintf(&env, "%s=%s\n", name, value)
	}
	env.WriteString("HOST=127.0.0.1\nPUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_CLIENT_EVENTS=on\n")
	for _, line := range more {
		env.WriteString(line + "\n")
	}
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(env.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// start starts the server, and returns when it is ready.
func (s *station) start() {
	s.t.Helper()
	s.cmd, s.ended, s.log = exec.Command(program, "serve"), make(chan struct{}), new(syncBuffer)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = s.dir, []string{}, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, ended := s.cmd, s.ended
	go func() { // ends with the process
		_ = cmd.Wait()
		close(ended)
	}()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if code, _, _ := s.run("health"); code == 0 {
			return
		}
		select {
		case <-ended:
			s.t.Fatalf("the server ended\n%s", s.log.String())
		default:
		}
		if time.Now().After(end) {
			s.t.Fatal("the server is not ready")
		}
	}
}

func (s *station) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.t.Error("the server did not end")
	}
}

// command is one in the server's directory, with nothing in its environment.
func (s *station) command(args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd, stdout, stderr = poosh(s.t, nil, args...)
	cmd.Dir = s.dir
	return cmd, stdout, stderr
}

func (s *station) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	cmd, out, err := s.command(args...)
	return exitCode(s.t, cmd), out.String(), err.String()
}

// wants runs a command, and wants its exit code and what its output begins with.
func (s *station) wants(code int, stdout, stderr string, args ...string) string {
	s.t.Helper()
	got, out, err := s.run(args...)
	if got != code || !strings.HasPrefix(out, stdout) || (stdout == "") != (out == "") || !strings.HasPrefix(err, stderr) || (stderr == "") != (err == "") {
		s.t.Errorf("poosh %q: exit code %d, want %d\nstdout %q, want %q\nstderr %q, want %q", args, got, code, out, stdout, err, stderr)
	}
	return out
}

// A following is a command that goes on.
type following struct {
	cmd            *exec.Cmd
	stdout, stderr *syncBuffer
	ended          chan struct{}
}

func (s *station) follow(args ...string) *following {
	s.t.Helper()
	f := &following{stdout: new(syncBuffer), stderr: new(syncBuffer), ended: make(chan struct{})}
	f.cmd, _, _ = s.command(args...)
	f.cmd.Stdout, f.cmd.Stderr = f.stdout, f.stderr
	if err := f.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { // ends with the process
		_ = f.cmd.Wait()
		close(f.ended)
	}()
	s.t.Cleanup(func() { _ = f.cmd.Process.Kill(); <-f.ended })
	return f
}

// code waits for the end and returns the exit code.
func (f *following) code(t *testing.T) int {
	t.Helper()
	select {
	case <-f.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	return f.cmd.ProcessState.ExitCode()
}

// untilTaken sends until somebody takes it.
func (s *station) untilTaken(args ...string) string {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		code, out, err := s.run(append([]string{"send", "--require-subscriber"}, args...)...)
		if code == 0 {
			return out
		}
		if code != 5 || time.Now().After(end) {
			s.t.Fatalf("exit code %d: %s%s", code, out, err)
		}
	}
}

var sentLine = regexp.MustCompile(`^sent [0-9a-v]{8}-[0-9]{12}, (nobody|[0-9]+ connections?) took it\n`)

// What send and token say, and with which code they end.
func TestSendCommand(t *testing.T) {
	s := startStation(t)
	if out := s.wants(0, "sent ", "", "send", "hello", `{"a": 1.50}`); !sentLine.MatchString(out) {
		t.Error(out)
	}
	s.wants(5, "sent ", "poosh: nobody took it", "send", "--room", "news", "--require-subscriber", "hello")
	s.wants(2, "", "poosh: want EVENT [JSON | -]", "send")
	s.wants(2, "", "poosh: the event has no name", "send", "")
	s.wants(2, "", "poosh: the payload is no JSON", "send", "hello", "text")
	s.wants(2, "", `poosh: cannot understand "3"`, "send", "1", "2", "3")
	s.wants(2, "", "poosh: flag provided but not defined: -rom", "send", "--rom", "x", "hello")
	s.wants(2, "", "poosh: --url is no address", "send", "--url", "example.com", "hello")
	s.wants(1, "", "poosh: 127.0.0.1:"+s.ports["SERVER_PORT"]+" does not take it: 400,", "send", "disconnecting")
	s.wants(4, "", "poosh: no answer from 127.0.0.1:9: ", "send", "--url", "http://127.0.0.1:9", "hello")
	s.wants(1, "", "poosh: 127.0.0.1:"+s.ports["CLIENT_PORT"]+" does not take it: 404", "send", "--url", "http://127.0.0.1:"+s.ports["CLIENT_PORT"]+"/x", "hello")

	var o struct {
		ID          string
		Delivered   int
		Explanation struct{ Rooms []json.RawMessage }
	}
	out := s.wants(0, "{", "", "send", "--room", "news", "--explain", "--json", "hello", "1")
	if err := json.Unmarshal([]byte(out), &o); err != nil || o.ID == "" || len(o.Explanation.Rooms) != 1 {
		t.Errorf("%v: %s", err, out)
	}

	// A payload from standard input, with the blanks and escapes that it has, is signed as it is.
	for _, payload := range []string{" {\"a\" : 1.0e+25 }\n", `"\/\u00e9"`, "12345678901234567890123", "[ ]", "null"} {
		cmd, stdout, stderr := s.command("send", "hello", "-")
		cmd.Stdin = strings.NewReader(payload)
		if code := exitCode(t, cmd); code != 0 {
			t.Errorf("%q: exit code %d: %s%s", payload, code, stdout, stderr)
		}
	}
	// The tokens of two payloads, by sha1sum.
	for payload, want := range map[string]string{`{"a": 1}`: "746e6e6ffdf36aebfa7a219469074b264cb87e20", "": "7e9d7d3b29a52458aa2ee665ce2ef9227f9c9c73"} {
		args := []string{"token"}
		if payload != "" {
			args = append(args, payload)
		}
		if out := s.wants(0, want, "", args...); out != want+"\n" {
			t.Errorf("the token of %q is %q, want %s", payload, out, want)
		}
	}
}

// Another secret than the server's is refused, and told apart from everything else.
func TestRefusedCommands(t *testing.T) {
	s := startStation(t)
	for name, args := range map[string][]string{
		"SERVER_SECRET": {"send", "hello"}, "ADMIN_TOKEN": {"status"}, "PUSHER_APP_SECRET": {"listen", "--pusher", "private-x"},
	} {
		cmd, stdout, stderr := s.command(args...)
		cmd.Env = []string{name + "=another-secret-than-there"}
		if code := exitCode(t, cmd); code != 3 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "refuses") || strings.Contains(stderr.String(), "another-secret") {
			t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
		}
	}
	cmd, _, stderr := s.command("listen", "--pusher", "x")
	cmd.Env = []string{"PUSHER_APP_KEY=another"}
	if code := exitCode(t, cmd); code != 3 || stderr.String() != "poosh: the server refuses: 4001, no app has this key\n" {
		t.Errorf("another key: exit code %d: %s", code, stderr)
	}
}

// Listeners of both kinds print what comes, end by number, time and signal, and connect
// again when the server has gone and come.
func TestListenCommand(t *testing.T) {
	s := startStation(t, "SHUTDOWN_TIMEOUT=1s")
	one := s.follow("listen", "--room", "a,b", "--room", "c", "--count", "2")
	s.untilTaken("--room", "a,b", "hello", `{"text":"hi"}`)
	s.untilTaken("--room", "c", "more")
	if code := one.code(t); code != 0 || !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} hello \{"text":"hi"\}\n\S+ more null\n$`).MatchString(one.stdout.String()) {
		t.Errorf("exit code %d: %s%s", code, one.stdout.String(), one.stderr.String())
	}

	again := s.follow("listen", "--room", "news", "--json")
	s.untilTaken("--room", "news", "first", "[1,2]")
	s.stop()
	s.start()
	s.untilTaken("--room", "news", "second")
	eventually(t, "the second event", func() bool { return strings.Count(again.stdout.String(), "\n") == 2 })
	if err := again.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := again.code(t); code != 0 || !strings.Contains(again.stderr.String(), "connecting again in ") {
		t.Errorf("exit code %d: %s", code, again.stderr.String())
	}
	var e struct {
		At    time.Time
		Event string
		Data  json.RawMessage
	}
	if err := json.Unmarshal([]byte(strings.SplitAfter(again.stdout.String(), "\n")[0]), &e); err != nil || e.Event != "first" || string(e.Data) != "[1,2]" || e.At.IsZero() {
		t.Errorf("%v: %s", err, again.stdout.String())
	}

	s.wants(5, "", "poosh: 0 came in 300ms, and not 1", "listen", "--count", "1", "--for", "300ms")
	s.wants(0, "", "", "listen", "--for", "300ms")
	s.wants(2, "", "poosh: want a --count", "listen", "--count", "0")
	s.wants(2, "", "poosh: want --room or --pusher", "listen", "--room", "x", "--pusher", "y")
	s.wants(4, "", "poosh: 127.0.0.1:9: ", "listen", "--for", "300ms", "--url", "http://127.0.0.1:9")
	s.wants(3, "", "poosh: 127.0.0.1:"+s.ports["SERVER_PORT"]+" opens no WebSocket", "listen", "--url", "http://127.0.0.1:"+s.ports["SERVER_PORT"])
}

// Channels of Pusher are subscribed to, with signatures where they want some.
func TestListenCommandOfPusher(t *testing.T) {
	s := startStation(t, "BRIDGE=1")
	f := s.follow("listen", "--pusher", "news", "--pusher", "private-x", "--pusher", "presence-y", "--json", "--count", "4")
	s.untilTaken("--room", "news", "hello", `{"n":1.50}`)
	code := f.code(t)
	if code != 0 || strings.Count(f.stdout.String(), "pusher_internal:subscription_succeeded") != 3 ||
		!strings.Contains(f.stdout.String(), `"channel":"news","event":"hello","data":{"n":1.50}}`) || !strings.Contains(f.stdout.String(), "poosh-listen-") {
		t.Errorf("exit code %d: %s%s", code, f.stdout.String(), f.stderr.String())
	}
	cmd, _, stderr := s.command("listen", "--pusher", "x", "--app", "7")
	if code := exitCode(t, cmd); code != 1 || !strings.Contains(stderr.String(), `no Pusher app "7"`) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// What operators see and do.
func TestOperatorsCommands(t *testing.T) {
	s := startStation(t)
	listener := s.follow("listen", "--room", "news")
	s.untilTaken("--room", "news", "hello")
	tail, all := s.follow("tail", "--room", "news", "--payload", "--count", "1"), s.follow("tail", "--json", "--for", "20s", "--count", "2")
	// Until both watch: who does not yet has missed what was sent.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		s.untilTaken("--room", "news", "hello", `{"text":"hi"}`)
		if strings.Contains(tail.stdout.String(), "\n") && strings.Count(all.stdout.String(), "\n") == 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("nothing is seen: %s%s", tail.stderr.String(), all.stderr.String())
		}
	}
	if code := tail.code(t); code != 0 || !regexp.MustCompile(`^\S+ socket\.io hello to "news", 13 bytes, 1 connection took it \S+\n  \{"text":"hi"\}\n`).MatchString(tail.stdout.String()) {
		t.Errorf("exit code %d: %s%s", code, tail.stdout.String(), tail.stderr.String())
	}
	if code := all.code(t); code != 0 || !strings.HasPrefix(all.stdout.String(), `{"id":"`) {
		t.Errorf("exit code %d: %s%s", code, all.stdout.String(), all.stderr.String())
	}

	out := s.wants(0, "ready         yes\nversion       (devel)\nclients       1 connections of ", "", "status")
	if !strings.Contains(out, "poosh on port "+s.ports["CLIENT_PORT"]+": 1 connected\n") || strings.Contains(out, " 0 of ") && strings.Contains(out, "open files    0") {
		t.Error(out)
	}
	var st struct {
		Status      string
		Connections struct{ Now, Limit float64 }
		OpenFiles   struct{ Now, Limit float64 } `json:"open_files"`
		Published   float64
		Backlog     float64 `json:"backlog_limit_bytes"`
	}
	out = s.wants(0, "{", "", "status", "--json")
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Status != "ok" || st.Connections.Now != 1 || st.Connections.Limit < 1 || st.Published < 1 || st.Backlog < 1 || st.OpenFiles.Now < 5 {
		t.Errorf("%v: %s", err, out)
	}

	s.wants(2, "", "poosh: want one of these", "kick")
	s.wants(2, "", "poosh: want one of these", "kick", "1", "--room", "x")
	s.wants(5, "", "poosh: nobody was there", "kick", "1")
	s.wants(1, "", "poosh: 127.0.0.1:"+s.ports["ADMIN_PORT"]+" says 400, address", "kick", "--address", "x")
	s.wants(0, "1 closed", "", "kick", "--room", "news")
	eventually(t, "the listener to be told", func() bool { return strings.Contains(listener.stderr.String(), "disconnected by the server") })
	s.untilTaken("--room", "news", "hello") // it comes back
	s.wants(0, `{"kicked":1}`, "", "kick", "--address", "127.0.0.1", "--json")

	s.wants(0, "x.tar.gz, ", "", "bundle", "--seconds", "1", "-o", "x.tar.gz")
	info, err := os.Stat(filepath.Join(s.dir, "x.tar.gz"))
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() < 1000 {
		t.Errorf("%v %v", info, err)
	}
	s.wants(1, "", "poosh: open x.tar.gz: file exists", "bundle", "--seconds", "1", "-o", "x.tar.gz")
	s.wants(2, "", "poosh: --seconds is 0", "bundle", "--seconds", "0")

	without := startStation(t, "ADMIN_PORT=")
	without.wants(1, "", "poosh: ADMIN_PORT is not set", "status")
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// No command prints a secret, whatever it does or fails at.
func TestCommandsPrintNoSecrets(t *testing.T) {
	s := startStation(t)
	at := "http://127.0.0.1:" + s.ports["ADMIN_PORT"]
	rows := [][]string{
		{"check"}, {"check", "--json"}, {"check", "--running", "--strict"}, {"serve"}, {"serve", "x"},
		{"send", "--explain", "hello", "1"}, {"send", "--json", "hello"}, {"send", "hello", "--url", at}, {"send", "--nonsense"}, {"send", "hello", "--url", "http://127.0.0.1:9"},
		{"token"}, {"token", "{}"}, {"token", "x"}, {"listen", "--for", "200ms"}, {"listen", "--pusher", "private-x", "--for", "200ms", "--json"},
		{"listen", "--pusher", "x", "--for", "200ms", "--url", at}, {"tail", "--for", "200ms", "--payload"}, {"tail", "--for", "200ms", "--url", "http://127.0.0.1:9"},
		{"status"}, {"status", "--json"}, {"status", "--url", "http://127.0.0.1:" + s.ports["CLIENT_PORT"]}, {"kick", "x"}, {"kick", "--address", "x"},
		{"bundle", "--seconds", "1", "-o", "-"}, {"health"}, {"version", "--json"}, {"help"}, {"--help"}, {"completion", "bash"}, {"socktopus"}, {"nonsense"},
	}
	for _, c := range commandNames(t) {
		rows = append(rows, []string{c, "--help"}, []string{"help", c})
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[0] == c }) {
			t.Errorf("the command %s is not tried", c)
		}
	}
	look := func(args []string, env ...string) {
		cmd, stdout, stderr := s.command(args...)
		cmd.Env = env
		code := exitCode(t, cmd)
		if both := stdout.String() + stderr.String(); strings.Contains(both, "hush") {
			t.Errorf("poosh %q: exit code %d, and a secret in\n%s", args, code, both)
		}
	}
	for _, args := range rows {
		look(args)
	}
	for _, args := range rows[:20] { // and with everything else wrong
		look(args, "CLIENT_PORT=x", "PUSHER_APPS=/nowhere", "ADMIN_TOKEN=hush", "SERVER_SECRET=hush", "PUSHER_APP_SECRET=hush", "A_SOCKTOPUS_SECERT=hush-eight")
	}
}

// commandNames are those that the help lists.
func commandNames(t *testing.T) (names []string) {
	t.Helper()
	cmd, stdout, _ := poosh(t, nil, "--help")
	if code := exitCode(t, cmd); code != 0 {
		t.Fatal(code)
	}
	usage, _, _ := strings.Cut(stdout.String(), "\n\nExit codes")
	for _, m := range regexp.MustCompile(`(?m)^  poosh ([a-z]+)`).FindAllStringSubmatch(usage, -1) {
		names = append(names, m[1])
	}
	if len(names) < 12 || !slices.Contains(names, "listen") {
		t.Fatalf("the help lists %q", names)
	}
	return names
}

// Colours are on a terminal alone, and not for who does not want them.
func TestColours(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Fatal("script is not installed: apt-get install bsdutils")
	}
	for name, row := range map[string]struct {
		env      []string
		terminal bool
		want     bool
	}{
		"a terminal": {[]string{"TERM=xterm"}, true, true}, "a pipe": {[]string{"TERM=xterm"}, false, false},
		"NO_COLOR": {[]string{"TERM=xterm", "NO_COLOR=1"}, true, false}, "NO_COLOR, but empty": {[]string{"TERM=xterm", "NO_COLOR="}, true, true}, "dumb": {[]string{"TERM=dumb"}, true, false},
	} {
		cmd := exec.Command(program, "check", "--running")
		if row.terminal {
			cmd = exec.Command("script", "-qec", program+" check --running", "/dev/null")
		}
		cmd.Dir, cmd.Env = t.TempDir(), append(row.env, "PATH="+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput() // it exits with 1
		if coloured := bytes.Contains(out, []byte("\x1b[31merror")); coloured != row.want || !bytes.Contains(out, []byte("SERVER_SECRET is not set")) {
			t.Errorf("%s: colours %v, want %v\n%q", name, coloured, row.want, out)
		}
	}
}

// A shell with the script completes commands, what is below them and flags, as keys are
// pressed in a terminal.
func TestCompletion(t *testing.T) {
	for tool, install := range map[string]string{"script": "bsdutils", "bash": "bash", "zsh": "zsh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed: apt-get install %s", tool, install)
		}
	}
	const library = "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(library); err != nil {
		t.Fatal("bash-completion is not installed: apt-get install bash-completion")
	}
	home := t.TempDir()
	for name, text := range map[string]string{
		".bashrc": "PS1='> '\n. " + library + "\nsource <(poosh completion bash)\n",
		".zshrc":  "PS1='> '\nautoload -U compinit\ncompinit -u\nsource <(poosh completion zsh)\n",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for shell, start := range map[string]string{"bash": "bash --noprofile --rcfile " + home + "/.bashrc -i", "zsh": "zsh -i"} {
		t.Run(shell, func(t *testing.T) {
			cmd := exec.Command("script", "-qec", start, "/dev/null")
			cmd.Dir = home
			cmd.Env = []string{"HOME=" + home, "ZDOTDIR=" + home, "TERM=dumb", "PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH")}
			keys, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out := new(syncBuffer)
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hung := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
			defer hung.Stop()
			eventually(t, "a prompt of "+shell, func() bool { return strings.Contains(out.String(), "> ") })
			for typed, done := range map[string]string{
				"poosh versi\t": "poosh v0.0.0-test", "poosh version --js\t": `{"version":"v0.0.0-test"`, "poosh sockto\ttok\t a b c": "Generated Token: ",
				"poosh completion fi\t": "__poosh_perform_completion",
			} {
				before := len(out.String())
				if _, err := keys.Write([]byte(typed)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(500 * time.Millisecond) // a person waits until it stands there
				if _, err := keys.Write([]byte("\r")); err != nil {
					t.Fatal(err)
				}
				eventually(t, fmt.Sprintf("%q to do %q; there is %q", typed, done, out.String()), func() bool { return strings.Contains(out.String()[before:], done) })
			}
			if _, err := keys.Write([]byte("exit\r")); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
		})
	}
}

// A syncBuffer is written by a process and read by the test.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// What docs/command.md shows is what commands print, but for times, ids and numbers of
// the machine.
func TestCommandPage(t *testing.T) {
	blocks := page(t, "docs/command.md").Blocks
	s := startStation(t)
	if err := os.Symlink(program, filepath.Join(s.dir, "poosh")); err != nil {
		t.Fatal(err)
	}
	for i, b := range blocks {
		if b.Language != "sh" || !strings.HasPrefix(b.Code, "./poosh ") { // TestCompletion has the other one
			continue
		}
		var got string
		switch name := strings.Fields(b.Code)[1]; {
		case name == "check":
			got = s.withMistakes(func() string { return sh(t, s.dir, b.Code) })
		case strings.HasSuffix(b.Code, "--count 1\n"):
			if name == "tail" {
				s.follow("listen", "--room", "news")
				s.untilTaken("--room", "news", "hello", `{"text":"hi"}`)
			}
			got = s.whileSending(func() string { return sh(t, s.dir, b.Code) })
		case name == "kick":
			s.follow("listen", "--room", "news")
			eventually(t, "two who listen", func() bool {
				_, out, _ := s.run("send", "--room", "news", "hello")
				return strings.Contains(out, "2 connections")
			})
			got = sh(t, s.dir, b.Code)
		default:
			got = sh(t, s.dir, b.Code)
		}
		if i+1 < len(blocks) && blocks[i+1].Language == "text" {
			same(t, b, got, blocks[i+1].Code)
		}
	}
}

// withMistakes does something while the settings are those that the page tells of.
func (s *station) withMistakes(do func() string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, ".env")
	good := readFile(s.t, path)
	const mistaken = "SERVER_SECRET=thisisthesharedsecret\nCLIENT_PORT=80000\nTRUSTED_PROXIES=0.0.0.0/0\nexport LOG_LEVEL=debug\nADMIN_TOKNE=x\n"
	if err := os.WriteFile(path, []byte(mistaken), 0o600); err != nil {
		s.t.Fatal(err)
	}
	got := do()
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return got
}

// whileSending does something that waits for an event, which is sent until that is done.
func (s *station) whileSending(do func() string) string {
	done := make(chan string, 1)
	go func() { done <- do() }() // ends with do
	for {
		select {
		case got := <-done:
			return got
		case <-time.After(100 * time.Millisecond):
			s.run("send", "--room", "news", "hello", `{"text":"hi"}`)
		}
	}
}

// sh runs a command of a page and returns what it prints on standard output.
func sh(t *testing.T, dir, code string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", code)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	out := new(bytes.Buffer)
	cmd.Stdout = out
	exitCode(t, cmd)
	return out.String()
}

var (
	shownID    = regexp.MustCompile(`\b[0-9a-z]{8}-[0-9]{12}\b`)
	shownClock = regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{3}\b`)
	shownCount = regexp.MustCompile(`\b\d+\b`)
	shownToken = regexp.MustCompile(`^[0-9a-f]{40}\n$`)
)

// same compares what is printed with what a page shows.
func same(t *testing.T, b documents.Block, got, shown string) {
	t.Helper()
	even := func(text string) string {
		text = shownToken.ReplaceAllString(text, "TOKEN\n")
		text = shownClock.ReplaceAllString(shownID.ReplaceAllString(text, "ID"), "TIME")
		text = shownCount.ReplaceAllString(strings.ReplaceAll(text, "(devel)", "v1.0.0"), "N")
		// What else runs on the machine, and what the server of the test has beside.
		return regexp.MustCompile(`(?m)^(warning  (MAX_CONNECTIONS|INPUT_BYTES).*| +(N|a|pushsocket) on port.*|left .*|  +N of .*|N error.*)\n`).ReplaceAllString(text, "")
	}
	if even(got) != even(shown) {
		t.Errorf("%s prints\n%s\nand the page shows\n%s", b, got, shown)
	}
}
