package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/systemd/systemdtest"
	"poosh/test/process"
)

// The program tells systemd that it is ready once its ports are open, and that it ends.
func TestProgramTellsSystemd(t *testing.T) {
	told := systemdtest.Listen(t, 2*time.Second)
	devNull, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer devNull.Close()
	c := startChild(t, devNull, append(told.Env, "SHUTDOWN_TIMEOUT=20s")...)
	told.Want("READY=1")
	c.send(1)
	told.Want("WATCHDOG=1")
	told.Want("WATCHDOG=1")
	c.terminate()
	told.WantAfter("WATCHDOG=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=25000000")
	told.Silence(0, 1100*time.Millisecond)
}

// Ports are the sockets that systemd has opened, by their names, and others are opened as
// always.
func TestSocketActivation(t *testing.T) {
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatal("systemd-socket-activate is not installed: apt-get install systemd")
	}
	addrs := make([]string, 2)
	for i := range addrs {
		addrs[i] = fmt.Sprint("127.0.0.1:", process.FreePort(t))
	}
	cmd := exec.Command(activate, "-l", addrs[0], "-l", addrs[1], "--fdname=SERVER_PORT:ADMIN_PORT",
		"-E", "SERVER_SECRET=thisisthesharedsecret", "-E", "HOST=127.0.0.1", "-E", "CLIENT_PORT=0", "-E", "SERVER_PORT=0", "-E", "ADMIN_PORT=0", program)
	cmd.Dir = t.TempDir()
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // ends with the process
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	client := http.Client{Timeout: process.Patience}
	defer client.CloseIdleConnections()
	ask := func(addr, path string) int { // the first one who connects has the program start
		t.Helper()
		for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
			resp, err := client.Get("http://" + addr + path)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				return resp.StatusCode
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
	}
	if status := ask(addrs[1], "/live"); status != http.StatusOK {
		t.Errorf("ADMIN_PORT answers %d", status)
	}
	if status := ask(addrs[0], "/"); status != http.StatusUnauthorized {
		t.Errorf("SERVER_PORT answers %d", status)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(process.Patience):
		t.Fatal("it does not end")
	}
	for i, setting := range []string{"SERVER_PORT", "ADMIN_PORT"} {
		if want := fmt.Sprintf("setting=%s addr=%s from=systemd", setting, addrs[i]); !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
	}
	if strings.Count(log.String(), "from=systemd") != 2 || !strings.Contains(log.String(), "setting=CLIENT_PORT") {
		t.Errorf("the log is\n%s", &log)
	}
}

// Sockets that the program cannot serve are a mistake at the start.
func TestSocketActivationMistakes(t *testing.T) {
	listener := func() *os.File {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	plain, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	local, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: dir + "/s"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	localFile, err := local.File()
	if err != nil {
		t.Fatal(err)
	}
	defer localFile.Close()
	for _, row := range []struct {
		names string
		files []*os.File
		says  string
	}{
		{"CLIENT_PROT", []*os.File{listener()}, `systemd has a socket named "CLIENT_PROT", which is no port that is on: want FileDescriptorName= in its unit to be one of CLIENT_PORT, SERVER_PORT`},
		{"PUSHER_PORT", []*os.File{listener()}, `"PUSHER_PORT", which is no port that is on`},
		{"", []*os.File{listener()}, "which is no port that is on"},
		{"SERVER_PORT:SERVER_PORT", []*os.File{listener(), listener()}, `two sockets named "SERVER_PORT"`},
		{"SERVER_PORT", []*os.File{plain}, `the socket "SERVER_PORT" of systemd cannot be listened on`},
		{"SERVER_PORT", []*os.File{localFile}, `the socket "SERVER_PORT" of systemd is at `},
	} {
		cmd, _, stderr := poosh(t, []string{"SERVER_SECRET=thisisthesharedsecret", "CLIENT_PORT=0", "SERVER_PORT=0", "HOST=127.0.0.1",
			fmt.Sprintf("LISTEN_FDS=%d", len(row.files)), "LISTEN_FDNAMES=" + row.names})
		// The process is the one that the sockets are for.
		cmd.Args = []string{"sh", "-c", "LISTEN_PID=$$ exec " + cmd.Path}
		cmd.Path = "/bin/sh"
		cmd.ExtraFiles = row.files
		if code := exitCode(t, cmd); code != 1 || !strings.Contains(stderr.String(), row.says) {
			t.Errorf("%q: exit code %d, it says\n%s", row.names, code, stderr)
		}
	}
}
