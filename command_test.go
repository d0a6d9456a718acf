package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/server/overview"
	"poosh/test/process"
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
	env   []string // that commands have; nothing if nil
	ports map[string]string
	cmd   *exec.Cmd
	ended chan struct{}
	log   *logtest.Buffer
}

// startStation starts a server of the dialects that commands speak, with more settings.
func startStation(t *testing.T, more ...string) *station {
	t.Helper()
	s := &station{t: t, dir: t.TempDir(), ports: make(map[string]string)}
	for try := 1; ; try++ {
		s.settings(more)
		err := s.launch()
		if err == nil {
			t.Cleanup(s.stop)
			return s
		}
		if try == 5 || !strings.Contains(s.log.String(), "address already in use") { // somebody else was given the port
			t.Fatalf("%v\n%s", err, s.log.String())
		}
	}
}

// settings writes .env, with ports that are free.
func (s *station) settings(more []string) {
	s.t.Helper()
	var env strings.Builder
	names := []string{"CLIENT_PORT", "SERVER_PORT", "ADMIN_PORT", "PUSHER_PORT", "SOCKTOPUS_PORT", "PUSH_SOCKET_PORT"}
	for i, port := range freePorts(s.t, len(names)) {
		s.ports[names[i]] = port
		fmt.Fprintf(&env, "%s=%s\n", names[i], port)
	}
	for name, value := range secrets {
		fmt.Fprintf(&env, "%s=%s\n", name, value)
	}
	env.WriteString("HOST=127.0.0.1\nPUSHER_APP_ID=1\nPUSHER_APP_KEY=key\nPUSHER_CLIENT_EVENTS=on\n")
	for _, line := range more {
		env.WriteString(line + "\n")
	}
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(env.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// freePorts are ports that are free, each another one.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		ports = append(ports, strconv.Itoa(process.FreePort(t)))
	}
	return ports
}

// launch starts the server, and returns when it is ready.
func (s *station) launch() error {
	s.t.Helper()
	s.cmd, s.ended, s.log = exec.Command(program, "serve"), make(chan struct{}), new(logtest.Buffer)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = s.dir, []string{}, s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := s.cmd, s.ended
	go func() { // ends with the process
		_ = cmd.Wait()
		close(ended)
	}()
	for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
		if code, _, _ := s.run("health"); code == 0 {
			return nil
		}
		select {
		case <-ended:
			return errors.New("the server ended")
		default:
		}
		if time.Now().After(end) {
			s.stop()
			return errors.New("the server is not ready")
		}
	}
}

// restart stops the server and starts it on the same ports, which somebody else may have
// been given for a moment.
func (s *station) restart() {
	s.t.Helper()
	s.stop()
	for end := time.Now().Add(process.Patience); s.launch() != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it does not start again\n%s", s.log.String())
		}
	}
}

func (s *station) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(process.Patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.t.Error("the server did not end")
	}
}

// command is one in the server's directory, with nothing in its environment but the station's.
func (s *station) command(args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd, stdout, stderr = poosh(s.t, s.env, args...)
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
	stdout, stderr *logtest.Buffer
	ended          chan struct{}
}

func (s *station) follow(args ...string) *following {
	s.t.Helper()
	f := &following{stdout: new(logtest.Buffer), stderr: new(logtest.Buffer), ended: make(chan struct{})}
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
	case <-time.After(process.Patience):
		t.Fatal("it does not end")
	}
	return f.cmd.ProcessState.ExitCode()
}

// untilTaken sends until somebody takes it.
func (s *station) untilTaken(args ...string) string {
	s.t.Helper()
	for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
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
	s.restart()
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

	s.wants(5, "", "poosh: 0 came in 3s, and not 1", "listen", "--count", "1", "--for", "3s")
	s.wants(0, "", "", "listen", "--for", "3s")
	s.wants(2, "", "poosh: want a --count", "listen", "--count", "0")
	s.wants(2, "", "poosh: want --room or --pusher", "listen", "--room", "x", "--pusher", "y")
	s.wants(4, "", "poosh: 127.0.0.1:9: ", "listen", "--for", "300ms", "--url", "http://127.0.0.1:9")
	s.wants(3, "", "poosh: 127.0.0.1:"+s.ports["SERVER_PORT"]+" opens no WebSocket", "listen", "--url", "http://127.0.0.1:"+s.ports["SERVER_PORT"])
}

