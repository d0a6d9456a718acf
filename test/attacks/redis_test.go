package attacks_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/test/process"
)

// redis is where the one Redis is that all servers here read, one after the other: its address.
var redis string

// startRedis starts it, and returns what ends it.
func startRedis() (end func(), err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not installed: apt-get install redis-server")
	}
	port, err := process.Port()
	if err != nil {
		return nil, err
	}
	redis = addr(port)
	cmd := exec.Command(path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.TempDir(),
		"--client-output-buffer-limit", "pubsub 0 0 0") // as it is, it would end a connection to a server that is slower than who attacks it
	if err := process.StartBound(cmd, syscall.SIGKILL); err != nil {
		return nil, err
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for until := time.Now().Add(process.Patience); ; time.Sleep(10 * time.Millisecond) {
		_, err := published("nobody", "nothing")
		if err == nil {
			return end, nil
		}
		if time.Now().After(until) {
			end()
			return nil, fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

// published publishes messages on a channel over a connection of their own, and returns how many
// connections heard the last one.
func published(channel string, messages ...string) (heard int, err error) {
	c, err := net.DialTimeout("tcp", redis, sendPatience)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(sendPatience))
	answers := bufio.NewReader(c)
	for _, m := range messages {
		if _, err := fmt.Fprintf(c, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(channel), channel, len(m), m); err != nil {
			return 0, err
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if heard, err = strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, ":"))); err != nil {
			return 0, fmt.Errorf("Redis answers %q", line)
		}
	}
	return heard, nil
}

// heardBy publishes a message that a server has to hear.
func heardBy(channel, message string) error {
	heard, err := published(channel, message)
	if err == nil && heard == 0 {
		err = errors.New("nobody reads what is published")
	}
	return err
}

// echoDialect is a page with Laravel Echo in a public channel, and what Laravel publishes in Redis.
type echoDialect struct{ s *server }

const echoPrefix = "laravel_database_"

func (echoDialect) name() string { return "echo" }

func (d echoDialect) listen(channel string, got func(int), gone func(error)) (io.Closer, error) {
	return d.s.room(d.s.echoPort, `["subscribe",{"channel":"`+channel+`"}]`, `42["n","`+channel+`",`, got, gone)
}

func (echoDialect) send(_ *http.Client, channel string, n int) error {
	return heardBy(echoPrefix+channel, fmt.Sprintf(`{"event":"n","data":%d,"socket":null}`, n))
}

// emitterDialect is a client of socket.io, and what an emitter publishes in Redis. Its rooms are not
// those of pooshDialect.
type emitterDialect struct{ s *server }

func (emitterDialect) name() string { return "emitter" }

func (emitterDialect) own(room string) string { return room + "-e" }

func (d emitterDialect) listen(room string, got func(int), gone func(error)) (io.Closer, error) {
	return d.s.room(d.s.clientPort, `["room","`+d.own(room)+`"]`, `42["n",`, got, gone)
}

// send writes what @socket.io/redis-emitter does, in msgpack.
func (d emitterDialect) send(_ *http.Client, room string, n int) error {
	room = d.own(room)
	message := "\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa1n\xce" + string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) +
		"\xa3nsp\xa1/\x82\xa5rooms\x91" + string([]byte{0xa0 | byte(len(room))}) + room + "\xa5flags\x80"
	return heardBy("socket.io#/#"+room+"#", message)
}

// Strangers at the port of Laravel Echo, and what other programs publish in the Redis of both dialects.
// What single frames and messages did to the originals is in test/echo and test/emitter.
func TestRedisDialects(t *testing.T) {
	nested := strings.Repeat("[", 100_000)
	tryAll(t, plentyFiles, []attack{
		{name: "frames of Laravel Echo without their last bytes", run: unfinishedEcho, least: 500, holds: 16 << 20},
		{name: "channels of Laravel Echo with long names", run: longEchoes, least: 400, during: roomsAreRefused, settings: []string{"ROOM_BYTES=16MiB"}},
		{name: "private channels of an application that hangs", run: privateEchoes, least: 400, settings: []string{"ECHO_AUTH_URL=" + hanging(t), "ECHO_AUTH_CONCURRENCY=4", "ECHO_AUTH_QUEUE=100"}},
		{name: "messages of Laravel that are none", least: 500, run: messages(echoPrefix+ledgerRoom, "", "null", "{", nested, `{"event":"n","data":`+nested, `{"event":"n"`, "\xff\xfe\x00",
			`{"event":5,"data":1}`, `{"event":"disconnect","data":1}`, `{"event":"n","data":"`+strings.Repeat("x", 300<<10)+`"}`)},
		{name: "messages of emitters that are none", least: 500, run: messages("socket.io#/#"+ledgerRoom+"-e#", "", "\x93", "\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xdb\xff\xff\xff\xffx",
			strings.Repeat("\x91", 100_000), strings.Repeat("\x81\xa1a", 100_000), "\xc1", "\x93\xa7emitter\x83\xa4type\x01\xa3nsp\xa1/\xa4data\x90\x80", strings.Repeat("x", 2<<20))},
	})
}

func unfinishedEcho(a *assault) {
	b := frame(opText|opFinal, packetBytes-10, strings.Repeat("x", packetBytes-20))
	a.sockets(1000, a.s.echoPort, socketIO4, func(c *conn, _ int) error {
		_, err := c.Write(b)
		return err
	})
}

// subscribing are clients in as many channels as one may be in, each with a name of its own.
func subscribing(a *assault, prefix string) {
	a.sockets(1000, a.s.echoPort, socketIO4, func(c *conn, i int) error {
		b := text("40")
		for n := range 200 {
			b = append(b, text(fmt.Sprintf(`42["subscribe",{"channel":"%s%06d.%06d"}]`, prefix, i, n))...)
		}
		_, err := c.Write(b)
		return err
	})
}

func longEchoes(a *assault) { subscribing(a, strings.Repeat("r", 470)) }

func privateEchoes(a *assault) { subscribing(a, "private-") }

// hanging is an application that takes connections and never answers.
func hanging(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // whose backlog takes them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String() + "/broadcasting/auth"
}

// messages publishes each of them again and again, beside what those publish who do nothing wrong.
func messages(channel string, list ...string) func(*assault) {
	return func(a *assault) {
		for a.ctx.Err() == nil {
			if _, err := published(channel, list...); err != nil {
				a.t.Error(err)
				return
			}
			a.done.Add(int64(len(list)))
			select {
			case <-a.ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}
