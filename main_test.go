package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server"
)

// update rewrites the table of docs/settings.md and .env.example, which follow from the
// list of settings.
var update = flag.Bool("update", false, "rewrite what docs/settings.md and .env.example say of the settings")

// program is the built binary.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "poosh-main-")
	if err == nil {
		program = filepath.Join(dir, "poosh")
		var out []byte
		if out, err = exec.Command("go", "build", "-ldflags", "-X main.Version=v0.0.0-test", "-o", program, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, "building poosh:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// poosh returns the program, to be run in an empty directory with nothing but
// env in its environment, and what it will write.
func poosh(t *testing.T, env []string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	cmd = exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{}, env...)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// exitCode runs cmd, which must end by itself, and returns its exit code.
func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	defer hung.Stop()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func TestArguments(t *testing.T) {
	for _, row := range []struct {
		args           []string
		code           int
		stdout, stderr string // how each begins; empty means nothing is written
	}{
		{[]string{"--version"}, 0, "poosh v0.0.0-test (go1.", ""},
		{[]string{"-version"}, 0, "poosh v0.0.0-test (go1.", ""},
		{[]string{"--help"}, 0, "poosh takes events over HTTP", ""},
		{[]string{"-h"}, 0, "poosh takes events over HTTP", ""},
		{[]string{"-help"}, 0, "poosh takes events over HTTP", ""},
		{[]string{"version"}, 0, "poosh v0.0.0-test (go1.", ""},
		{[]string{"version", "--json"}, 0, `{"version":"v0.0.0-test","go":"go1.`, ""},
		{[]string{"help"}, 0, "poosh takes events over HTTP", ""},
		{[]string{"help", "send"}, 0, "NAME:\n   poosh send - sign an event", ""},
		{[]string{"send", "--help"}, 0, "NAME:\n   poosh send - sign an event", ""},
		{[]string{"health", "--help"}, 0, "NAME:\n   poosh health - exit with 0", ""},
		{[]string{"serve", "now"}, 2, "", "poosh: serve has no arguments"},
		{[]string{"version", "now"}, 2, "", `poosh: cannot understand "now": want no arguments`},
		{[]string{"socktopus"}, 2, "", "poosh: want one of the commands of socktopus"},
		{[]string{"socktopus", "tokens"}, 2, "", "poosh: want one of the commands of socktopus"},
		{[]string{"completion"}, 2, "", "poosh: want one of bash, zsh, fish, pwsh"},
		{[]string{"completion", "tcsh"}, 2, "", "poosh: want one of bash, zsh, fish, pwsh"},
		{[]string{"completion", "bash"}, 0, "# This is a shell completion script", ""},
		{[]string{"start"}, 2, "", `poosh: cannot understand "start"`},
		{[]string{"--port=1"}, 2, "", `poosh: cannot understand "--port=1"`},
		{[]string{"--version", "please"}, 2, "", `poosh: cannot understand "--version please"`},
		{[]string{""}, 2, "", `poosh: cannot understand ""`},
	} {
		cmd, stdout, stderr := poosh(t, nil, row.args...)
		code := exitCode(t, cmd)
		if code != row.code || !begins(stdout, row.stdout) || !begins(stderr, row.stderr) {
			t.Errorf("poosh %q: exit code %d, want %d\nstdout: %s\nstderr: %s", row.args, code, row.code, stdout, stderr)
		}
	}
}

func begins(out *bytes.Buffer, want string) bool {
	return strings.HasPrefix(out.String(), want) && (want != "" || out.Len() == 0)
}

func TestHelpNamesEverySetting(t *testing.T) {
	cmd, stdout, _ := poosh(t, nil, "--help")
	if code := exitCode(t, cmd); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	for _, s := range server.Settings() {
		want := "\n  " + s.Name + "\n      " + s.Help
		if s.Default != "" {
			want += " (default " + s.Default + ")"
		}
		if !strings.Contains(stdout.String(), want+"\n") {
			t.Errorf("help lacks %q", want)
		}
	}
}

// The startup cases that end the program before it listens.
func TestStartupMistakes(t *testing.T) {
	const noSecret = "poosh: SERVER_SECRET is not set: you must set it in the .env file or in the environment, at least 10 characters\n"
	const badPort = `poosh: CLIENT_PORT is "70000": want a port number from 1 to 65535, or 0 for any free port` + "\n"
	for _, row := range []struct {
		name   string
		dotenv string
		env    []string
		want   string
	}{
		{"nothing set", "", nil, noSecret},
		{"a secret of blanks", "SERVER_SECRET='          '\n", nil, noSecret},
		{"a short secret", "", []string{"SERVER_SECRET=123456789"}, "poosh: SERVER_SECRET is too short: want at least 10 characters\n"},
		{"a wrong port in .env", "SERVER_SECRET=0123456789\nCLIENT_PORT=70000\n", nil, badPort},
		{"an empty variable falls back to .env", "SERVER_SECRET=0123456789\nCLIENT_PORT=70000\n", []string{"CLIENT_PORT="}, badPort},
		{"two mistakes", "CLIENT_PORT=70000 \n", nil, badPort + noSecret},
	} {
		t.Run(row.name, func(t *testing.T) {
			cmd, stdout, stderr := poosh(t, row.env)
			if row.dotenv != "" {
				if err := os.WriteFile(filepath.Join(cmd.Dir, ".env"), []byte(row.dotenv), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if code := exitCode(t, cmd); code != 1 || stderr.String() != row.want || stdout.Len() != 0 {
				t.Errorf("exit code %d, stdout %q, stderr\n%swant exit code 1 and\n%s", code, stdout, stderr, row.want)
			}
		})
	}
	t.Run("an unreadable .env", func(t *testing.T) {
		cmd, _, stderr := poosh(t, []string{"SERVER_SECRET=0123456789"})
		if err := os.Mkdir(filepath.Join(cmd.Dir, ".env"), 0o700); err != nil {
			t.Fatal(err)
		}
		if code := exitCode(t, cmd); code != 1 || !strings.HasPrefix(stderr.String(), "poosh: read .env: ") || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("exit code %d, stderr %q, want 1 and one line about .env", code, stderr)
		}
	})
}

func TestPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, name := range []string{"CLIENT_PORT", "SERVER_PORT"} {
		env := []string{"HOST=127.0.0.1", "SERVER_SECRET=0123456789", "CLIENT_PORT=0", "SERVER_PORT=0", name + "=" + port}
		cmd, _, stderr := poosh(t, env)
		code := exitCode(t, cmd)
		lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
		last := lines[len(lines)-1]
		if code != 1 || !strings.HasPrefix(last, "poosh: ") || !strings.Contains(last, port) || !strings.Contains(last, "address already in use") {
			t.Errorf("%s: exit code %d, stderr\n%swant 1 and a last line that names port %s as taken", name, code, stderr, port)
		}
	}
}

// Both ways of asking the program to end, with every port chosen by the system.
func TestRunsUntilSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, _, _ := poosh(t, []string{"HOST=127.0.0.1", "CLIENT_PORT=0", "SERVER_PORT=0", "LOG_FORMAT=json"})
			if err := os.WriteFile(filepath.Join(cmd.Dir, ".env"), []byte("SERVER_SECRET=thisisthesharedsecret\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd.Stderr = nil
			pipe, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hung := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
			defer hung.Stop()
			// Two addresses in the log say that both ports are listened on.
			var log []byte
			address := regexp.MustCompile(`127\.0\.0\.1:[1-9][0-9]*`)
			for buf := make([]byte, 4096); len(address.FindAll(log, -1)) < 2; {
				n, err := pipe.Read(buf)
				log = append(log, buf[:n]...)
				if err != nil {
					t.Fatalf("the log ended without two addresses: %v\n%s", err, log)
				}
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var rest bytes.Buffer
			rest.ReadFrom(pipe)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v after %v, want exit code 0\n%s%s", err, sig, log, rest.Bytes())
			}
			if strings.Contains(string(log)+rest.String(), "thisisthesharedsecret") {
				t.Errorf("the secret is in the log:\n%s%s", log, rest.Bytes())
			}
		})
	}
}

