package passing

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func dialTo(t testing.TB, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func readAll(t testing.TB, nc net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(nc)
	if err != nil && len(b) == 0 {
		return err.Error()
	}
	return string(b)
}

// dead is an address where nobody listens.
func dead(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func helloTo(name string) *hello {
	return &hello{kind: kindLink, from: "nodeAA", to: name, at: time.Now().UnixMilli(), nonce: newNonce()}
}

// TestRefused: who has not signed what it asks, or asks for something else, is refused and counted.
func TestRefused(t *testing.T) {
	_, b := pair(t)
	text := func(h *hello, secret string) string { return string(h.write(nil, secret)) }
	with := func(change func(*hello)) string {
		h := helloTo("nodeBB")
		change(h)
		return text(h, testSecret)
	}
	after := func(old, next string) string {
		return strings.Replace(text(helloTo("nodeBB"), testSecret), old, next, 1)
	}
	replayed := text(helloTo("nodeBB"), testSecret)
	nc := dialTo(t, b.inner)
	_, _ = io.WriteString(nc, replayed)
	if head, err := readHead(bufio.NewReader(nc)); err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		t.Fatalf("a good one got %q, %v", head, err)
	}
	socket := &hello{kind: kindWebSocket, from: "nodeAA", to: "nodeBB", port: testPort, remote: "192.0.2.1:7", at: time.Now().UnixMilli(), body: []byte("GET / HTTP/1.1\r\n\r\n")}
	signed := func(change func(h *hello)) string { // changed behind the signature
		h := *socket
		h.nonce = newNonce()
		sum := hex.EncodeToString(h.signature(testSecret))
		change(&h)
		return strings.Replace(text(&h, testSecret), hex.EncodeToString(h.signature(testSecret)), sum, 1)
	}
	tests := map[string]struct {
		said string
		why  refusal
	}{
		"a page":                     {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", refusedRequest},
		"a client":                   {"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n", refusedRequest},
		"no HTTP":                    {"\x16\x03\x01\x02\x00\n\r\n\r\n", refusedRequest},
		"a head without end":         {"POST " + helloPath + " HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 5000), refusedRequest},
		"a head of many lines":       {"POST " + helloPath + " HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: x\r\n", 2000), refusedRequest},
		"a body that is too large":   {after("Content-Length: 0", "Content-Length: 99999999"), refusedRequest},
		"chunks":                     {after("Content-Length: 0", "Transfer-Encoding: chunked"), refusedRequest},
		"no time":                    {after("Poosh-Time: ", "Poosh-Time: x"), refusedRequest},
		"no number":                  {after("Poosh-Nonce: ", "Poosh-Nonce: x"), refusedRequest},
		"another secret":             {text(helloTo("nodeBB"), "another secret of somebody"), refusedSignature},
		"no secret":                  {text(helloTo("nodeBB"), ""), refusedSignature},
		"a signature cut off":        {after("Poosh-Signature: ", "Poosh-Signature: 00"), refusedRequest},
		"another sender":             {after("nodeAA", "nodeCC"), refusedSignature},
		"another target":             {after("nodeBB", "nodeCC"), refusedSignature},
		"for another":                {text(helloTo("nodeCC"), testSecret), refusedTarget},
		"an old one":                 {with(func(h *hello) { h.at -= (skew + time.Second).Milliseconds() }), refusedTime},
		"one of the future":          {with(func(h *hello) { h.at += (skew + 10*time.Second).Milliseconds() }), refusedTime},
		"one that came before":       {replayed, refusedReplay},
		"another kind":               {with(func(h *hello) { h.kind = "other" }), refusedRequest},
		"a link with a body":         {with(func(h *hello) { h.body = []byte("x") }), refusedRequest},
		"another port":               {signed(func(h *hello) { h.port = "SERVER_PORT" }), refusedSignature},
		"another client":             {signed(func(h *hello) { h.remote = "192.0.2.2:7" }), refusedSignature},
		"another request":            {signed(func(h *hello) { h.body = []byte("GET /x HTTP/1.1\r\n\r\n") }), refusedSignature},
		"another time":               {signed(func(h *hello) { h.at++ }), refusedSignature},
		"no such port":               {with(func(h *hello) { *h = *socket; h.nonce = newNonce(); h.port = "X" }), refusedPort},
		"a client without address":   {with(func(h *hello) { *h = *socket; h.nonce = newNonce(); h.remote = "x" }), refusedRequest},
		"a WebSocket with no client": {with(func(h *hello) { *h = *socket; h.nonce = newNonce(); h.remote = "" }), refusedRequest},
	}
	for name, tt := range tests {
		before := b.node.count.refused.Get(tt.why)
		nc := dialTo(t, b.inner)
		_, _ = io.WriteString(nc, tt.said)
		got := readAll(t, nc)
		// Of one with much unread the kernel may cut off the answer.
		if !strings.HasPrefix(got, "HTTP/1.1 403 ") && !strings.Contains(got, "reset") {
			t.Errorf("%s: got %q", name, got)
		}
		if after := b.node.count.refused.Get(tt.why); after != before+1 {
			t.Errorf("%s: refused for %s is %d, was %d: %q", name, refusalNames[tt.why], after, before, got)
		}
	}
	if got := b.node.count.served.All(); len(got) > 0 {
		t.Errorf("served %v", got)
	}
}

// TestSlowHello: who does not go on has Timeout.
func TestSlowHello(t *testing.T) {
	nodes := newTable()
	b := serve(t, "nodeBB", nodes, func(o *Options) { o.Timeout = 300 * time.Millisecond })
	for _, said := range []string{"", "POST ", "POST " + helloPath + " HTTP/1.1\r\nHost", strings.Replace(string((&hello{kind: kindWebSocket, to: "nodeBB", nonce: newNonce()}).write(nil, testSecret)), "Content-Length: 0", "Content-Length: 1000", 1) + "x"} {
		nc := dialTo(t, b.inner)
		_, _ = io.WriteString(nc, said)
		if got := readAll(t, nc); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
			t.Errorf("%q: got %q", said, got)
		}
	}
}

// A fake is a node of a test's own, with the cluster's secret.
type fake struct {
	net.Conn
	in   *unsealer
	seal *seal
}

// fakeNode listens as a node does and gives each link to do, on a goroutine that ends with it.
func fakeNode(t testing.TB, name string, nodes *table, do func(*fake)) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nodes.set(name, ln.Addr().String())
	t.Cleanup(func() { _ = ln.Close() })
	go func() { // ends with ln
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with nc, at the latest with the test's patience
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(patience))
				h, _, err := readHello(bufio.NewReader(nc))
				if err != nil {
					return
				}
				nonce := newNonce()
				_, _ = nc.Write(greeting(nonce, proof(testSecret, h.from, h.to, h.nonce, nonce)))
				asks, answers := keys(testSecret, h.from, h.to, h.nonce, nonce)
				do(&fake{nc, &unsealer{seal: newSeal(asks)}, newSeal(answers)})
			}()
		}
	}()
}

