package e2e

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/test/process"
)

// A cuttingPort passes the connections of a sender on to another port, and cuts most of them.
type cuttingPort struct {
	*process.Front
	to int

	mu   sync.Mutex // guards what follows
	next int        // in cuts
}

// A cut is what becomes of a connection.
type cut int

const (
	passes  cut = iota
	lost        // the request is answered, and the answer cut off
	silent      // the request is answered, and nobody is told: its client runs out of time
	halfway     // a part of the request arrives
	away        // a proxy says that it does not reach the server
	late        // the request is answered, and a proxy has not waited for that
)

// newCuttingPort begins with a cut, and has every second or third connection pass.
func newCuttingPort(t *testing.T, to int) *cuttingPort {
	t.Helper()
	c := &cuttingPort{to: to}
	c.Front = process.Serve(t, c.serve)
	return c
}

func (c *cuttingPort) url() string { return "http://" + addr(c.Port) }

// what says what becomes of the next connection.
func (c *cuttingPort) what() cut {
	c.mu.Lock()
	defer c.mu.Unlock()
	order := []cut{lost, passes, silent, passes, away, halfway, passes, late, lost, halfway, silent, passes, away, late, passes, lost, lost, passes}
	c.next++
	return order[(c.next-1)%len(order)]
}

func (c *cuttingPort) serve(f *process.Front, conn net.Conn) {
	server, err := net.Dial("tcp", addr(c.to))
	if err != nil {
		return
	}
	defer f.Drop(server)
	if !f.Keep(conn, server) {
		return
	}
	what := c.what()
	if what == halfway || what == away {
		b := make([]byte, 64<<10)
		n, _ := conn.Read(b)
		if what == away {
			_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return
		}
		_, _ = server.Write(b[:n/2])
		return
	}
	gone := make(chan struct{}) // the client is
	go func() {                 // ends with either
		defer close(gone)
		_, _ = io.Copy(server, conn)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	// The server has answered: whatever it was sent is done.
	_ = server.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 64<<10)
	n, err := server.Read(b)
	if err != nil {
		return
	}
	switch what {
	case passes:
		_, _ = conn.Write(b[:n])
		_, _ = io.Copy(conn, server)
	case late:
		_, _ = io.WriteString(conn, "HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	case silent:
		<-gone
	}
}

// A sender that retries after a time-out, a connection that was cut, or what a proxy says of a
// server that it does not reach, sends each event once: the class of the example, with curl and with streams, and a script for the Pusher
// API. What it sends is heard by one client, over the bridge.
func TestPHPRetriesSendOnce(t *testing.T) {
	const room, n = "retried", 12
	s := startFourfold(t, "BRIDGE="+pusherID)
	example, script := example("php", "send.php"), filepath.Join("senders", "retry.php")
	for _, way := range []struct {
		name string
		args []string
	}{
		{"curl", []string{script, example, "poosh", newCuttingPort(t, s.serverPort).url() + "/send", secret, room, strconv.Itoa(n)}},
		{"streams", []string{"-d", "disable_functions=curl_init", script, example, "poosh", newCuttingPort(t, s.serverPort).url() + "/send", secret, room, strconv.Itoa(n)}},
		{"Pusher", []string{script, example, "pusher", newCuttingPort(t, s.pusherPort).url(), pusherSecret, room, strconv.Itoa(n), pusherID, pusherKey}},
	} {
		t.Run(way.name, func(t *testing.T) {
			if way.name == "curl" { // the class does without, and would be tested twice
				t.Setenv("WANT_CURL", "1")
			}
			ws, err := joinSocket(s.clientPort, 3, room, "")
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			s.waitRoom(t, room, 1)
			answer := "1\n" // connections
			if way.name == "Pusher" {
				answer = "{}\n"
			}
			if got := runs(t, "", "php", way.args...); got != strings.Repeat(answer, n) {
				t.Errorf("PHP printed %q", got)
			}
			s.send(t, room, "end", "0")
			var heard, want []string
			for i := range n {
				want = append(want, fmt.Sprintf(`42["e",{"n":%d}]`, i+1))
			}
			if _, err := ws.hear(patience, "the end", func(m string) bool {
				if strings.HasPrefix(m, `42["e"`) {
					heard = append(heard, m)
				}
				return strings.HasPrefix(m, `42["end"`)
			}); err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Join(heard, " "), strings.Join(want, " "); got != want {
				t.Errorf("a client heard %s, want %s", got, want)
			}
			ws.Close()
			eventually(t, patience, "nobody in the room", func() bool { return s.send(t, room, "nobody", "0") == 0 })
		})
	}
}

// A sender that finds nobody waits between two tries, so that the server has the time to start.
func TestPHPWaitsForTheServer(t *testing.T) {
	s := startFourfold(t)
	s.stop()
	for _, way := range [][]string{nil, {"-d", "disable_functions=curl_init"}} {
		sent := make(chan string, 1)
		go func() { // ends with the script
			out, err := exec.Command("php", append(way, filepath.Join("senders", "retry.php"), example("php", "send.php"), "poosh", s.serverURL()+"/send", secret, "r", "1")...).CombinedOutput()
			sent <- fmt.Sprintf("%s%v", out, err)
		}()
		time.Sleep(300 * time.Millisecond) // as a server that is restarted
		if err := s.launchAll(); err != nil {
			t.Fatalf("%v\n%s", err, s.log)
		}
		if got := <-sent; got != "0\n<nil>" {
			t.Errorf("with %q PHP printed %s", way, got)
		}
		s.stop()
	}
}
