package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func port(n int) string { return strconv.Itoa(n) }

// blocks returns the fenced blocks of a language in the README.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var found []string
	var block *strings.Builder
	for line := range strings.Lines(read(t, filepath.Join(root, "README.md"))) {
		switch fence := strings.TrimRight(line, "\r\n"); {
		case block == nil && fence == "```"+language:
			block = &strings.Builder{}
		case block != nil && fence == "```":
			found = append(found, block.String())
			block = nil
		case block != nil:
			block.WriteString(line)
		}
	}
	return found
}

// the returns the one block of a language that holds a word.
func the(t *testing.T, language, word string) string {
	t.Helper()
	var found []string
	for _, b := range blocks(t, language) {
		if strings.Contains(b, word) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the README has %d blocks of %s with %q, want one", len(found), language, word)
	}
	return found[0]
}

// moved is a text with a default port replaced by that of the server under test.
func moved(t *testing.T, text, from string, to int) string {
	t.Helper()
	if !strings.Contains(text, "localhost:"+from) {
		t.Fatalf("nothing names localhost:%s in\n%s", from, text)
	}
	return strings.ReplaceAll(text, "localhost:"+from, "127.0.0.1:"+port(to))
}

// The README's own words: its first command starts the server, its page listens
// in a browser, and each of its snippets sends. Only ports and the address of the
// client's script are others.
func TestREADMEWords(t *testing.T) {
	first := blocks(t, "sh")
	if len(first) == 0 || !strings.Contains(first[0], "go run .") {
		t.Fatalf("the first command of the README does not run the server: %q", first)
	}
	s := &server{t: t, clientPort: freePort(t), serverPort: freePort(t), log: &logBuffer{}, exited: make(chan struct{})}
	s.cmd = exec.Command("sh", "-c", first[0])
	s.cmd.Dir = root
	s.cmd.Env = append(os.Environ(), "CLIENT_PORT="+port(s.clientPort), "SERVER_PORT="+port(s.serverPort), "HOST=127.0.0.1")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	// The shell, go and the server it built end together.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT)
		select {
		case <-s.exited:
		case <-time.After(patience):
			syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
			<-s.exited
			t.Errorf("the README's command did not end on an interrupt\n%s", s.log.tail())
		}
	})
	eventually(t, 5*time.Minute, "the README's first command to listen on both ports", func() bool {
		select {
		case <-s.exited:
			t.Fatalf("it ended: %v\n%s", s.cmd.ProcessState, s.log.tail())
		default:
		}
		return listening(s.clientPort) && listening(s.serverPort)
	})

	d := drive(t, "browser.js")
	page := d.open(opening{Version: "1.3.4", Way: "README", HTML: moved(t, withBundle(t, the(t, "html", "<script>")), "8000", s.clientPort)})
	page.shows(t, "connected")

	php := filepath.Join(t.TempDir(), "send.php")
	if err := os.WriteFile(php, []byte(moved(t, the(t, "php", "<?php"), "1337", s.serverPort)), 0o600); err != nil {
		t.Fatal(err)
	}
	const shown = `{"key1":"value1","key2":"value2"}`
	t.Setenv("POOSH_ROOM", "")
	if out := runs(t, "", "php", php); !strings.Contains(out, "sent") || strings.Contains(out, "not") {
		t.Fatalf("the PHP of the README printed %q", out)
	}
	page.shows(t, shown)
	t.Setenv("POOSH_ROOM", "news")
	runs(t, "", "php", php)
	page.shows(t, shown+"\n"+shown)

	runsBlock := func(name, text string) {
		t.Helper()
		if out := runs(t, text, name); !strings.Contains(out, "200") {
			t.Errorf("%s of the README printed %q", name, out)
		}
	}
	runsBlock("sh", strings.Replace(moved(t, the(t, "sh", "curl -i"), "1337", s.serverPort), "curl -i", "curl -sS -i", 1))
	page.shows(t, shown+"\n"+shown+"\n"+`{"key1":"value1"}`)
	runsBlock("node", moved(t, the(t, "js", "createHash"), "1337", s.serverPort))
	page.shows(t, shown+"\n"+shown+"\n"+`{"key1":"value1"}`+"\n"+`{"key1":"value1"}`)
}

// listening reports whether a port takes connections.
func listening(port int) bool {
	c, err := dialFrom(port, "")
	if err != nil {
		return false
	}
	c.Close()
	return true
}
