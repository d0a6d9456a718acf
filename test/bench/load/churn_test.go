//go:build linux

package load

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lobby is a server of one client: it answers joins and leaves as the Pusher protocol
// does and, while the client is inside, sends the events that it is told to.
func lobby(t *testing.T, joined, left func(send func(n int))) Config {
	addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		send := func(n int) { nc.Write(say(string(message(0, n)))) }
		io.WriteString(nc, upgraded)
		nc.Write(say(`{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\"}"}`))
		for {
			switch text := hear(r); {
			case text == "":
				return
			case strings.Contains(text, "pusher:subscribe"):
				nc.Write(say(`{"event":"pusher_internal:subscription_succeeded","channel":"bench","data":"{}"}`))
				joined(send)
			case strings.Contains(text, "pusher:unsubscribe"):
				left(send)
			}
		}
	})
	return Config{Addr: addr, Protocol: Pusher, PayloadSize: 150}
}

// TestVisitorsComeAndGo runs a crowd of one visitor against a server that delivers
// right and against servers that lose an event and deliver one too late.
func TestVisitorsComeAndGo(t *testing.T) {
	never := func(func(int)) {}
	for name, test := range map[string]struct {
		joined, left func(p *Progress) func(func(int))
		want         string
	}{
		"right": {
			func(p *Progress) func(func(int)) {
				return func(send func(int)) {
					n := int(p.begun.Load())
					p.begun.Add(1)
					send(n)
					p.answered.Add(1)
				}
			},
			func(*Progress) func(func(int)) { return never }, "",
		},
		"one is lost": {
			func(p *Progress) func(func(int)) {
				return func(send func(int)) {
					time.Sleep(10 * time.Millisecond) // else it may be one of before the client knew
					p.begun.Add(1)
					p.answered.Add(1)
				}
			},
			func(*Progress) func(func(int)) { return never }, "events were missed",
		},
		"one comes twice": {
			func(p *Progress) func(func(int)) {
				return func(send func(int)) {
					n := int(p.begun.Load())
					p.begun.Add(1)
					send(n)
					send(n)
					p.answered.Add(1)
				}
			},
			func(*Progress) func(func(int)) { return never }, "came twice",
		},
	} {
		t.Run(name, func(t *testing.T) {
			progress := NewProgress(0)
			c, err := NewCrowd(lobby(t, test.joined(progress), test.left(progress)))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.ConnectVisitors(1, 5*time.Second); err != nil {
				t.Fatal(err)
			}
			const operations = 10
			c.BeginChurn(0, progress, 40*time.Millisecond)
			if _, err := c.Pump(5*time.Second, func() bool { return c.Operations() == operations }); err != nil {
				t.Fatal(err)
			}
			c.PauseChurn()
			if _, err := c.Pump(300*time.Millisecond, c.Settled); err != nil {
				t.Fatal(err)
			}
			result, err := c.EndChurn()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if result.Operations != operations || result.Joined.Count() != operations/2 {
				t.Errorf("%d operations, %d answered joins", result.Operations, result.Joined.Count())
			}
			if test.want == "" && result.Received != operations/2 {
				t.Errorf("%d events received", result.Received)
			}
			if err := c.Lost(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSomeClientsCannotLeave(t *testing.T) {
	for _, p := range []Protocol{EIO4, Poll3, Poll4} {
		c := crowd(t, serve(t, func(net.Conn, *bufio.Reader) {}), p)
		if err := c.ConnectVisitors(1, time.Second); !errors.Is(err, ErrNoLeaving) {
			t.Errorf("%v: error %v", p, err)
		}
	}
}

// A client in several rooms has joined once all joins are answered.
func TestClientsJoinAllTheirRooms(t *testing.T) {
	heard := make(chan string, 10)
	answer := make(chan struct{}, 1)
	addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(nc, upgraded)
		nc.Write(say(`{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\"}"}`))
		for range 2 {
			heard <- hear(r)
			<-answer
			nc.Write(say(`{"event":"pusher_internal:subscription_succeeded","data":"{}"}`))
		}
		hear(r)
	})
	c, err := NewCrowd(Config{Addr: addr, Protocol: Pusher, PayloadSize: 150, Rooms: Rooms{Count: 4, Shared: 2}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer <- struct{}{}
	if _, err := c.Connect(1, 300*time.Millisecond); err == nil || c.Len() != 0 {
		t.Errorf("joined with one of two answers: %v", err)
	}
	answer <- struct{}{}
	if _, err := c.Pump(5*time.Second, func() bool { return c.Len() == 1 }); err != nil || c.Len() != 1 {
		t.Errorf("%d clients, %v", c.Len(), err)
	}
	for _, room := range []string{`"bench-0"`, `"shared-0"`} {
		if got := <-heard; !strings.Contains(got, room) {
			t.Errorf("%q does not join %s", got, room)
		}
	}
}
