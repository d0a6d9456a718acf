// Package clients_test drives the built server with unmodified clients of other
// languages: socketIO-client, python-socketio and Pysher of Python, the Java clients
// of socket.io of three versions and Pusher's, and rust_socketio. Clients that are in
// no registry, of C++, PHP and microcontrollers, are here by the bytes that they send
// and by what they make of an answer.
//
// Each client runs in a process of its own, a small program of its language in
// python/, java/ or rust/ that prints what the client sees as lines of JSON. test/run
// installs the clients into test/.cache/clients; a missing one is a failure that says
// what installs it. A new client needs such a program, a line in the tables of
// life_test.go or pusher_test.go, and its registry's file: python/NAME.txt, a profile
// in java/pom.xml, or rust/Cargo.toml.
package clients_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"poosh/test/process"
)

// patience is how long a test waits for what should happen at once, on a busy machine
// with the race detector.
const patience = 60 * time.Second

// program is the server under test, built once with the race detector. Setting
// POOSH_E2E_BINARY names another program with the same settings instead, such as
// ../e2e/original/server.js: what holds for both is what clients have relied on.
var program = os.Getenv("POOSH_E2E_BINARY")

// cache is where test/run puts the clients.
var cache = filepath.Join("..", ".cache", "clients")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	complain := func(what, install string) int {
		fmt.Fprintf(os.Stderr, "test/clients: %s: %s\n", what, install)
		return 1
	}
	if process.Listing() {
		return m.Run()
	}
	for _, k := range []kind{socketIOClient, pythonSocketIO4, pythonSocketIO5, nkzawa, java1, java2, rust, pysher, pusherJava} {
		if missing := k.missing(); missing != "" {
			return complain(k.name+" is not installed: there is no "+missing, "test/clients/install")
		}
	}
	if program == "" {
		dir, err := os.MkdirTemp("", "poosh-clients-")
		if err != nil {
			return complain("a directory", err.Error())
		}
		defer os.RemoveAll(dir)
		if program, err = process.Build(dir, true); err != nil {
			return complain("the program", err.Error())
		}
	}
	// The tests wait for heartbeats and restarts most of the time: more of them at once
	// than there are cores, unless somebody asks for another number.
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", "8"); err != nil {
			return complain("test.parallel", err.Error())
		}
	}
	return m.Run()
}
