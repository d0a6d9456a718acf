// Package pusher_test drives the built server's Pusher dialect from outside, with
// the programs that its users have: pusher-js of three major versions in Node and
// in Chromium, Laravel Echo, and the server libraries of Node, Python and Go, and
// the PHP library's way of signing in PHP itself.
//
// A missing tool is a failure that names what installs it.
package pusher_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen at once, on a busy
// machine with the race detector.
const patience = 60 * time.Second

// Programs that are built once.
var program, goSender string

// python has the pusher library.
var python = filepath.Join("..", ".cache", "pusher-venv", "bin", "python")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	complain := func(what, install string) int {
		fmt.Fprintf(os.Stderr, "test/pusher: %s: %s\n", what, install)
		return 1
	}
	for tool, install := range map[string]string{
		"node": "apt-get install nodejs npm", "php": "apt-get install php-cli", "chromium": "apt-get install chromium",
	} {
		if _, err := exec.LookPath(tool); err != nil {
			return complain(tool+" is not installed", install)
		}
	}
	if _, err := os.Stat(filepath.Join("node_modules", "pusher-js-8")); err != nil {
		return complain("the clients are not installed", "npm ci --prefix test/pusher")
	}
	if err := exec.Command(python, "-c", "import pusher").Run(); err != nil {
		return complain("the Python library is not installed",
			"python3 -m venv test/.cache/pusher-venv && test/.cache/pusher-venv/bin/pip install -r test/pusher/requirements.txt")
	}
	dir, err := os.MkdirTemp("", "poosh-pusher-")
	if err != nil {
		return complain("a directory", err.Error())
	}
	defer os.RemoveAll(dir)
	program, goSender = filepath.Join(dir, "poosh"), filepath.Join(dir, "gosender")
	for _, build := range []struct {
		dir  string
		args []string
	}{
		{filepath.Join("..", ".."), []string{"build", "-race", "-o", program, "."}},
		{"gosender", []string{"build", "-o", goSender, "."}},
	} {
		cmd := exec.Command("go", build.args...)
		cmd.Dir = build.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return complain("go build in "+build.dir, fmt.Sprintf("%v\n%s", err, out))
		}
	}
	return m.Run()
}
