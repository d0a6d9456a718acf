//go:build linux

package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/loadtest"
)

// answering is a server that hands the body of each request to f, answers what f
// returns, and counts.
func answering(t *testing.T, f func(body string) string) netip.AddrPort {
	return serve(t, func(nc net.Conn, r *bufio.Reader) {
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, err := io.ReadAll(request.Body)
			if err != nil {
				return
			}
			io.WriteString(nc, f(string(body)))
		}
	})
}

func publishersOf(t *testing.T, cfg PublisherConfig) *Publishers {
	t.Helper()
	cfg.Secret, cfg.PayloadSize, cfg.Timeout = "a secret!!", max(cfg.PayloadSize, 150), 5*time.Second
	p, err := NewPublishers(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

const answerOK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestPublisherWaitsForEachAnswer(t *testing.T) {
	var requests int
	addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
		for {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			io.Copy(io.Discard, request.Body)
			if requests++; requests == 3 {
				io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}")
				continue
			}
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok")
			time.Sleep(5 * time.Millisecond)
			if r.Buffered() > 0 {
				t.Error("a request before the last was answered")
			}
			io.WriteString(nc, "ok")
		}
	})
	p := publishersOf(t, PublisherConfig{Addr: addr, Publishers: 1})
	if s := p.Run(0, 5, 0); s.Events != 2 || s.Err == nil || !strings.Contains(s.Err.Error(), "503") {
		t.Errorf("sent %d events, error %v; want 2 and the 503", s.Events, s.Err)
	}
}

// Each publisher sends its events to all rooms in turn, and a request that the
// kernel does not take at once arrives whole.
func TestPublishersSendToRoomsInTurn(t *testing.T) {
	for _, size := range []int{150, 3 << 20} {
		var mu sync.Mutex // guards count
		count := make(map[string]int)
		addr := answering(t, func(body string) string {
			room, _, _ := strings.Cut(strings.TrimPrefix(body, `{"room":"`), `"`)
			_, payload, _ := strings.Cut(body, `"payload":`)
			if len(payload) != size+1 {
				t.Errorf("a payload of %d bytes", len(payload)-1)
			}
			mu.Lock()
			defer mu.Unlock()
			count[room]++
			return answerOK
		})
		p := publishersOf(t, PublisherConfig{Addr: addr, Publishers: 4, Rooms: Rooms{Count: 8}, PayloadSize: size})
		for _, next := range []int{0, 8} {
			if s := p.Run(next, 8, 0); s.Err != nil || s.Events != 32 || s.Last <= s.First {
				t.Fatalf("%+v", s)
			}
		}
		mu.Lock()
		for room, n := range count {
			if n != 8 {
				t.Errorf("%d events to %s", n, room)
			}
		}
		if len(count) != 8 {
			t.Errorf("events to %d rooms", len(count))
		}
		mu.Unlock()
	}
}

// What a server keeps back is late for whoever waits: events are stamped with the
// time that they were due.
func TestPacedEventsAreStampedWhenTheyAreDue(t *testing.T) {
	const interval, hold = 4 * time.Millisecond, 50 * time.Millisecond
	var stamps []int64
	addr := answering(t, func(body string) string {
		_, payload, _ := strings.Cut(body, `"payload":`)
		at, _, n, _, ok := loadtest.ParsePayload([]byte(payload), loadtest.NewPayload(150).Tail())
		if !ok || n != len(stamps) {
			t.Errorf("event %d of %q", n, body)
		}
		stamps = append(stamps, at)
		if n == 3 {
			time.Sleep(hold)
		}
		return answerOK
	})
	var progress Progress
	p := publishersOf(t, PublisherConfig{Addr: addr, Publishers: 1, Progress: &progress})
	s := p.Run(0, 20, interval)
	if s.Err != nil || len(stamps) != 20 {
		t.Fatalf("%+v, %d events", s, len(stamps))
	}
	for i := range stamps {
		if want := stamps[0] + int64(i)*int64(interval); stamps[i] != want {
			t.Errorf("event %d is stamped %v after the first, want %v", i, time.Duration(stamps[i]-stamps[0]), time.Duration(i)*interval)
		}
	}
	if s.Late < 5 || s.Last-s.First < 19*interval {
		t.Errorf("%d events late in %v", s.Late, s.Last-s.First)
	}
	if b, a := progress.begun.Load(), progress.answered.Load(); b != 20 || a != 20 {
		t.Errorf("%d events begun, %d answered", b, a)
	}
}

func TestPublishersGiveUpOnASilentServer(t *testing.T) {
	addr := serve(t, func(nc net.Conn, _ *bufio.Reader) { io.Copy(io.Discard, nc) })
	p, err := NewPublishers(PublisherConfig{Addr: addr, Publishers: 2, PayloadSize: 150, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if s := p.Run(0, 1, 0); s.Err == nil || !strings.Contains(s.Err.Error(), "no answer") {
		t.Errorf("error %v", s.Err)
	}
}

// A server may end each connection with its answer.
func TestPublishersConnectAgain(t *testing.T) {
	addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nconnection: close\r\nContent-Length: 2\r\n\r\nok")
		nc.Close()
	})
	p := publishersOf(t, PublisherConfig{Addr: addr, Publishers: 2})
	if s := p.Run(0, 5, 0); s.Err != nil || s.Events != 10 {
		t.Errorf("%+v", s)
	}
}