// between returns where the text between two marks begins and ends.
func between(t *testing.T, text, from, to string) (int, int) {
	t.Helper()
	i := strings.Index(text, from)
	j := strings.Index(text, to)
	if i < 0 || j < i || strings.Count(text, from) != 1 {
		t.Fatalf("want %q once, and %q behind it", from, to)
	}
	return i + len(from), j
}

// sameFile fails when a file does not hold want, or writes it with -update.
func sameFile(t *testing.T, path, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s does not say what there is; go test . -update writes it. Want\n%s", path, want)
}

func TestTableOfSettings(t *testing.T) {
	const name = "docs/settings.md"
	text := readFile(t, name)
	i, j := between(t, text, "<!-- settings: go test . -update writes this table -->\n", "<!-- end of settings -->")
	var table strings.Builder
	table.WriteString("| setting | default | changes | what it is |\n|---|---|---|---|\n")
	for _, s := range server.Settings() {
		def := "none"
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		changes := "restart"
		if s.Reloads {
			changes = "reload"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", s.Name, def, changes, s.Help)
	}
	sameFile(t, name, text, text[:i]+table.String()+text[j:])
}

// .env.example names every setting once: the three that the Node server had as
// they are, the others as comments with their defaults.
func TestEnvExample(t *testing.T) {
	sameFile(t, ".env.example", readFile(t, ".env.example"), envFile("Copy this file to .env in the directory that poosh is started\n# in;", nil))
}

// The file of settings in packages is that one, with what the service writes in the one
// directory that it may write to.
func TestPackagedEnv(t *testing.T) {
	const path, state = "packaging/linux/poosh.env", "/var/lib/poosh/"
	in := make(map[string]string)
	for _, s := range server.Settings() {
		if s.Name == "PUSH_SOCKET_DB" || s.Name == "ACME_DIR" {
			in[s.Name] = state + s.Default
		}
	}
	if len(in) != 2 {
		t.Fatalf("what the service writes is %v", in)
	}
	sameFile(t, path, readFile(t, path), envFile("The service reads this file, .env in its working\n# directory, as it starts;", in))
}

// envFile is a file of all settings, as comments with their defaults but for some that are
// in force, and those that values has.
func envFile(what string, values map[string]string) string {
	var file strings.Builder
	file.WriteString("# Settings of poosh. " + what + " a variable of the environment that is not empty wins over it.\n" +
		"# A comment needs a line of its own: behind a value it would be part of the value.\n" +
		"# Times: 90s, 1m30s or 90 (seconds). Sizes: bytes, or with KB, MB, GB (1000) or\n" +
		"# KiB, MiB, GiB (1024).\n")
	group := ""
	for _, s := range server.Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&file, "\n# --- %s ---\n", group)
		}
		mark, value := "#", s.Default
		switch s.Name {
		case "CLIENT_PORT", "SERVER_PORT", "SERVER_SECRET":
			mark = ""
		}
		if own, found := values[s.Name]; found {
			mark, value = "", own
		}
		fmt.Fprintf(&file, "\n# %s\n%s%s=%s\n", s.Help, mark, s.Name, value)
	}
	return file.String()
}

