// Package cluster drives several built servers that act as one, from outside: three nodes, a
// Redis that is stopped, emptied and cut off, real socket.io clients of every version and
// streams of events, each on another node; and those of Socktopus and of the Push Socket Protocol.
package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"poosh/test/process"
)

// program is the server under test, built once with the race detector.
var program string

// clients are the clients of socket.io, and what drives them.
var clients = filepath.Join("..", "e2e", "npm")

func TestMain(m *testing.M) {
	if process.Listing() {
		os.Exit(m.Run())
	}
	for _, dir := range []string{"e2e/npm", "socktopus", "pushsocket", "pusher"} {
		if _, err := os.Stat(filepath.Join("..", dir, "node_modules")); err != nil {
			fmt.Fprintln(os.Stderr, "test/cluster: the clients are not installed: npm ci --prefix test/"+dir)
			os.Exit(1)
		}
	}
	os.Exit(process.Main(m, "cluster", true, &program))
}
