// Package e2e drives the built server from outside: the binary as a user starts
// it, real socket.io clients of each version in Node and in Chromium, senders in
// PHP, Node and curl, and raw sockets where a rule is about bytes.
//
// It knows the server by its ports, its settings, its exit code and its log
// only. test/run installs the tools it needs; a missing one is a failure.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/test/process"
)

// update rewrites the golden transcripts instead of comparing with them.
var update = flag.Bool("update", false, "rewrite test/testdata/transcripts from what is seen")

// program is the server under test, built once with the race detector. Setting
// POOSH_E2E_BINARY names another program with the same settings instead, such as
// original/server.js.
var program = os.Getenv("POOSH_E2E_BINARY")

// root is the top of the repository, seen from this package.
var root = filepath.Join("..", "..")

// tools are the programs the tests start, each with what installs it.
var tools = []struct{ name, install string }{
	{"node", "apt-get install nodejs npm"},
	{"php", "apt-get install php-cli"},
	{"curl", "apt-get install curl"},
	{"chromium", "apt-get install chromium"},
	{"nginx", "apt-get install nginx-light"},
	{"haproxy", "apt-get install haproxy"},
	{"python3", "apt-get install python3"},
	{"redis-server", "apt-get install redis-server"},
}

func TestMain(m *testing.M) {
	if process.Listing() {
		os.Exit(m.Run())
	}
	os.Exit(run(m))
}

// run prepares what all tests share, runs them and looks for what they left.
func run(m *testing.M) int {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool.name); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: %s is not installed: %s\n", tool.name, tool.install)
			return 1
		}
	}
	if _, err := os.Stat(filepath.Join("npm", "node_modules")); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: the clients are not installed: npm ci --prefix test/e2e/npm")
		return 1
	}
	if program == "" {
		dir, err := os.MkdirTemp("", "poosh-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "poosh")
		build := exec.Command("go", "build", "-race", "-o", program, ".")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "e2e: building the server: %v\n%s", err, out)
			return 1
		}
	}
	before := runtime.NumGoroutine()
	code := m.Run()
	if code == 0 {
		if left := leftovers(before, patience); left != "" {
			fmt.Fprintln(os.Stderr, "e2e: left behind:", left)
			return 1
		}
	}
	return code
}

// leftovers waits for the children and goroutines of the tests to be gone and
// says which are not; empty means none.
func leftovers(before int, patience time.Duration) string {
	var left string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		left = ""
		if pids := children(); len(pids) > 0 {
			left = "child processes " + strings.Join(pids, " ")
		}
		if n := runtime.NumGoroutine(); n > before {
			stacks := make([]byte, 1<<16)
			left += fmt.Sprintf("\n%d goroutines:\n%s", n, stacks[:runtime.Stack(stacks, true)])
		}
		if left == "" {
			return ""
		}
	}
	return left
}

// children lists the ids and names of this process's living children.
func children() []string {
	self := strconv.Itoa(os.Getpid())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []string
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid ...; the name may hold anything.
		text := string(stat)
		closing := strings.LastIndexByte(text, ')')
		if fields := strings.Fields(text[closing+1:]); len(fields) > 1 && fields[1] == self {
			found = append(found, text[:closing+1])
		}
	}
	return found
}
