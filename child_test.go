package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/stalltest"
	"poosh/test/process"
)

// A child is the program, running with Socktopus alone and a log of every request.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	ended  chan struct{}
	client http.Client
}

// startChild starts the program with a file as its standard error and waits until
// it takes connections. The caller still has to close its own end of a pipe.
func startChild(t *testing.T, stderr *os.File, env ...string) *child {
	t.Helper()
	port := strconv.Itoa(process.FreePort(t))
	cmd, _, _ := poosh(t, append(env, "HOST=127.0.0.1", "A_SOCKTOPUS_SECRET=thisisthesharedsecret", "SOCKTOPUS_PORT="+port, "LOG_LEVEL=debug"))
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, url: "http://127.0.0.1:" + port, ended: make(chan struct{}), client: http.Client{Timeout: process.Patience}}
	go func() { // ends with the process
		_ = cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-c.ended
	})
	for end := time.Now().Add(process.Patience); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			conn.Close()
			return c
		}
		if time.Now().After(end) {
			t.Fatal("the program does not listen")
		}
	}
}

// send makes n requests that are each worth a line, and wants them answered.
func (c *child) send(n int) {
	c.t.Helper()
	for i := range n {
		body := strings.NewReader(`{"secretName":"a","secret":"thisisthesharedsecret","messages":[{"recipient":"1"}]}`)
		res, err := c.client.Post(c.url+"/send", "application/json", body)
		if err != nil {
			c.t.Fatalf("send %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != 200 {
			c.t.Fatalf("send %d: %s", i, res.Status)
		}
	}
}

// terminate sends SIGTERM and wants exit code 0 soon.
func (c *child) terminate() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	select {
	case <-c.ended:
	case <-time.After(process.Patience):
		c.t.Fatalf("still there %v after SIGTERM", process.Patience)
	}
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		c.t.Errorf("ended with %v, want exit code 0", c.cmd.ProcessState)
	}
}

// Nobody reads the log: requests are answered, and the end comes.
func TestLogThatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := startChild(t, w)
	w.Close()
	c.send(2000) // more lines than a pipe holds
	c.terminate()
}

// Who read the log is gone: the program is not.
func TestLogWhoseReaderIsGone(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before the start %v", before), func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			if before {
				r.Close()
			}
			c := startChild(t, w)
			w.Close()
			r.Close()
			c.send(50)
			c.terminate()
		})
	}
}

// SIGHUP reads the settings again, without an operators' port too: what is wrong changes
// nothing, and is named.
func TestHangup(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := startChild(t, w)
	w.Close()
	lines := bufio.NewScanner(r)
	until := func(what string) string {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), what) {
				return lines.Text()
			}
		}
		t.Fatalf("the log ends without %q", what)
		return ""
	}
	reload := func(dotenv string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.cmd.Dir, ".env"), []byte(dotenv), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	reload("SOCKTOPUS_MAX_BODY_BYTES=much\nB_SOCKTOPUS_SECRET=short\n")
	for _, name := range []string{"SOCKTOPUS_MAX_BODY_BYTES is", "B_SOCKTOPUS_SECRET is too short"} {
		if line := until("wrong setting"); !strings.Contains(line, name) {
			t.Errorf("the log says %q, want %s", line, name)
		}
	}
	until("nothing has changed")
	reload("SOCKTOPUS_MAX_BODY_BYTES=1KiB\nB_SOCKTOPUS_SECRET=a-secret-of-b-that-is-long\nSOCKTOPUS_MAX_KICKS=7\nPING_INTERVAL=9s\n")
	if line := until("setting not changed"); !strings.Contains(line, "PING_INTERVAL") {
		t.Errorf("the log says %q, want a word about what needs a restart", line)
	}
	if line := until("settings reloaded"); !strings.Contains(line, "changed=3") || !strings.Contains(line, "needs_restart=1") {
		t.Errorf("the log says %q", line)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // ends with the process
	c.send(1)
	res, err := c.client.Post(c.url+"/send", "application/json", strings.NewReader(`{"secretName":"b","secret":"a-secret-of-b-that-is-long","messages":[]}`))
	if err != nil || res.StatusCode != 200 {
		t.Errorf("a name that is new: %v, %v", res, err)
	}
	c.terminate()
}

// A short secret is warned of at the start, and not shown.
func TestShortSecretIsWarnedOf(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := startChild(t, w, "SERVER_SECRET=0123456789", "CLIENT_PORT=0", "SERVER_PORT=0")
	w.Close()
	c.terminate()
	log, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(log); strings.Count(text, "SERVER_SECRET is short") != 1 || strings.Contains(text, "0123456789") {
		t.Errorf("the log is\n%s", text)
	}
}

// A kick that waits for a token to expire is answered when the end begins, and does
// not put it off.
func TestKickAtTheEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := startChild(t, w)
	w.Close()
	const secret = "thisisthesharedsecret"
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(c.url, "http")+"/recieve?token="+auth.NewSocktopus("a", secret, "1", time.Now()), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	answer := make(chan string, 1)
	go func() { // ends with the answer
		res, err := c.client.Post(c.url+"/kick", "application/json", strings.NewReader(`{"secretName":"a","secret":"`+secret+`","connections":["1"]}`))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		answer <- res.Status + " " + string(text)
	}()
	lines := bufio.NewScanner(r)
	for lines.Scan() && !strings.Contains(lines.Text(), "socktopus: kick") {
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // ends with the process
	began, stalled := time.Now(), stalltest.Watch(t)
	c.terminate()
	if took := time.Since(began) - stalled(); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
	if got := <-answer; got != "200 OK 200" {
		t.Errorf("the kick was answered %q", got)
	}
	if _, text, err := ws.ReadMessage(); err != nil || string(text) != "CLOSE" {
		t.Errorf("the client got %q, %v", text, err)
	}
}
