package tls

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/certificate/certificatetest"
	"poosh/test/process"
)

// usage is what a process has used: processor time, and memory.
func usage(b *testing.B, pid int) (cpu time.Duration, resident int) {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	for _, i := range []int{11, 12} { // utime and stime, in hundredths of a second
		n, _ := strconv.Atoi(fields[i])
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	pages, _ := strconv.Atoi(fields[21])
	return cpu, pages * os.Getpagesize()
}

// BenchmarkCosts tells what TLS costs the server: memory of an idle connection, processor
// time of a connection that comes and of a delivery.
func BenchmarkCosts(b *testing.B) {
	program, err := process.Build(b.TempDir(), false)
	if err != nil {
		b.Fatal(err)
	}
	for _, scheme := range []string{"ws", "wss"} {
		b.Run(scheme, func(b *testing.B) {
			const clients = 500
			a := certificatetest.New(b)
			s := &site{client: freePort(b), sender: freePort(b)}
			cmd := exec.Command(program)
			cmd.Dir = b.TempDir()
			cmd.Env = append(cmd.Environ(), "HOST=127.0.0.1", "SERVER_SECRET="+secret, "LOG_LEVEL=warn",
				"CLIENT_PORT="+strconv.Itoa(s.client), "SERVER_PORT="+strconv.Itoa(s.sender))
			if scheme == "wss" {
				cert, key, _ := a.Write(cmd.Dir, "push.example.com")
				cmd.Env = append(cmd.Env, "TLS_CERT="+filepath.Base(cert), "TLS_KEY="+filepath.Base(key))
			}
			start(b, cmd)
			trusts := a.Client()
			trusts.ClientSessionCache = nil
			dialer := websocket.Dialer{TLSClientConfig: trusts, HandshakeTimeout: patience}
			heard := make(chan struct{}, clients)
			open := func() *websocket.Conn {
				ws, _, err := dialer.Dial(scheme+"://"+addr(s.client)+"/socket.io/?EIO=3&transport=websocket", nil)
				if err != nil {
					b.Fatal(err)
				}
				return ws
			}
			eventually(b, "the server", func() bool {
				ws, _, err := dialer.Dial(scheme+"://"+addr(s.client)+"/socket.io/?EIO=3&transport=websocket", nil)
				if err == nil {
					ws.Close()
				}
				return err == nil
			})
			time.Sleep(300 * time.Millisecond)
			cpu0, mem0 := usage(b, cmd.Process.Pid)
			for range clients {
				ws := open()
				defer ws.Close()
				go func() { // ends with the connection
					for {
						_, text, err := ws.ReadMessage()
						if err != nil {
							return
						}
						if strings.HasPrefix(string(text), "42") {
							heard <- struct{}{}
						}
					}
				}()
			}
			time.Sleep(time.Second)
			cpu1, mem1 := usage(b, cmd.Process.Pid)
			events := 0
			for b.Loop() {
				if err := s.send("http", (*tls.Config)(nil), "x"); err != nil {
					b.Fatal(err)
				}
				for range clients {
					<-heard
				}
				events++
			}
			cpu2, _ := usage(b, cmd.Process.Pid)
			b.ReportMetric(float64((cpu1-cpu0).Microseconds())/clients, "cpu-µs/connect")
			b.ReportMetric(float64(mem1-mem0)/clients, "B/connection")
			b.ReportMetric(float64((cpu2-cpu1).Nanoseconds())/float64(events*clients)/1000, "cpu-µs/delivery")
		})
	}
}
