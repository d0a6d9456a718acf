package attacks_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
)

// Ports that speak TLS have the bounds of others, from the first byte of a handshake on.
func TestOverTLS(t *testing.T) {
	tryAll(t, plentyFiles, []attack{
		{name: "handshakes that do not end", tls: true, run: halfHandshakes, least: 1000},
		{name: "handshakes that come a byte at a time", tls: true, run: slowHandshakes, least: 300, settings: []string{"HEADER_TIMEOUT=2s"}, whole: true},
		{name: "what is no handshake, or one of another kind", tls: true, run: oddHandshakes, least: 500},
		{name: "frames of socket.io without their last bytes", tls: true, run: unfinishedFrames, least: 500, holds: 16 << 20},
		{name: "pings of WebSocket whose answers are not read", tls: true, run: unreadPings(frame(opPing|opFinal, 0, "")), least: 60},
	})
}

// hello is what a client begins with that offers protocols.
func (a *assault) hello(protocols ...string) []byte {
	cfg := a.s.trusts.Clone()
	cfg.NextProtos = protocols
	return certificatetest.Hello(a.t, cfg)
}

// halfHandshakes stop at each point, the last of them where the first request would begin.
func halfHandshakes(a *assault) {
	hello := a.hello("http/1.1")
	a.together(2000, 64, func(i int) error {
		port, address := a.allPorts(i), from(i/5)
		said := [][]byte{nil, hello[:3], hello[:len(hello)/2], hello}
		if n := i / len(a.s.ports()) % (len(said) + 1); n < len(said) {
			c, err := a.socket(port, address)
			if err == nil {
				_, err = c.Write(said[n])
			}
			return err
		}
		_, err := a.dial(port, address)
		return err
	})
	a.hold()
}

// slowHandshakes write a byte of a hello every 50 ms. The time for a handshake is over
// meanwhile, and then they are gone although they still write.
func slowHandshakes(a *assault) {
	const n = 300
	hello := bytes.Repeat(a.hello("http/1.1")[:200], 2) // of which less comes in all the time that there is
	a.together(n, n, func(i int) error {
		c, err := a.socket(a.allPorts(i), from(i/5))
		if err != nil {
			return err
		}
		return a.trickle(c, hello)
	})
	if still := a.done.Load(); still > 0 {
		a.t.Errorf("%d of %d handshakes were waited for longer than HEADER_TIMEOUT", still, n)
	}
}

// oddHandshakes are refused, each at once and by the end of its connection.
func oddHandshakes(a *assault) {
	const plain = "POST /send HTTP/1.1\r\nHost: attacks\r\nContent-Length: 100000\r\n\r\n"
	record := func(kind byte, length int, text string) string {
		return string([]byte{kind, 3, 1, byte(length >> 8), byte(length)}) + text
	}
	handshake := func(kind byte, length int, text string) string {
		text = string([]byte{kind, byte(length >> 16), byte(length >> 8), byte(length)}) + text
		return record(22, len(text), text)
	}
	whole := string(a.hello("http/1.1"))
	said := map[string]string{
		"HTTP without TLS":            plain + strings.Repeat("x", 2000),
		"rubbish":                     strings.Repeat("\x00\xff\x80", 100),
		"another protocol's greeting": "SSH-2.0-OpenSSH_9.2\r\n",
		"a hello of SSL 2":            "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + strings.Repeat("\x01", 40),
		"data before a handshake":     record(23, 100, strings.Repeat("x", 100)),
		"an alert before a handshake": record(21, 2, "\x02\x28"),
		"a record that is too long":   record(22, 1<<16-1, strings.Repeat("\x01", 20_000)),
		"a hello that is too long":    handshake(1, 1<<24-1, strings.Repeat("\x00", 10_000)),
		"a server's hello":            handshake(2, 4, "\x03\x03\x00\x00"),
		"an empty hello":              handshake(1, 0, ""),
		"rubbish behind a hello":      whole + strings.Repeat("\x16\x03\x03\x00\x00", 100),
		"HTTP behind a hello":         whole + plain,
		"HTTP/2 alone":                string(a.hello("h2")),
		"a name of an authority":      string(a.hello("acme-tls/1")),
	}
	var names []string
	for name := range said {
		names = append(names, name)
	}
	a.together(1_000_000, 32, func(i int) error {
		name := names[i%len(names)]
		c, err := a.socket(a.allPorts(i/len(names)), from(i))
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if a.ctx.Err() != nil {
			return a.ctx.Err()
		}
		_, _ = io.WriteString(c, said[name]) // it may be closed before all is said
		answer, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) && a.ctx.Err() == nil {
			a.t.Errorf("%s: the connection is still open", name)
		}
		if name == "HTTP without TLS" && err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
			a.t.Errorf("%s: answered %q", name, answer)
		}
		return nil
	})
}
