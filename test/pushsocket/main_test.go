// Package pushsocket_test drives the built server's Push Socket dialect from
// outside: with socket.io-client of four versions and keys made by the npm package
// axolotl-crypto, with a crowd under SIGKILL, and on a disk that is full.
package pushsocket_test

import (
	"os"
	"testing"
	"time"

	"poosh/test/process"
)

var program string

func TestMain(m *testing.M) {
	os.Exit(process.Main(m, "pushsocket", true, &program, "axolotl-crypto", "sio-1.3.4", "sio-1.7.4", "sio-2.5.0", "sio-4.8.1"))
}

func start(t testing.TB, env ...string) *process.Process {
	t.Helper()
	return process.Start(t, program, "PUSH_SOCKET_PORT", env...)
}

func TestLife(t *testing.T) {
	p := start(t)
	for _, version := range []string{"1.3.4", "1.7.4", "2.5.0", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			t.Run(version+" "+way, func(t *testing.T) {
				process.Node(t, 2*time.Minute, "life.js", p.URL(), version, way)
			})
		}
	}
}

func TestBacklog(t *testing.T) {
	p := start(t)
	for _, client := range [][2]string{{"1.3.4", "polling"}, {"2.5.0", "upgrade"}, {"4.8.1", "polling"}, {"4.8.1", "websocket"}} {
		t.Run(client[0]+" "+client[1], func(t *testing.T) {
			process.Node(t, 2*time.Minute, "backlog.js", p.URL(), client[0], client[1])
		})
	}
}

func TestStatus(t *testing.T) {
	process.Node(t, time.Minute, "status.js", start(t).URL(), "205")
	process.Node(t, time.Minute, "status.js", start(t, "PUSH_SOCKET_NO_PREKEYS_STATUS=200").URL(), "200")
}
