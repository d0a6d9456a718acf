package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/cluster/resp"
)

// A connection that is cut answers each that waits with an error, once; and then all that is said.
func TestWireCut(t *testing.T) {
	t.Parallel()
	lead := redistest.NewWire(t, redistest.Start(t).Addr)
	w := reach(t, ownLoop(t), at(lead.Addr), &ears{})
	lead.Hold()
	const many = 100
	came := make(chan error, 3*many)
	for range many {
		w.say(resp.AppendCommand(nil, "PING"), &command{want: 1, done: func(_ []reply, err error) { came <- err }}, false)
	}
	inFlight(t, w, many)
	lead.Cut()
	await(t, w.ended, "the end of the wire")
	for range many {
		if err := await(t, came, "an answer to each"); err == nil || err != w.err {
			t.Fatalf("one is answered with %v; the wire ends with %v", err, w.err)
		}
	}
	if err := w.do(t.Context(), "PING").Error(); err == nil || err != w.err {
		t.Errorf("behind the end it answers %v", err)
	}
	w.close(errStopped)
	if w.err == errStopped || len(came) > 0 {
		t.Errorf("it ends twice: %v, and %d are answered again", w.err, len(came))
	}
}

// Once a wire is closed nothing of what comes is handled: close waits for what is being handled just then.
func TestWireIsDeafOnceClosed(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	in, out := make(chan struct{}), make(chan struct{})
	e := &ears{heed: func(_, text string) {
		if text == "1" {
			close(in)
			<-out
		}
	}}
	w := reach(t, ownLoop(t), at(redis.Addr), e)
	if err := w.subscribe(t.Context(), noteSubscribe, []string{"c"}); err != nil {
		t.Fatal(err)
	}
	redis.Do("SPUBLISH", "c", "1")
	await(t, in, "the message")
	closed := make(chan struct{})
	go func() {
		w.close(errStopped)
		close(closed)
	}()
	until(t, "the connection ends", func() bool { return !w.conn.Push([]byte("x")) })
	select {
	case <-w.ended:
		t.Error("it has ended, and something is being handled")
	case <-closed:
		t.Error("it is closed, and something is being handled")
	default:
	}
	close(out)
	await(t, closed, "the end of close")
	before := e.all()
	// As a reader does that had read it before.
	w.Data(w.conn, []byte(">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\n2\r\n"))
	if got := e.all(); !slices.Equal(got, before) {
		t.Errorf("behind the end it heard %q", got[len(before):])
	}
}

// hostile listens as an engine would, and has each that comes served.
func hostile(t testing.TB, serve func(nc net.Conn)) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(time.Minute))
				serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return at(ln.Addr().String())
}

// greeted takes a HELLO, or what else comes at once.
func greeted(nc net.Conn) error {
	_, err := nc.Read(make([]byte, 4<<10))
	return err
}

// What cannot be read, and what nobody asked for, ends a wire, which says what it was. Kinds of pushes that are not
// known are none of that.
func TestWireReadsNoRubbish(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ says, want string }{
		"no protocol":        {"HTTP/1.1 400 Bad Request\r\n\r\n", "what the engine says cannot be read: resp: "},
		"a length that lies": {"$2\r\nabcd\r\n", "what the engine says cannot be read: resp: "},
		"no number":          {"*x\r\n", "what the engine says cannot be read: resp: "},
		"not asked for":      {"+OK\r\n+more\r\n", "the engine answers what nobody asked"},
		"the end":            {"", errEnded.Error()},
		"half of something":  {"$100\r\nabc", errEnded.Error()},
		"other pushes":       {">2\r\n+invalidate\r\n*0\r\n>3\r\n+a\r\n+b\r\n+c\r\n>0\r\n+OK\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := hostile(t, func(nc net.Conn) {
				heard := greeted(nc)
				_, _ = io.WriteString(nc, "%1\r\n+server\r\n+none\r\n")
				if errors.Join(heard, greeted(nc)) != nil { // which is the command
					return
				}
				_, _ = io.WriteString(nc, test.says)
				if test.want != errEnded.Error() {
					_, _ = io.Copy(io.Discard, nc) // until the other side ends it
				}
			})
			e := &ears{}
			w := reach(t, ownLoop(t), url, e)
			got, err := w.do(t.Context(), "PING").ToString()
			if name == "not asked for" || name == "other pushes" {
				if got != "OK" || err != nil {
					t.Errorf("it answers %q, %v", got, err)
				}
			} else if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("it answers %q, %v; want %s", got, err, test.want)
			}
			if test.want == "" {
				return
			}
			await(t, w.ended, "the end of the wire")
			if !strings.HasPrefix(w.err.Error(), test.want) || len(e.all()) > 0 {
				t.Errorf("it ends with %v, and heard %q; want %s", w.err, e.all(), test.want)
			}
		})
	}
}

// A greeting that is not answered, or half, ends with the time that it has.
func TestGreetingEndsInTime(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{"nothing": "", "half of an answer": "%7\r\n$6\r\nserv", "one of two": "+OK\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, ended := make(chan error, 1), make(chan error, 1)
			url := hostile(t, func(nc net.Conn) {
				err := greeted(nc)
				_, _ = io.WriteString(nc, says)
				here <- err
				_, err = io.Copy(io.Discard, nc)
				ended <- err
			})
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() {
				_, err := dialled(t, ctx, url+"/3") // with SELECT
				over <- err
			}()
			if err := await(t, here, "the greeting"); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := await(t, over, "the end of who was called off"); !errors.Is(err, context.Canceled) {
				t.Errorf("it ends with %v", err)
			}
			if err := await(t, ended, "the end of the connection"); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection ends with %v", err)
			}
		})
	}
}

// Who does not know the password is not let in; who does is under its name, in the database that was asked for.
func TestGreeting(t *testing.T) {
	t.Parallel()
	locked := redistest.Start(t, "--requirepass", "open-sesame")
	open := redistest.Start(t)
	for _, test := range []struct{ url, want string }{
		{"redis://:closed-sesame@" + locked.Addr, "WRONGPASS"},
		{"redis://poosh:open-sesame@" + locked.Addr, "WRONGPASS"},
		{at(locked.Addr), "NOAUTH"},
		{at(locked.Addr) + "/3", "NOAUTH"},
		{at(open.Addr) + "/99", "ERR DB index is out of range"},
	} {
		nc, err := dialled(t, t.Context(), test.url)
		if err == nil {
			nc.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v; want %s", test.url, err, test.want)
		}
	}
	l := ownLoop(t)
	w := reach(t, l, "redis://:open-sesame@"+locked.Addr+"/3", &ears{})
	if got := said(t, w, "SET", "k", "v"); got != "OK" {
		t.Errorf("SET: %q", got)
	}
	if got := said(t, w, "CLIENT", "GETNAME"); got != "poosh-of-a-test" {
		t.Errorf("its name is %q", got)
	}
	again := reach(t, l, "redis://default:open-sesame@"+locked.Addr, &ears{})
	if got := said(t, again, "INFO", "keyspace"); !strings.Contains(got, "db3:keys=1,") || strings.Contains(got, "db0") {
		t.Errorf("keys are in %q", got)
	}
}