// Taken as it is and given a secret, the example means the defaults.
func TestEnvExampleStarts(t *testing.T) {
	raw, err := os.ReadFile(".env.example")
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`(?m)^#?([A-Z_]+)=(.*)$`)
	everything := setting.ReplaceAllString(string(raw), "$1=$2")
	for name, text := range map[string]string{"as it is": string(raw), "every line in force": everything} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".env")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			none := func(string) (string, bool) { return "", false }
			lookup, err := server.WithDotEnv(path, none)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := server.FromEnv(lookup); err == nil || !strings.HasPrefix(err.Error(), "SERVER_SECRET is not set") || strings.Contains(err.Error(), "\n") {
				t.Errorf("without a secret: %v, want a line about SERVER_SECRET alone", err)
			}
			withSecret := func(name string) (string, bool) {
				if name == "SERVER_SECRET" {
					return "thisisthesharedsecret", true
				}
				return lookup(name)
			}
			got, err := server.FromEnv(withSecret)
			if err != nil {
				t.Fatal(err)
			}
			want, err := server.FromEnv(func(name string) (string, bool) {
				if name == "SERVER_SECRET" {
					return "thisisthesharedsecret", true
				}
				return "", false
			})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Values(), want.Values()) {
				t.Errorf("got  %+v\nwant %+v", got.Values(), want.Values())
			}
		})
	}
}
