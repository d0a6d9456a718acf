//go:build unix

package passing

import (
	"bufio"
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

	"poosh/server/socketio"
)

// pollers is how many clients of the benchmark poll at once.
const pollers = 200

// BenchmarkPoll is the processor's time of a GET that waits, and of the POST of a ping by which it is
// answered: at the session's own node, and by way of another one, in that of both nodes. The clients are
// another process.
func BenchmarkPoll(b *testing.B) {
	for _, way := range []string{"local", "passed"} {
		b.Run(way, func(b *testing.B) {
			a, own := pair(b)
			at := own
			if way == "passed" {
				at = a
			}
			args := []string{at.http.Addr}
			for range pollers {
				got := own.ask("GET", "EIO=3&b64=1", "")
				args = append(args, got.body[strings.Index(got.body, own.name):][:26])
			}
			for _, sid := range args[1:] { // what the dialect says first
				own.ask("GET", "EIO=3&b64=1&sid="+sid, "")
			}
			child := exec.Command(os.Args[0], "-test.run=^TestBenchmarkClients$")
			child.Env = append(os.Environ(), fmt.Sprintf("PASSING_CLIENTS=%d %s", b.N, strings.Join(args, " ")))
			in, _ := child.StdinPipe()
			out, _ := child.StdoutPipe()
			child.Stderr = os.Stderr
			if err := child.Start(); err != nil {
				b.Fatal(err)
			}
			r := bufio.NewReader(out)
			line := func() string { text, _ := r.ReadString('\n'); return text }
			if got := line(); got != "ready\n" {
				b.Fatalf("the clients say %q", got)
			}
			before := used(b)
			b.ResetTimer()
			_, _ = io.WriteString(in, "go\n")
			if got := line(); got != "done\n" {
				b.Fatalf("the clients say %q", got)
			}
			b.StopTimer()
			b.ReportMetric(float64((used(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
			_ = in.Close()
			if err := child.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// used is the processor's time of this process.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestBenchmarkClients is the clients of [BenchmarkPoll], and nothing otherwise.
func TestBenchmarkClients(t *testing.T) {
	args := strings.Fields(os.Getenv("PASSING_CLIENTS"))
	if len(args) == 0 {
		return
	}
	var n int
	_, _ = fmt.Sscan(args[0], &n)
	clients := make([]*benchClient, 0, pollers)
	for _, sid := range args[2:] {
		clients = append(clients, newBenchClient(t, args[1], sid))
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, len(clients))
	for i, c := range clients {
		rounds := n / len(clients)
		if i < n%len(clients) {
			rounds++
		}
		go func() { // ends with its rounds
			for range rounds {
				if err := c.round(); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range clients {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("done")
}

// A benchClient polls on one connection and posts on another one, as browsers do.
type benchClient struct {
	get, post     net.Conn
	read, written *bufio.Reader
	gets, posts   []byte
}

func newBenchClient(t *testing.T, addr, sid string) *benchClient {
	c := new(benchClient)
	head := " " + socketio.Path + "?EIO=3&transport=polling&b64=1&t=abcdef&sid=" + sid + " HTTP/1.1\r\nHost: push.example.com\r\nConnection: keep-alive\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\nAccept: */*\r\n" +
		"Origin: https://www.example.com\r\nReferer: https://www.example.com/\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: io=" + sid + "\r\n"
	c.gets = []byte("GET" + head + "\r\n")
	c.posts = []byte("POST" + head + "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 3\r\n\r\n1:2")
	var err error
	if c.get, err = net.Dial("tcp", addr); err == nil {
		c.post, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.read, c.written = bufio.NewReader(c.get), bufio.NewReader(c.post)
	return c
}

// round is one GET that waits, and the POST that has it answered.
func (c *benchClient) round() error {
	if _, err := c.get.Write(c.gets); err != nil {
		return err
	}
	if _, err := c.post.Write(c.posts); err != nil {
		return err
	}
	for _, r := range []*bufio.Reader{c.written, c.read} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		if _ = resp.Body.Close(); err != nil || resp.StatusCode != 200 {
			return fmt.Errorf("%d %q, %v", resp.StatusCode, body, err)
		}
	}
	return nil
}
