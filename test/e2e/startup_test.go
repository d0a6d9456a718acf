package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// once runs the program to its end in a directory of its own with nothing but
// the given environment, and returns what it printed and its exit code.
func once(t *testing.T, dotenv string, env []string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = t.TempDir()
	if dotenv != "" {
		if err := os.WriteFile(filepath.Join(cmd.Dir, ".env"), []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// A start that cannot be ends with exit code 1 and a line that names the setting
// and never the secret.
func TestStartsThatCannotBe(t *testing.T) {
	taken := start(t)
	const good = "SERVER_SECRET=0123456789"
	for name, c := range map[string]struct {
		dotenv string
		env    []string
		says   string
	}{
		"no secret":        {"", nil, "SERVER_SECRET"},
		"secret of blanks": {"SERVER_SECRET=   \n", nil, "SERVER_SECRET"},
		"short secret":     {"", []string{"SERVER_SECRET=hush-hush"}, "SERVER_SECRET"},
		"port taken":       {"", []string{good, "CLIENT_PORT=" + port(taken.clientPort), "SERVER_PORT=" + port(freePort(t)), "HOST=127.0.0.1"}, "CLIENT_PORT"},
		"port too large":   {"CLIENT_PORT=70000\n", []string{good}, "CLIENT_PORT"},
		"port no number":   {"", []string{good, "SERVER_PORT=http"}, "SERVER_PORT"},
		"equal ports":      {"", []string{good, "CLIENT_PORT=9000", "SERVER_PORT=9000"}, "SERVER_PORT"},
	} {
		out, code := once(t, c.dotenv, c.env)
		if code != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit code %d, printed %q; want 1 and %s", name, code, out, c.says)
		}
		if strings.Contains(out, "hush") || strings.Contains(out, "goroutine") {
			t.Errorf("%s: printed %q", name, out)
		}
	}
	for _, arg := range []string{"--version", "--help"} {
		if out, code := once(t, "", nil, arg); code != 0 || out == "" {
			t.Errorf("%s: exit code %d, printed %q", arg, code, out)
		}
	}
}

// Settings come from .env in the working directory where the environment has
// none, and the two addresses are logged.
func TestDotenvInTheWorkingDirectory(t *testing.T) {
	s := &server{t: t, clientPort: freePort(t), serverPort: freePort(t)}
	dotenv := "# a comment\nSERVER_SECRET='" + secret + "'\nHOST=127.0.0.1\nCLIENT_PORT = " + port(s.clientPort) + "\nSERVER_PORT=1\n"
	s.dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(dotenv), 0o600); err != nil {
		t.Fatal(err)
	}
	s.settings = []string{"SERVER_PORT=" + port(s.serverPort), "CLIENT_PORT="}
	if err := s.launch(); err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	t.Cleanup(s.stop)
	// A port answers a moment before the log has its line.
	for _, p := range []int{s.clientPort, s.serverPort} {
		for deadline := time.Now().Add(patience); !strings.Contains(s.log.String(), addr(p)); {
			if time.Now().After(deadline) {
				t.Fatalf("the log does not say that %s is listened on:\n%s", addr(p), s.log)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	next := listens(t, s, "r")
	s.send(t, "r", "e", `"signed with the secret of the file"`)
	next("e")
}
