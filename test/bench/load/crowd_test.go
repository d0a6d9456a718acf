//go:build linux

package load

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// serve accepts connections and hands each to f, until the test ends.
func serve(t *testing.T, f func(net.Conn, *bufio.Reader)) netip.AddrPort {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() { // ends with the listener
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { nc.Close() })
			go f(nc, bufio.NewReader(nc)) // ends with the connection
		}
	}()
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// hear reads a client's frame.
func hear(r *bufio.Reader) string {
	head := make([]byte, 6)
	if _, err := io.ReadFull(r, head); err != nil {
		return ""
	}
	data := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(r, data); err != nil {
		return ""
	}
	for i := range data {
		data[i] ^= head[2+i&3]
	}
	return string(data)
}

// say makes a server's text frame.
func say(data string) []byte {
	if len(data) < 126 {
		return append([]byte{0x81, byte(len(data))}, data...)
	}
	return append([]byte{0x81, 126, byte(len(data) >> 8), byte(len(data))}, data...)
}

func crowd(t *testing.T, addr netip.AddrPort, p Protocol) *Crowd {
	c, err := NewCrowd(Config{Addr: addr, Protocol: p, PayloadSize: 150})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

func TestWebSocketClientsJoinAndCount(t *testing.T) {
	scripts := map[Protocol][]string{ // what the server says, and what it hears after
		EIO3: {`0{"sid":"x"}`, "", "40", `42["room","bench"]`},
		EIO4: {`0{"sid":"x"}`, "40", `40{"sid":"y"}`, `42["room","bench"]`, "2", "3"},
		Centrifuge: {"", `{"id":1,"connect":{"name":"bench"}}`, `{"id":1,"connect":{"client":"x"}}`,
			`{"id":2,"subscribe":{"channel":"bench"}}`, `{"id":2,"subscribe":{}}`, "", "{}", "{}"},
	}
	for p, script := range scripts {
		t.Run(p.String(), func(t *testing.T) {
			heard := make(chan string, 10)
			addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				io.WriteString(nc, upgraded)
				for i := 0; i < len(script); i += 2 {
					if script[i] != "" {
						nc.Write(say(script[i]))
					}
					if script[i+1] != "" {
						if got := hear(r); got != script[i+1] {
							heard <- got
						}
					}
				}
				// Three events, the second in two pieces.
				b := bytes.Join([][]byte{say(string(message(0, 0))), say(string(message(0, 1))), say(string(message(0, 2)))}, nil)
				nc.Write(b[:250])
				time.Sleep(10 * time.Millisecond)
				nc.Write(b[250:])
			})
			c := crowd(t, addr, p)
			if _, err := c.Connect(20, 5*time.Second); err != nil {
				t.Fatal(err)
			}
			c.Expect(0, 3, 1)
			// Some events may have come before they were expected.
			if _, err := c.Pump(500*time.Millisecond, c.Result().Complete); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-heard:
				t.Errorf("a client said %q", got)
			default:
			}
			if tally := c.Result(); tally.lost+tally.damaged > 0 {
				t.Error(tally.Err())
			}
		})
	}
}

func TestEventsInPiecesAreCounted(t *testing.T) {
	begin := make(chan struct{})
	addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(nc, upgraded)
		nc.Write(say("40"))
		hear(r)
		<-begin
		var b []byte
		for n := range 5 {
			b = append(b, say(string(message(0, n)))...)
		}
		for len(b) > 0 {
			piece := min(len(b), 61)
			nc.Write(b[:piece])
			b = b[piece:]
			time.Sleep(time.Millisecond)
		}
	})
	c := crowd(t, addr, EIO3)
	if _, err := c.Connect(3, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	c.Expect(0, 5, 1)
	close(begin)
	if all, err := c.Pump(5*time.Second, c.Result().Complete); !all || err != nil {
		t.Fatalf("complete %v, %v", all, err)
	}
	if err := c.Result().Err(); err != nil {
		t.Error(err)
	}
}

func TestLostConnectionIsAnError(t *testing.T) {
	addr := serve(t, func(nc net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		io.WriteString(nc, upgraded)
		nc.Write(say("40"))
		hear(r)
		nc.Close()
	})
	c := crowd(t, addr, EIO3)
	if _, err := c.Connect(1, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	c.Expect(0, 1, 1)
	if _, err := c.Pump(5*time.Second, c.Result().Complete); err != nil {
		t.Fatal(err)
	}
	if err := c.Result().Err(); err == nil || !strings.Contains(err.Error(), "connections ended") {
		t.Errorf("error %v", err)
	}
}
