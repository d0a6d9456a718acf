package main

import (
	"encoding/json"
	"os"
	"path/filepath"
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
	out := s.wants(0, `{"status":"ended","delay_seconds":0,"over_seconds":0,"within_seconds":10,"took_seconds":`, "", "drain", "--wait", "--json")
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
