package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"poosh/test/heads"
)

// A kind is a way in which clients come to their WebSocket. What the server reads
// first is another thing with each; what it promises afterwards is the same.
type kind struct {
	name    string
	proxy   string                          // what stands in front of the server, if anything
	head    func(target, key string) []byte // Chromium's if nil
	pause   bool                            // in the middle of the head
	earlier bool                            // the WebSocket is the second request on its connection
	inTheir bool                            // that first one is what this dialect's clients ask for
}

// kinds are all of them.
func kinds() []kind {
	return []kind{
		{name: "plain", head: plainHead},
		{name: "Chromium"},
		{name: "Firefox", head: filled(heads.FirefoxWebSocket, heads.Values{})},
		{name: "in two halves", pause: true},
		{name: "6 KB of cookies", head: filled(heads.ChromiumWebSocket, heads.Values{Cookie: heads.LongCookie(6 << 10)})},
		{name: "60 lines", head: manyLines},
		{name: "behind a request of its own", earlier: true, inTheir: true},
		{name: "behind a request for something else", earlier: true},
		{name: "nginx", proxy: "nginx"},
		{name: "haproxy", proxy: "haproxy"},
	}
}

func filled(h heads.Head, v heads.Values) func(target, key string) []byte {
	return func(target, key string) []byte {
		all := v
		all.Target, all.Key, all.Host, all.Origin = target, key, "e2e.example", "http://e2e.example"
		return h.Fill(all)
	}
}

func plainHead(target, key string) []byte {
	return []byte("GET " + target + " HTTP/1.1\r\nHost: e2e.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n\r\n")
}

func manyLines(target, key string) []byte {
	head := bytes.TrimSuffix(plainHead(target, key), []byte("\r\n"))
	for i := range 60 - bytes.Count(head, []byte("\n")) + 1 {
		head = fmt.Appendf(head, "X-Site-%d: value %d\r\n", i, i)
	}
	return append(head, "\r\n"...)
}

// sampleKey is the key of RFC 6455, section 1.3, and sampleAccept its answer.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// open connects to a port of the server as clients of the kind do. A first request
// asks for what is given, or for /robots.txt.
func (k kind) open(f *fourfold, port int, target, first string) (*rawSocket, error) {
	if k.proxy != "" {
		port = f.proxies[k.proxy].ports[port]
	}
	nc, err := net.DialTimeout("tcp", addr(port), patience)
	if err != nil {
		return nil, err
	}
	if f.trusts != nil && k.proxy == "" { // proxies have it behind them
		nc = tls.Client(nc, f.trusts)
	}
	ws := &rawSocket{nc, bufio.NewReaderSize(nc, 4<<10)}
	ws.SetDeadline(time.Now().Add(patience))
	if err := k.shake(ws, target, first); err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	ws.SetDeadline(time.Time{})
	return ws, nil
}

// shake shakes hands.
func (k kind) shake(ws *rawSocket, target, first string) error {
	if k.earlier {
		if !k.inTheir {
			first = "/robots.txt"
		}
		if err := ws.earlier(first); err != nil {
			return err
		}
	}
	fill := k.head
	if fill == nil {
		fill = filled(heads.ChromiumWebSocket, heads.Values{})
	}
	head := fill(target, sampleKey)
	if k.pause {
		half := len(head) / 2
		if _, err := ws.Write(head[:half]); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond) // part of what is tested
		head = head[half:]
	}
	if _, err := ws.Write(head); err != nil {
		return err
	}
	resp, err := http.ReadResponse(ws.in, nil)
	if err != nil {
		return fmt.Errorf("answer to the handshake: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != sampleAccept {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("answer to the handshake: %s %v %s", resp.Status, resp.Header, text)
	}
	return nil
}

// earlier asks for something on a connection that is kept.
func (ws *rawSocket) earlier(target string) error {
	head := heads.ChromiumPoll.Fill(heads.Values{Target: target, Host: "e2e.example", Origin: "http://e2e.example"})
	if _, err := ws.Write(head); err != nil {
		return err
	}
	resp, err := http.ReadResponse(ws.in, nil)
	if err != nil {
		return fmt.Errorf("answer to %s: %w", target, err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.Close || strings.EqualFold(resp.Header.Get("Connection"), "close")) {
		err = fmt.Errorf("the answer to %s ends the connection", target)
	}
	return err
}
