package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
)

// What the dialects beside Poosh are told to use.
const (
	pusherID, pusherKey, pusherSecret = "3", "278d425bdf160c739803", "7ad3773142a6692b25b8"
	socktopusName, socktopusSecret    = "MyApp", "s3cret of ten"
)

// A fourfold is a server with all dialects on.
type fourfold struct {
	*server
	pusherPort, socktopusPort, pushSocketPort int
	proxies                                   map[string]*proxy // by kind.proxy
	trusts                                    *tls.Config       // of its clients; nil for a server without TLS
}

// startFourfold is start for a server with all dialects.
func startFourfold(t *testing.T, env ...string) *fourfold {
	t.Helper()
	for try := 1; ; try++ {
		f := prepareFourfold(t, env...)
		err := f.launchAll()
		if err == nil {
			t.Cleanup(f.stop)
			return f
		}
		if try == 3 || !strings.Contains(f.log.String(), "address already in use") {
			t.Fatalf("the server did not start: %v\n%s", err, f.log)
		}
	}
}

// A way is a dialect that a server speaks with or without TLS of its own.
type way struct {
	name    string
	dialect *dialect
	tls     bool
}

// ways are all dialects without TLS, and those with such names over TLS too. What TLS
// changes is below the dialects: what takes long is shown with one that is quick.
func ways(overTLS ...string) []way {
	var list []way
	left := len(overTLS)
	for _, d := range dialects() {
		list = append(list, way{d.name, d, false})
		if slices.Contains(overTLS, d.name) {
			list = append(list, way{d.name + " over TLS", d, true})
			left--
		}
	}
	if left > 0 {
		panic(fmt.Sprintf("not all of them are dialects: %q", overTLS))
	}
	return list
}

// everyDialect has the names of all.
func everyDialect() []string {
	var names []string
	for _, d := range dialects() {
		names = append(names, d.name)
	}
	return names
}

// start is startFourfold.
func (w way) start(t *testing.T, env ...string) *fourfold {
	t.Helper()
	if !w.tls {
		return startFourfold(t, env...)
	}
	a := certificatetest.New(t)
	cert, key, _ := a.Write(t.TempDir(), "e2e.example")
	f := startFourfold(t, append(env, "TLS_CERT="+cert, "TLS_KEY="+key)...)
	f.trusts = a.Client()
	return f
}

// url is where a port is.
func (f *fourfold) url(port int) string {
	if f.trusts != nil {
		return "https://" + addr(port)
	}
	return "http://" + addr(port)
}

// socketOf is the socket of a connection.
func socketOf(nc net.Conn) *net.TCPConn {
	if c, ok := nc.(*tls.Conn); ok {
		nc = c.NetConn()
	}
	return nc.(*net.TCPConn)
}

// prepareFourfold chooses ports and settings.
func prepareFourfold(t *testing.T, env ...string) *fourfold {
	t.Helper()
	f := &fourfold{server: &server{t: t, clientPort: freePort(t), serverPort: freePort(t)},
		pusherPort: freePort(t), socktopusPort: freePort(t), pushSocketPort: freePort(t)}
	f.settings = append([]string{
		"CLIENT_PORT=" + strconv.Itoa(f.clientPort),
		"SERVER_PORT=" + strconv.Itoa(f.serverPort),
		"SERVER_SECRET=" + secret,
		"PUSHER_PORT=" + strconv.Itoa(f.pusherPort),
		"PUSHER_APP_ID=" + pusherID, "PUSHER_APP_KEY=" + pusherKey, "PUSHER_APP_SECRET=" + pusherSecret,
		"SOCKTOPUS_PORT=" + strconv.Itoa(f.socktopusPort),
		strings.ToUpper(socktopusName) + "_SOCKTOPUS_SECRET=" + socktopusSecret,
		"SOCKTOPUS_READ_TIMEOUT=5m", // the clients of these tests do not ping
		"PUSH_SOCKET_PORT=" + strconv.Itoa(f.pushSocketPort),
		"HOST=127.0.0.1",
		"SHUTDOWN_TIMEOUT=5s",
	}, env...)
	return f
}

// launchAll is launch that waits for all ports. The last is that of Push Socket.
func (f *fourfold) launchAll() error {
	if err := f.launch(); err != nil {
		return err
	}
	for end := time.Now().Add(patience); !listening(f.pushSocketPort); time.Sleep(time.Millisecond) {
		select {
		case <-f.exited:
			return fmt.Errorf("it ended with %v", f.cmd.ProcessState)
		default:
		}
		if time.Now().After(end) {
			f.cmd.Process.Kill()
			<-f.exited
			return errors.New("it does not listen on PUSH_SOCKET_PORT")
		}
	}
	return nil
}

// numbers are the fields of the status line that are plain numbers, by name.
func (s *server) numbers(t *testing.T) map[string]int {
	t.Helper()
	s.status(t)
	var last string
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "msg=status") && strings.HasSuffix(line, "\n") {
			last = line
		}
	}
	found := make(map[string]int)
	for _, m := range statusField.FindAllStringSubmatch(last, -1) {
		if n, err := strconv.Atoi(m[2]); err == nil {
			found[m[1]] = n
		}
	}
	return found
}

// waitNumbers waits until the status line has all numbers that are wanted.
func (s *server) waitNumbers(t *testing.T, when string, want map[string]int) {
	t.Helper()
	var wrong string
	eventually(t, patience, when, func() bool {
		time.Sleep(80 * time.Millisecond) // the log has a pace of its own
		have := s.numbers(t)
		wrong = ""
		for name, n := range want {
			if got, ok := have[name]; !ok || got != n {
				wrong += fmt.Sprintf(" %s=%d, want %d;", name, got, n)
			}
		}
		return wrong == ""
	}, func() string { return wrong })
}