// Channels of Pusher are subscribed to, with signatures where they want some.
func TestListenCommandOfPusher(t *testing.T) {
	s := startStation(t, "BRIDGE=1")
	f := s.follow("listen", "--pusher", "news", "--pusher", "private-x", "--pusher", "presence-y", "--json", "--count", "1")
	eventually(t, "the subscriptions", func() bool {
		return strings.Count(f.stdout.String(), "pusher_internal:subscription_succeeded") == 3
	})
	s.untilTaken("--room", "news", "hello", `{"n":1.50}`)
	if code := f.code(t); code != 0 || strings.Count(f.stdout.String(), "pusher_internal:subscription_succeeded") != 3 ||
		!strings.Contains(f.stdout.String(), `"channel":"news","event":"hello","data":{"n":1.50}}`) || !strings.Contains(f.stdout.String(), "poosh-listen-") {
		t.Errorf("exit code %d: %s%s", code, f.stdout.String(), f.stderr.String())
	}
	// A channel that is named twice is subscribed to once: the server's answer is one.
	code, out, _ := s.run("listen", "--pusher", "news", "--pusher", "news", "--count", "1", "--for", "3s")
	if code != 5 || strings.Count(out, "subscription_succeeded") != 1 {
		t.Errorf("a channel named twice: exit code %d, want 5, since nothing is sent: %s", code, out)
	}
	// An app that is off is passed over, unless it is asked for.
	apps := filepath.Join(t.TempDir(), "apps.json")
	text := `{"apps":[{"id":"0","key":"off","secret":"hush-hush-of-none","enabled":false},{"id":"1","key":"key","secret":"` + secrets["PUSHER_APP_SECRET"] + `"}]}`
	if err := os.WriteFile(apps, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := "http://127.0.0.1:" + s.ports["PUSHER_PORT"]
	for more, want := range map[string]int{"": 0, "--app=1": 0, "--app=0": 3} {
		args := []string{"listen", "--pusher", "private-x", "--for", "3s", "--url", at}
		if more != "" {
			args = append(args, more)
		}
		cmd, _, stderr := poosh(t, []string{"PUSHER_APPS=" + apps}, args...)
		if code := exitCode(t, cmd); code != want {
			t.Errorf("%q: exit code %d, want %d: %s", more, code, want, stderr)
		}
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
	tail, all := s.follow("tail", "--room", "news", "--payload", "--count", "1"), s.follow("tail", "--json", "--for", "2m", "--count", "2")
	// Until both watch: who does not yet has missed what was sent.
	for end := time.Now().Add(process.Patience); ; time.Sleep(50 * time.Millisecond) {
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

	eventually(t, "a second to pass", func() bool { // whose numbers have the listener in them
		_, out, _ := s.run("status")
		return strings.Contains(out, "socket.io poosh: 1 connected\n")
	})
	out := s.wants(0, "ready         yes\nversion       v0.0.0-test\nclients       1 connections of ", "", "status")
	if strings.Contains(out, " 0 of ") && strings.Contains(out, "open files    0") {
		t.Error(out)
	}
	var st struct {
		Status string
		overview.Overview
	}
	out = s.wants(0, "{", "", "status", "--json")
	if err := json.Unmarshal([]byte(out), &st); err != nil || st.Status != "ok" || st.Connections.Clients.Open != 1 || st.Connections.Clients.Limit < 1 ||
		st.Traffic.Sends.Total < 1 || st.Waiting.Limit < 1 || st.Process.OpenFiles == nil || *st.Process.OpenFiles < 5 {
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
	// That it cannot be written is known before anybody is asked, and nothing is left of what does not come.
	s.wants(1, "", "poosh: open x.tar.gz: file exists", "bundle", "-o", "x.tar.gz", "--url", "http://127.0.0.1:9")
	s.wants(1, "", "poosh: open nowhere/x.tar.gz: no such", "bundle", "-o", "nowhere/x.tar.gz", "--url", "http://127.0.0.1:9")
	s.wants(4, "", "poosh: no answer from", "bundle", "-o", "y.tar.gz", "--url", "http://127.0.0.1:9")
	s.wants(1, "", "poosh: 127.0.0.1:"+s.ports["CLIENT_PORT"]+" says 404", "bundle", "-o", "y.tar.gz", "--url", "http://127.0.0.1:"+s.ports["CLIENT_PORT"])
	if _, err := os.Stat(filepath.Join(s.dir, "y.tar.gz")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what did not come is there: %v", err)
	}
	nobody, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	toNobody, _, stderr := s.command("bundle", "--seconds", "1", "-o", "-")
	toNobody.Stdout = nobody
	if code := exitCode(t, toNobody); code != 0 {
		t.Errorf("to nobody: exit code %d: %s", code, stderr)
	}

	without := startStation(t, "ADMIN_PORT=")
	without.wants(1, "", "poosh: ADMIN_PORT is not set", "status")
}

// An output that nothing can be written to is complained of once, and ends what goes on.
func TestFullOutput(t *testing.T) {
	s := startStation(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for name, args := range map[string][]string{"tail": {"tail"}, "tail as JSON": {"tail", "--json"}, "listen": {"listen", "--room", "news"}} {
		f := &following{stderr: new(logtest.Buffer), ended: make(chan struct{})}
		f.cmd, _, _ = s.command(args...)
		f.cmd.Stdout, f.cmd.Stderr = full, f.stderr
		if err := f.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { // ends with the process
			_ = f.cmd.Wait()
			close(f.ended)
		}()
		t.Cleanup(func() { _ = f.cmd.Process.Kill(); <-f.ended })
		eventually(t, name+" to end", func() bool {
			s.wants(0, "sent ", "", "send", "--room", "news", "hello")
			select {
			case <-f.ended:
				return true
			default:
				return false
			}
		})
		if code, said := f.code(t), f.stderr.String(); code != 1 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "poosh: write ") {
			t.Errorf("%s: exit code %d, %q", name, code, said)
		}
	}
}

// A server says everywhere which release it is, and not what it would be without one.
func TestServerSaysItsRelease(t *testing.T) {
	s := startStation(t)
	for path, want := range map[string]string{"/metrics": `version="v0.0.0-test"`, "/api/overview": `"version":"v0.0.0-test"`} {
		if text := s.operators(path); !strings.Contains(text, want) {
			t.Errorf("%s does not have %s", path, want)
		}
	}
	s.wants(0, "x.tar.gz, ", "", "bundle", "--seconds", "1", "-o", "x.tar.gz")
	f, err := os.Open(filepath.Join(s.dir, "x.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(unpacked); ; {
		head, err := files.Next()
		if err != nil {
			t.Fatalf("no version.txt: %v", err)
		}
		if path.Base(head.Name) != "version.txt" {
			continue
		}
		if text, err := io.ReadAll(files); err != nil || !strings.Contains(string(text), "poosh v0.0.0-test\n") {
			t.Errorf("%v: %s", err, text)
		}
		return
	}
}

// operators asks the operators' port for a path until it answers.
func (s *station) operators(path string) (text string) {
	s.t.Helper()
	eventually(s.t, path, func() bool {
		req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+s.ports["ADMIN_PORT"]+path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secrets["ADMIN_TOKEN"])
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			s.t.Fatal(err)
		}
		defer res.Body.Close()
		all, err := io.ReadAll(res.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(all)
		return res.StatusCode == http.StatusOK
	})
	return text
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(process.Patience); !is(); time.Sleep(20 * time.Millisecond) {
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
		{"bundle", "--seconds", "1", "-o", "-"}, {"health"}, {"bench", "--clients", "2", "--duration", "100ms"}, {"bench", "--protocol", "pusher", "--clients", "2", "--duration", "100ms", "--json"},
		{"bench", "--sender", "http://127.0.0.1:9", "--clients", "2"}, {"bench", "http://127.0.0.1:9", "--protocol", "pusher"}, {"version", "--json"}, {"help"}, {"--help"}, {"completion", "bash"}, {"socktopus"}, {"nonsense"},
		{"doctor", "http://127.0.0.1:9"}, {"doctor", "http://127.0.0.1:" + s.ports["CLIENT_PORT"], "--json"}, {"import", "/nowhere/soketi.json"},
		{"reload"}, {"reload", "--url", "http://127.0.0.1:9"}, {"drain", "--url", "http://127.0.0.1:9"},
	}
	for _, c := range commandNames(t) {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[0] == c }) {
			t.Errorf("the command %s is not tried", c)
		}
	}
	for _, c := range commandNames(t) {
		rows = append(rows, []string{c, "--help"}, []string{"help", c})
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

// What check warns of is in the log of a server that starts, each once, and it starts.
func TestServeWarnsOfWhatCheckFinds(t *testing.T) {
	s := startStation(t, "SERVER_SECERT=hush", "export X=1", "TRUSTED_PROXIES=0.0.0.0/0", "CLIENT_ORIGINS=https://*.example.com", "MAX_ROOMS=1000000")
	var found struct {
		Errors, Warnings []struct{ Setting, Text string }
	}
	_, out, _ := s.run("check", "--running", "--json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Errors) > 0 || len(found.Warnings) < 5 {
		t.Fatalf("%v: %s", err, out)
	}
	log := s.log.String()
	for _, w := range found.Warnings {
		line := fmt.Sprintf("level=WARN msg=settings warning=%q\n", w.Text)
		if strings.Contains(w.Text, "the limit of open files") { // it says so in its own words
			line = `msg="lowered to what the limit of open files allows" setting=` + w.Setting + " "
		}
		if n := strings.Count(log, line); n != 1 {
			t.Errorf("the log has %d times\n%s", n, line)
		}
	}
	if n := strings.Count(log, "msg=settings"); n > len(found.Warnings) {
		t.Errorf("the log warns of %d, and check of %d\n%s", n, len(found.Warnings), log)
	}
}

// The exit code of check is for scripts.
func TestCheckCommand(t *testing.T) {
	good := []string{"HOST=127.0.0.1", "SERVER_SECRET=correct horse battery staple", "CLIENT_PORT=0", "SERVER_PORT=0", "MAX_CONNECTIONS=50", "MAX_SENDER_CONNECTIONS=50",
		"INPUT_BYTES=16MiB", "ROOM_BYTES=16MiB", "BACKLOG_BYTES=32MiB"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := "CLIENT_PORT=" + strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for name, row := range map[string]struct {
		more []string
		args []string
		code int
		out  string
	}{
		"good":                {nil, nil, 0, "good: nothing is wrong with these settings\n"},
		"good, strictly":      {nil, []string{"--strict"}, 0, "good: "},
		"good, as JSON":       {nil, []string{"--json"}, 0, `{"errors":[],"warnings":[]}` + "\n"},
		"an error":            {[]string{"PING_TIMEOUT=x"}, nil, 1, "error    PING_TIMEOUT is"},
		"a warning":           {[]string{"ADMIN_PORT=0"}, nil, 0, "warning  ADMIN_TOKEN is not set"},
		"a warning, strictly": {[]string{"ADMIN_PORT=0"}, []string{"--strict"}, 1, "warning  ADMIN_TOKEN is not set"},
		"a port in use":       {[]string{taken}, nil, 1, "error    CLIENT_PORT is"},
		"by the server":       {[]string{taken}, []string{"--running"}, 0, "good: "},
		"an argument":         {nil, []string{"now"}, 2, ""},
	} {
		cmd, stdout, stderr := poosh(t, append(slices.Clone(good), row.more...), append([]string{"check"}, row.args...)...)
		if code := exitCode(t, cmd); code != row.code || !begins(stdout, row.out) || (code == 2) != (stderr.Len() > 0) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", name, code, row.code, stdout, stderr)
		}
	}
}
