package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// polls is how many times a session asks: a session that was lost was lost after 1
// to 300 of them.
const polls = 300

// Java's clients poll often and lose nothing. Some close each TCP connection as soon
// as they have read the answer's last byte.
func TestJavaPollsMany(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{nkzawa, java1, java2} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			d := drive(t, k, map[string]any{"url": s.URL(), "way": "polling", "rooms": []string{plainRoom}})
			d.wait("connect", 1)
			s.waitRoom(t, plainRoom, 1)
			// One after the other, and then in a row, so that they come between polls too.
			for n := range polls {
				s.send(t, plainRoom, "news", fmt.Sprint(n))
				d.wait("event", n+1)
			}
			for n := range polls {
				s.send(t, plainRoom, "news", fmt.Sprint(polls+n))
				time.Sleep(time.Duration(n%5) * time.Millisecond)
			}
			for n, got := range d.wait("event", 2*polls) {
				if got != fmt.Sprint(n) {
					t.Fatalf("event %d arrived as %s", n, got)
				}
			}
			if ends := s.ends(); len(ends) > 0 {
				t.Errorf("sessions ended for %q", ends)
			}
			d.say("close")
			d.wait("closed", 1)
			s.waitEnd(t)
			d.end()
		})
	}
}

// A client that opens a TCP connection for each request, reads the answer by its
// Content-Length and closes at once keeps its session and is given every event, in
// order. Whether the event is there before the poll, comes while it waits, or comes
// in the moment between two polls makes no difference.
func TestPollsOnConnectionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	for _, eio := range []int{3, 4} {
		for _, when := range []string{"before", "meanwhile", "at any time"} {
			t.Run(fmt.Sprintf("EIO %d, events %s", eio, when), func(t *testing.T) {
				t.Parallel()
				s := start(t, "PING_INTERVAL=1m") // it says nothing but what it asks
				c := openPoller(t, s, fmt.Sprintf("EIO=%d&transport=polling&b64=1", eio))
				if eio == 4 {
					c.post(t, "40")
				}
				c.hear(t, "40")
				c.post(t, `42["room","`+plainRoom+`"]`)
				s.waitRoom(t, plainRoom, 1)
				c.take(t, s, when)
				if ends := s.ends(); len(ends) > 0 {
					t.Errorf("sessions ended for %q", ends)
				}
			})
		}
	}
}

// take sends events at the times that when says and polls for them.
func (c *poller) take(t *testing.T, s *server, when string) {
	t.Helper()
	var sending sync.WaitGroup
	defer sending.Wait()
	if when == "at any time" {
		sending.Go(func() {
			for n := range polls {
				if _, err := s.trySend(plainRoom, "news", fmt.Sprint(n)); err != nil {
					t.Errorf("event %d: %v", n, err)
				}
				time.Sleep(time.Duration(n%5) * time.Millisecond / 2)
			}
		})
	}
	sent := 0
	send := func(next int) { // once: an answer may hold something else
		if sent == next {
			s.send(t, plainRoom, "news", fmt.Sprint(next))
			sent++
		}
	}
	for next := 0; next < polls; {
		if when == "before" {
			send(next)
		}
		conn, in := c.ask(t, "GET", "")
		if when == "meanwhile" {
			send(next)
		}
		for _, packet := range c.answer(t, conn, in) {
			if !strings.HasPrefix(packet, `42["news"`) {
				continue
			}
			if want := fmt.Sprintf(`42["news",%d]`, next); packet != want {
				t.Fatalf("heard %s, want %s", packet, want)
			}
			next++
		}
	}
}

// A poller is a session over polling, said request by request, each on a TCP
// connection that it closes as soon as it has read the answer.
type poller struct {
	s     *server
	query string
	head  string   // header lines of every request, each with its end
	eio4  bool     // packets have 0x1e between and no lengths
	first string   // the payload that answered the handshake
	inbox []string // packets that were heard and not asked for
}

// openPoller opens a session. query has b64=1, so that payloads are text.
func openPoller(t *testing.T, s *server, query string, head ...string) *poller {
	t.Helper()
	c := &poller{s: s, query: query, eio4: strings.Contains(query, "EIO=4"), head: strings.Join(head, "")}
	c.first = c.exchange(t, "GET", "")
	c.inbox = c.split(t, c.first)
	sid := c.sid(t)
	c.query += "&sid=" + sid
	return c
}

// sid reads the id from the open packet, which is the first.
func (c *poller) sid(t *testing.T) string {
	t.Helper()
	var open struct{ SID string }
	if len(c.inbox) == 0 || !strings.HasPrefix(c.inbox[0], "0{") || json.Unmarshal([]byte(c.inbox[0][1:]), &open) != nil || open.SID == "" {
		t.Fatalf("the handshake was answered %q, want an open packet", c.first)
	}
	c.inbox = c.inbox[1:]
	return open.SID
}

// ask sends a request on a new connection.
func (c *poller) ask(t *testing.T, method, body string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", c.s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	request := fmt.Sprintf("%s /socket.io/?%s HTTP/1.1\r\nHost: %s\r\n%s", method, c.query, c.s.Addr(), c.head)
	if method == "POST" {
		request += fmt.Sprintf("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(conn, request+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// payload reads the answer to its last byte and closes the connection.
func (c *poller) payload(t *testing.T, conn net.Conn, in *bufio.Reader) string {
	t.Helper()
	defer conn.Close()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	if resp.ContentLength < 0 {
		t.Fatal("the answer has no Content-Length")
	}
	text := make([]byte, resp.ContentLength)
	if _, err := io.ReadFull(in, text); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d %s", resp.StatusCode, text)
	}
	return string(text)
}

func (c *poller) answer(t *testing.T, conn net.Conn, in *bufio.Reader) []string {
	t.Helper()
	return c.split(t, c.payload(t, conn, in))
}

func (c *poller) exchange(t *testing.T, method, body string) string {
	t.Helper()
	conn, in := c.ask(t, method, body)
	return c.payload(t, conn, in)
}

// post sends one packet of ASCII.
func (c *poller) post(t *testing.T, packet string) {
	t.Helper()
	if !c.eio4 {
		packet = fmt.Sprintf("%d:%s", len(packet), packet)
	}
	if got := c.exchange(t, "POST", packet); got != "ok" {
		t.Fatalf("POST %s was answered %q", packet, got)
	}
}

// hear polls until a packet with a prefix has come and returns it.
func (c *poller) hear(t *testing.T, prefix string) string {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		for i, packet := range c.inbox {
			if strings.HasPrefix(packet, prefix) {
				c.inbox = c.inbox[i+1:]
				return packet
			}
		}
		conn, in := c.ask(t, "GET", "")
		c.inbox = c.answer(t, conn, in)
	}
	t.Fatalf("waited %v for a packet %s", patience, prefix)
	return ""
}

// split takes a text payload apart. What the server writes is ASCII, so that bytes
// and characters are the same.
func (c *poller) split(t *testing.T, text string) []string {
	t.Helper()
	if c.eio4 {
		return strings.Split(text, "\x1e")
	}
	var packets []string
	for text != "" {
		var size int
		digits, rest, ok := strings.Cut(text, ":")
		if _, err := fmt.Sscan(digits, &size); err != nil || !ok || len(rest) < size {
			t.Fatalf("not a text payload: %.300q", text)
		}
		packets = append(packets, rest[:size])
		text = rest[size:]
	}
	return packets
}
