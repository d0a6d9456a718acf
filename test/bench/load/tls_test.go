//go:build linux

package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// secure serves connections of TLS with a certificate that nobody has signed.
func secure(t *testing.T, f func(net.Conn, *bufio.Reader)) Config {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	certificates := server.TLS.Certificates
	server.Close()
	addr := serve(t, func(nc net.Conn, _ *bufio.Reader) {
		conn := tls.Server(nc, &tls.Config{Certificates: certificates})
		f(conn, bufio.NewReader(conn))
	})
	return Config{Addr: addr, Protocol: EIO3, PayloadSize: 150, TLS: true}
}

// Clients behind TLS get what comes in records that are cut anywhere, and in a burst
// that no single read takes.
func TestClientsSpeakTLS(t *testing.T) {
	const events = 500
	begin := make(chan struct{})
	origins := make(chan string, 20)
	cfg := secure(t, func(nc net.Conn, r *bufio.Reader) {
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		origins <- request.Header.Get("Origin")
		io.WriteString(nc, upgraded)
		nc.Write(say("40"))
		hear(r)
		<-begin
		var all bytes.Buffer
		for n := range events {
			all.Write(say(string(message(0, n))))
		}
		nc.Write(all.Next(61))
		time.Sleep(10 * time.Millisecond)
		nc.Write(all.Next(40000))
		nc.Write(all.Bytes())
		hear(r)
	})
	c, err := NewCrowd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Connect(20, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	c.Expect(0, events, 1)
	close(begin)
	if all, err := c.Pump(10*time.Second, c.Result().Complete); !all || err != nil {
		t.Fatalf("complete %v, %v", all, err)
	}
	if err := c.Result().Err(); err != nil {
		t.Error(err)
	}
	if origin := <-origins; !strings.HasPrefix(origin, "https://") {
		t.Errorf("a page at %q", origin)
	}
}

func TestRefusedTLSIsAnError(t *testing.T) {
	addr := serve(t, func(nc net.Conn, _ *bufio.Reader) { nc.Close() })
	c, err := NewCrowd(Config{Addr: addr, Protocol: EIO3, PayloadSize: 150, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Connect(3, 5*time.Second); err == nil {
		t.Error("clients joined a server that speaks no TLS")
	}
}
