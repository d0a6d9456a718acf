package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"poosh/test/documents"
)

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
		text = shownCount.ReplaceAllString(strings.ReplaceAll(text, "v0.0.0-test", "v1.0.0"), "N")
		// What else runs on the machine, and what the server of the test has beside.
		return regexp.MustCompile(`(?m)^(warning  (MAX_CONNECTIONS|INPUT_BYTES).*| +(pusher|socktopus|push socket) .* connected|left .*|  +N of .*|N error.*)\n`).ReplaceAllString(text, "")
	}
	if even(got) != even(shown) {
		t.Errorf("%s prints\n%s\nand the page shows\n%s", b, got, shown)
	}
}