// next waits for a request, and returns its number.
func (f *fake) next() (id uint64) {
	b := make([]byte, 64<<10)
	for id == 0 {
		n, err := f.Read(b)
		if err != nil || !f.in.feed(b[:n], func(kind byte, of uint64, _ []byte) bool {
			if kind == frameRequest {
				id = of
			}
			return true
		}) {
			return 0
		}
	}
	return id
}

// sealed is a whole answer.
func (f *fake) sealed(id uint64, text string) []byte {
	b := append(appendAnswerHead(newFrame(frameAnswer, id, 0), 200, http.Header{}), text...)
	b[3], b[2], b[1] = byte(len(b)-lengthSize), byte((len(b)-lengthSize)>>8), byte((len(b)-lengthSize)>>16)
	return append(b, f.seal.of(b[lengthSize:])...)
}

// TestPeers are nodes that do not do their part: who asks is told within the time there is for it.
func TestPeers(t *testing.T) {
	waitForEnd := func(f *fake) { _, _ = io.Copy(io.Discard, f) }
	tests := map[string]func(*fake){
		"silent":                waitForEnd,
		"gone at once":          func(*fake) {},
		"gone behind a request": func(f *fake) { f.next() },
		"gone within an answer": func(f *fake) { _, _ = f.Write(f.sealed(f.next(), "hello")[:20]) },
		"an answer changed": func(f *fake) {
			b := f.sealed(f.next(), "hello")
			b[len(b)-macSize-1]++
			_, _ = f.Write(b)
			waitForEnd(f)
		},
		"an answer of elsewhere": func(f *fake) { f.seal.next++; _, _ = f.Write(f.sealed(f.next(), "hello")); waitForEnd(f) },
		"no answer":              func(f *fake) { _, _ = f.Write(bytes.Repeat([]byte{0xFF}, 100)); waitForEnd(f) },
		"nothing in it":          func(f *fake) { _, _ = f.Write(make([]byte, 100)); waitForEnd(f) },
	}
	for name, do := range tests {
		t.Run(name, func(t *testing.T) {
			nodes := newTable()
			a := serve(t, "nodeAA", nodes, func(o *Options) { o.Timeout = 500 * time.Millisecond })
			fakeNode(t, "nodeBB", nodes, do)
			got := a.ask("GET", "EIO=4&sid=nodeBBxxxxxxxxxxxxxxxxxxxx", "")
			if got.status != http.StatusBadGateway || !strings.Contains(got.body, "out of reach") {
				t.Errorf("got %d %q", got.status, got.body)
			}
		})
	}
	t.Run("good", func(t *testing.T) { // or the others show nothing
		nodes := newTable()
		a := serve(t, "nodeAA", nodes)
		fakeNode(t, "nodeBB", nodes, func(f *fake) { _, _ = f.Write(f.sealed(f.next(), "hello")); waitForEnd(f) })
		if got := a.ask("GET", "EIO=4&sid=nodeBBxxxxxxxxxxxxxxxxxxxx", ""); got.status != 200 || got.body != "hello" {
			t.Errorf("got %d %q", got.status, got.body)
		}
	})
}

// TestOutOfReach: nobody listens, somebody does who says nothing, or is no node, or has another name or
// secret.
func TestOutOfReach(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	nodes := newTable()
	short := func(o *Options) { o.Timeout = 500 * time.Millisecond }
	a := serve(t, "nodeAA", nodes, short)
	c := serve(t, "nodeCC", nodes, short)
	other := serve(t, "nodeDD", nodes, short, func(o *Options) { o.Secret = func() string { return "another secret" } })
	for i, addr := range []string{dead(t), mute.Addr().String(), c.inner, other.inner, a.http.Addr} {
		name := fmt.Sprintf("nodeX%d", i)
		nodes.set(name, addr)
		for range 2 { // the second at once
			if got := a.ask("GET", "EIO=4&sid="+name+"xxxxxxxxxxxxxxxxxxxx", ""); got.status != http.StatusBadGateway {
				t.Errorf("%s: got %d %q", addr, got.status, got.body)
			}
		}
	}
	if c.node.count.refused.Get(refusedTarget) == 0 || other.node.count.refused.Get(refusedSignature) == 0 {
		t.Errorf("refused %v, %v", c.node.count.refused.All(), other.node.count.refused.All())
	}
}
