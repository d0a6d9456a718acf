//go:build unix

package main

import (
	"errors"
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

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/logtest"
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

// activated are all settings of ports, in the order in which systemd has the sockets.
var activated = []string{"CLIENT_PORT", "SERVER_PORT", "PUSHER_PORT", "SOCKTOPUS_PORT", "ECHO_PORT", "PUSH_SOCKET_PORT", "ADMIN_PORT"}

// ofActivated turns all dialects on, at no port of their own.
func ofActivated() (env []string) {
	for _, setting := range activated {
		env = append(env, setting+"=0")
	}
	return append(env, "SERVER_SECRET=thisisthesharedsecret", "HOST=127.0.0.1", "PUSHER_APP_ID=1", "PUSHER_APP_KEY=key",
		"PUSHER_APP_SECRET=thisisthesecretofpusher", "MYAPP_SOCKTOPUS_SECRET=thisisthesecretofsocktopus",
		"ECHO_REDIS=redis://127.0.0.1:9", "SHUTDOWN_TIMEOUT=2s") // a Redis that is away keeps no port closed
}

// Ports are the sockets that systemd has opened, by their names, and others are opened as
// always.
func TestSocketActivation(t *testing.T) {
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Fatal("systemd-socket-activate is not installed: apt-get install systemd")
	}
	for _, names := range [][]string{activated, {"SERVER_PORT", "ADMIN_PORT"}, {"CLIENT_PORT"}} {
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			addrs, args := make(map[string]string), []string{"--fdname=" + strings.Join(names, ":")}
			for _, setting := range names {
				addrs[setting] = fmt.Sprint("127.0.0.1:", process.FreePort(t))
				args = append(args, "-l", addrs[setting])
			}
			for _, set := range ofActivated() {
				args = append(args, "-E", set)
			}
			cmd := exec.Command(activate, append(args, program)...)
			cmd.Dir = t.TempDir()
			log := new(logtest.Buffer)
			cmd.Stderr = log
			ended := begin(t, cmd)
			// The first one who connects has the program start.
			for _, setting := range names {
				answers(t, addrs[setting], setting)
			}
			_ = cmd.Process.Signal(syscall.SIGTERM)
			ends(t, cmd, ended, log)
			for _, setting := range names {
				if want := fmt.Sprintf("setting=%s addr=%s from=systemd", setting, addrs[setting]); !strings.Contains(log.String(), want) {
					t.Errorf("the log does not say %q:\n%s", want, log)
				}
			}
			if strings.Count(log.String(), "from=systemd") != len(names) || strings.Count(log.String(), "msg=listening") != len(activated) {
				t.Errorf("the log is\n%s", log)
			}
		})
	}
}

// What systemd has opened stays open while the program starts anew: who comes meanwhile waits,
// and is served by the next process, on the event loop as elsewhere.
func TestActivatedPortsStayOpen(t *testing.T) {
	var files []*os.File
	addrs := make(map[string]string)
	for _, setting := range activated {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close() // what is open is the file
		defer f.Close()
		files, addrs[setting] = append(files, f), l.Addr().String()
	}
	for range 2 {
		// They come before the process does.
		var ws *websocket.Conn
		waiting := make(chan error, 1)
		go func() { // ends by itself
			var err error
			ws, err = hears(addrs["CLIENT_PORT"], addrs["SERVER_PORT"])
			waiting <- err
		}()
		cmd, _, _ := poosh(t, append(ofActivated(), fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+strings.Join(activated, ":")))
		activate(cmd, files)
		log := new(logtest.Buffer)
		cmd.Stderr = log
		ended := begin(t, cmd)
		if err := <-waiting; err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		_ = cmd.Process.Signal(syscall.SIGUSR1)
		var status string
		eventually(t, "the status line", func() bool {
			_, status, _ = strings.Cut(log.String(), "msg=status")
			return strings.Contains(status, "\n")
		})
		if status, _, _ = strings.Cut(status, "\n"); !strings.Contains(status, " goroutine_connections=0 ") || !strings.Contains(status, " websockets=1 ") {
			t.Errorf("the client that is there is not on the event loop:%s", status)
		}
		_ = ws.Close()
		for _, setting := range activated {
			answers(t, addrs[setting], setting)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ends(t, cmd, ended, log)
		for setting, addr := range addrs { // which the next process finds
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatalf("%s is closed: %v", setting, err)
			}
			_ = c.Close()
		}
	}
}

// activate has a command take files as the sockets that systemd has opened for it.
func activate(cmd *exec.Cmd, files []*os.File) {
	cmd.Args = []string{"sh", "-c", "LISTEN_PID=$$ exec " + cmd.Path} // the process is the one that they are for
	cmd.Path = "/bin/sh"
	cmd.ExtraFiles = files
}

// begin starts a command that ends with the test.
func begin(t *testing.T, cmd *exec.Cmd) (ended chan struct{}) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() { // ends with the process
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	return ended
}

// ends waits until a command has ended well.
func ends(t *testing.T, cmd *exec.Cmd, ended chan struct{}, log *logtest.Buffer) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(process.Patience):
		t.Fatal("it does not end")
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// answers asks a port for something that it alone answers so.
func answers(t *testing.T, addr, setting string) {
	t.Helper()
	want := map[string]struct {
		path   string
		status int
	}{
		"CLIENT_PORT": {"/ready", 200}, "SERVER_PORT": {"/", 401}, "PUSHER_PORT": {"/up/1", 200}, "SOCKTOPUS_PORT": {"/receive", 400},
		"ECHO_PORT": {"/", 200}, "PUSH_SOCKET_PORT": {"/socket.io/?EIO=3&transport=polling", 200}, "ADMIN_PORT": {"/live", 200},
	}[setting]
	client := http.Client{Timeout: process.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(process.Patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get("http://" + addr + want.path)
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want.status {
				t.Errorf("%s answers %s %.200q", setting, resp.Status, text)
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// hears has a client of socket.io come, who waits for the server as long as that takes, and
// an event that reaches it. Without an error the client is still there.
func hears(clients, senders string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{HandshakeTimeout: process.Patience}
	ws, _, err := dialer.Dial("ws://"+clients+"/socket.io/?EIO=3&transport=websocket", nil)
	if err != nil {
		return nil, err
	}
	if err := reaches(senders, ws); err != nil {
		_ = ws.Close()
		return nil, err
	}
	return ws, nil
}

// reaches sends events to a client that has just come until one arrives.
func reaches(senders string, ws *websocket.Conn) error {
	_ = ws.SetReadDeadline(time.Now().Add(process.Patience))
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`42["room","r"]`)); err != nil {
		return err
	}
	end := time.Now().Add(process.Patience)
	for delivered := ""; delivered != "1"; time.Sleep(20 * time.Millisecond) { // until it is in the room
		if time.Now().After(end) {
			return errors.New("the client is not in its room")
		}
		req, err := http.NewRequest("POST", "http://"+senders+"/send", strings.NewReader(`{"room":"r","event":"e","payload":1}`))
		if err != nil {
			return err
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {auth.PooshSign("thisisthesharedsecret", []byte("1"))}}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if delivered = resp.Header.Get("X-Poosh-Delivered"); resp.StatusCode != 200 {
			return fmt.Errorf("a send is answered %s", resp.Status)
		}
	}
	for {
		_, text, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if string(text) == `42["e",1]` {
			return nil
		}
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
		activate(cmd, row.files)
		if code := exitCode(t, cmd); code != 1 || !strings.Contains(stderr.String(), row.says) {
			t.Errorf("%q: exit code %d, it says\n%s", row.names, code, stderr)
		}
	}
}
