// Package systemdtest is, for tests, the socket on which systemd listens to the processes
// that it has started. Only tests import it.
package systemdtest

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second

// A Listener hears what a process tells systemd.
type Listener struct {
	t    testing.TB
	conn *net.UnixConn
	Env  []string // of a process that tells it, as NAME=value
}

// Listen listens in place of systemd, with a watchdog unless that is 0, and sets the
// environment of the test so that it is told.
func Listen(t *testing.T, watchdog time.Duration) *Listener {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = os.RemoveAll(dir)
	})
	l := &Listener{t: t, conn: conn}
	set := func(name, value string) {
		t.Setenv(name, value)
		l.Env = append(l.Env, name+"="+value)
	}
	set("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "")
	if watchdog > 0 {
		set("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	}
	return l
}

// next returns what is told next, or "" when nothing is until then.
func (l *Listener) next(until time.Time) string {
	l.t.Helper()
	_ = l.conn.SetReadDeadline(until)
	b := make([]byte, 4096)
	n, err := l.conn.Read(b)
	if err != nil && !os.IsTimeout(err) {
		l.t.Fatal(err)
	}
	return string(b[:n])
}

// Want waits for the next thing to be told, which must be this.
func (l *Listener) Want(state string) {
	l.t.Helper()
	if got := l.next(time.Now().Add(patience)); got != state {
		l.t.Fatalf("systemd is told %q, want %q", got, state)
	}
}

// WantPrefix waits for the next thing to be told, which must begin with this.
func (l *Listener) WantPrefix(prefix string) {
	l.t.Helper()
	if got := l.next(time.Now().Add(patience)); !strings.HasPrefix(got, prefix) {
		l.t.Fatalf("systemd is told %q, want %q", got, prefix)
	}
}

// WantReload waits for the beginning and the end of a reload, as Type=notify-reload asks for
// them, which must be told next.
func (l *Listener) WantReload() {
	l.t.Helper()
	l.WantPrefix("RELOADING=1\nMONOTONIC_USEC=")
	l.Want("READY=1")
}

// WantAfter waits for something to be told behind any number of another.
func (l *Listener) WantAfter(others, state string) {
	l.t.Helper()
	for end := time.Now().Add(patience); ; {
		switch got := l.next(end); got {
		case state:
			return
		case others:
		default:
			l.t.Fatalf("systemd is told %q, want %q", got, state)
		}
	}
}

// Silence fails the test for whatever is told from after a while until some time later. What
// was told before and not yet read counts too where that while is 0.
func (l *Listener) Silence(after, until time.Duration) {
	l.t.Helper()
	began := time.Now()
	for got := l.next(began.Add(after)); got != ""; got = l.next(began.Add(after)) {
	}
	if got := l.next(began.Add(until)); got != "" {
		l.t.Errorf("systemd is told %q, want nothing", got)
	}
}
