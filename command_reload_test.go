package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"poosh/server"
)

// poosh reload has the server read .env again, and says by its exit code what came of it;
// poosh drain ends it.
func TestReloadAndDrain(t *testing.T) {
	// Fewer than the limit of open files allows on any machine, so that there are no warnings.
	s := startStation(t, "MAX_CONNECTIONS=100", "MAX_CONNECTIONS_PER_ADDRESS=50", "MAX_SENDER_CONNECTIONS=100", "MAX_SENDER_CONNECTIONS_PER_ADDRESS=50")
	path := filepath.Join(s.dir, ".env")
	first := readFile(t, path)
	put := func(lines string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(first+lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.wants(0, "0 settings changed", "", "reload")
	put("MAX_ROOMS=7\n")
	if out := s.wants(0, `changed  MAX_ROOMS is "7", was 200`, "", "reload", "--dry-run"); !strings.Contains(out, "nothing has, since this is a dry run") {
		t.Errorf("a dry run says %q", out)
	}
	s.wants(0, `changed  MAX_ROOMS is "7", was 200`, "", "reload")
	s.wants(0, "0 settings changed", "", "reload")
	put("MAX_ROOMS=8\nPING_INTERVAL=9s\n")
	var done server.Reloaded
	if err := json.Unmarshal([]byte(s.wants(5, `{"dry_run":false`, "", "reload", "--json")), &done); err != nil ||
		len(done.Changed) != 1 || len(done.Restart) != 1 || done.Restart[0].Setting != "PING_INTERVAL" {
		t.Errorf("%v, %+v", err, done)
	}
	put("MAX_ROOMS=many\nPING_INTERVAL=often\n")
	s.wants(1, "", `poosh: MAX_ROOMS is "many"`, "reload")
	done = server.Reloaded{}
	if out := s.wants(1, `{"dry_run":true,"changed":[],"needs_restart":[],"errors":[{`, "", "reload", "--json", "--dry-run"); json.Unmarshal([]byte(out), &done) != nil ||
		len(done.Errors) != 2 || done.Errors[0].Setting != "MAX_ROOMS" || done.Errors[1].Setting != "PING_INTERVAL" {
		t.Errorf("mistakes are %s", out)
	}
	put("")
	// Another token counts when it is read, and until then the one before.
	text := strings.Replace(first, secrets["ADMIN_TOKEN"], "hush-another-of-operators", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.wants(3, "", "poosh: 127.0.0.1:"+s.ports["ADMIN_PORT"]+" refuses the token", "reload")
	cmd, stdout, stderr := s.command("reload")
	cmd.Env = []string{"ADMIN_TOKEN=" + secrets["ADMIN_TOKEN"]}
	if code := exitCode(t, cmd); code != 0 || !strings.Contains(stdout.String(), "ADMIN_TOKEN is another one") {
		t.Errorf("with the token before: %d, %s%s", code, stdout, stderr)
	}
	s.wants(0, "0 settings changed", "", "reload")
	s.wants(2, "", "poosh: cannot understand", "drain", "now")
	out := s.wants(0, `{"status":"ended","delay_seconds":0,"over_seconds":0,"within_seconds":10,"connections":0,"took_seconds":`, "", "drain", "--wait", "--json")
	if out == "" {
		t.Error("drain says nothing")
	}
	s.wants(4, "", "poosh: no answer from", "drain")
	s.wants(4, "", "poosh: no answer from", "reload")
	for _, text := range []string{s.log.String(), out} {
		if strings.Contains(text, "hush") {
			t.Errorf("a secret is shown in %s", text)
		}
	}
}

// What drain says while it waits, on a terminal, and what it says elsewhere.
func TestDrainSays(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Fatal("script is not installed: apt-get install bsdutils")
	}
	for name, row := range map[string]struct {
		terminal bool
		env      string
		args     string
		says     []string // patterns, in this order
		not      string   // part of none of it
	}{
		"a terminal": {true, "NO_COLOR=", "", []string{"^\r\x1b\\[K1 connection left, after [0-9.]+m?s of 30s\r\x1b", "\r\x1b\\[Kended after [0-9.]+s\r\n$"}, "within"},
		"a terminal that is asked for no colours": {true, "NO_COLOR=1", "", []string{"^ended after [0-9.]+s\r\n$"}, "left"},
		"a pipe, waiting":                         {false, "", "--wait", []string{"^ended after [0-9.]+s\n$"}, "left"},
		"a pipe":                                  {false, "", "", []string{"^it ends within 30s\n$"}, "left"},
		"a program":                               {false, "", "--json", []string{`^\{"status":"draining","delay_seconds":2,"over_seconds":0,"within_seconds":30,"connections":1\}\n$`}, "left"},
		"a program, and waits":                    {false, "", "--json --wait", []string{`^\{"status":"ended","delay_seconds":2,"over_seconds":0,"within_seconds":30,"connections":1,"took_seconds":[0-9.]+\}\n$`}, "left"},
		"a terminal of a program":                 {true, "NO_COLOR=", "--json", []string{`^\{"status":"draining"`}, "left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startStation(t, "DRAIN_DELAY=2s", "SHUTDOWN_TIMEOUT=30s")
			s.follow("listen", "--room", "news")
			s.untilTaken("--room", "news", "hello")
			args := append([]string{program, "drain"}, strings.Fields(row.args)...)
			if row.terminal {
				args = []string{"script", "-qec", strings.Join(args, " "), "/dev/null"}
			}
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Dir, cmd.Env = s.dir, []string{"TERM=xterm", row.env, "PATH=" + os.Getenv("PATH")}
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%v: %q", err, out)
			}
			rest := out
			for _, pattern := range row.says {
				at := regexp.MustCompile(pattern).FindIndex(rest)
				if at == nil {
					t.Fatalf("it does not say %q: %q", pattern, out)
				}
				rest = rest[at[1]:]
			}
			if bytes.Contains(out, []byte(row.not)) {
				t.Errorf("it says %q: %q", row.not, out)
			}
		})
	}
}
