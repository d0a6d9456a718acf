package conformance_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/test/heads"
)

// sampleKey is a Sec-WebSocket-Key, and the one that the heads of browsers are filled
// with where none is given.
const sampleKey = "dGhlIHNhbXBsZSBub25jZQ=="

// acceptOf is RFC 6455, section 4.2.2.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// handshake is the one of Chromium, to be changed.
func (d *dialect) handshake() []byte {
	return heads.ChromiumWebSocket.Fill(heads.Values{Target: d.target(), Host: address(d.port), Key: sampleKey})
}

// switched reads an answer that must be a good 101.
func (p *peer) switched() *http.Response {
	p.t.Helper()
	res := p.response()
	h := res.Header
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		p.t.Fatalf("the handshake was answered %s %q", res.Status, body)
	}
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.EqualFold(h.Get("Connection"), "upgrade") || h["Sec-Websocket-Extensions"] != nil {
		p.t.Errorf("the handshake was answered with %v", h)
	}
	return res
}

// refused reads an answer that must be a refusal with one of these codes, for a human
// to read.
func (p *peer) refused(codes ...int) *http.Response {
	p.t.Helper()
	res := p.response()
	if !slices.Contains(codes, res.StatusCode) {
		p.t.Fatalf("the handshake was answered %s, want %d", res.Status, codes)
	}
	if body, err := io.ReadAll(io.LimitReader(res.Body, 1<<16)); err != nil || len(body) == 0 {
		p.t.Errorf("the refusal says %q, %v", body, err)
	}
	return res
}

// A change is made to the handshake of Chromium: a header's line in place of another
// one, which is empty for a line more; without a line of its own it takes one away.
type change struct{ name, from, to string }

func (c change) apply(t *testing.T, head []byte) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	if c.from == "" {
		lines = append(lines, c.to)
		return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
	}
	at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, c.from) })
	if at < 0 {
		t.Fatalf("no line %q in %q", c.from, head)
	}
	switch {
	case at == 0: // the request line
		lines[0] = strings.Replace(lines[0], c.from, c.to, 1)
	case c.to == "":
		lines = slices.Delete(lines, at, at+1)
	default:
		lines[at] = c.to
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
}

// Every head that a browser sends is taken, and the answer is its own.
func testBrowserHandshakes(t *testing.T, all []*dialect) {
	const key = "AAECAwQFBgcICQoLDA0ODw=="
	for _, d := range all {
		for _, b := range heads.Browsers() {
			for name, cookie := range map[string]string{"": "", " with cookies": heads.LongCookie(6 << 10)} {
				for _, cut := range []int{0, 60} {
					title := d.name + "/" + b.Name + name
					if cut > 0 {
						title += " in two segments"
					}
					t.Run(title, func(t *testing.T) {
						p := d.dial(t)
						t.Parallel()
						head := b.WebSocket.Fill(heads.Values{Target: d.target(), Host: address(d.port), Cookie: cookie, Key: key})
						if cut > 0 {
							p.send(head[:cut])
							time.Sleep(between)
						}
						p.send(head[cut:])
						if got := p.switched().Header.Get("Sec-WebSocket-Accept"); got != acceptOf(key) {
							t.Errorf("Sec-WebSocket-Accept is %q, want %q", got, acceptOf(key))
						}
						p.greeted()
						p.alive()
					})
				}
			}
		}
	}
}

func testHandshakesTaken(t *testing.T, all []*dialect) {
	changes := []change{
		{"tokens in another case", "Upgrade: ", "UPGRADE: WebSocket"},
		{"two options of the connection", "Connection: ", "Connection: keep-alive, Upgrade"},
		{"options in small letters", "Connection: ", "connection: keep-alive,upgrade"},
		{"no origin", "Origin: ", ""},
		{"no extensions", "Sec-WebSocket-Extensions: ", ""},
		{"several extensions", "Sec-WebSocket-Extensions: ", "Sec-WebSocket-Extensions: x-unknown; a=\"b\", permessage-deflate; client_max_window_bits, permessage-deflate"},
		{"a header nobody knows", "", "X-Forwarded-Proto: https"},
	}
	for _, d := range all {
		for _, c := range changes {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				p := d.dial(t)
				t.Parallel()
				p.send(c.apply(t, d.handshake()))
				res := p.switched()
				if got := res.Header.Get("Sec-WebSocket-Accept"); got != acceptOf(sampleKey) {
					t.Errorf("Sec-WebSocket-Accept is %q", got)
				}
				if got := res.Header["Sec-Websocket-Protocol"]; got != nil {
					t.Errorf("a subprotocol nobody offered: %q", got)
				}
				p.greeted()
				p.alive()
			})
		}
	}
}

func testHandshakesRefused(t *testing.T, all []*dialect) {
	changes := []change{
		{"no key", "Sec-WebSocket-Key: ", ""},
		{"an empty key", "Sec-WebSocket-Key: ", "Sec-WebSocket-Key:"},
		{"no upgrade", "Upgrade: ", ""},
		{"an upgrade to something else", "Upgrade: ", "Upgrade: h2c"},
		{"a connection that is not upgraded", "Connection: ", "Connection: keep-alive"},
	}
	for _, d := range all {
		for _, c := range changes {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				p := d.dial(t)
				t.Parallel()
				p.send(c.apply(t, d.handshake()))
				p.refused(http.StatusBadRequest, http.StatusUpgradeRequired)
			})
		}
		t.Run(d.name+"/HTTP/1.0", func(t *testing.T) {
			p := d.dial(t)
			t.Parallel()
			p.send(bytes.Replace(d.handshake(), []byte(" HTTP/1.1\r\n"), []byte(" HTTP/1.0\r\n"), 1))
			p.refused(http.StatusBadRequest, http.StatusUpgradeRequired)
		})
		t.Run(d.name+"/POST", func(t *testing.T) {
			p := d.dial(t)
			t.Parallel()
			head := change{from: "GET ", to: "POST "}.apply(t, d.handshake())
			p.send(change{to: "Content-Length: 0"}.apply(t, head))
			if res := p.response(); res.StatusCode < 400 || res.StatusCode > 499 {
				t.Errorf("answered %s", res.Status)
			}
		})
	}
}

// A version that the server does not speak is refused with the one it speaks, RFC
// 6455, section 4.4.
func testVersions(t *testing.T, all []*dialect) {
	changes := []change{
		{"no version", "Sec-WebSocket-Version: ", ""},
		{"version 12", "Sec-WebSocket-Version: ", "Sec-WebSocket-Version: 12"},
		{"version 14", "Sec-WebSocket-Version: ", "Sec-WebSocket-Version: 14"},
		{"version 130", "Sec-WebSocket-Version: ", "Sec-WebSocket-Version: 130"},
		{"no number", "Sec-WebSocket-Version: ", "Sec-WebSocket-Version: thirteen"},
	}
	for _, d := range all {
		for _, c := range changes {
			t.Run(d.name+"/"+c.name, func(t *testing.T) {
				p := d.dial(t)
				t.Parallel()
				p.send(c.apply(t, d.handshake()))
				res := p.refused(http.StatusBadRequest, http.StatusUpgradeRequired)
				if got := res.Header["Sec-Websocket-Version"]; !slices.ContainsFunc(got, func(v string) bool {
					return slices.Contains(strings.Split(strings.ReplaceAll(v, " ", ""), ","), "13")
				}) {
					t.Errorf("Sec-WebSocket-Version is %q, want 13", got)
				}
			})
		}
	}
}

// The original servers of socket.io take a key of any length, and some of its clients
// send one of 20 bytes.
func testKeys(t *testing.T, all []*dialect) {
	for _, d := range all {
		for name, key := range map[string]string{
			"20 bytes": "AAECAwQFBgcICQoLDA0ODxAREhM=", "8 bytes": "AAECAwQFBgc=", "no base64": "not base64 at all!",
		} {
			t.Run(d.name+"/"+name, func(t *testing.T) {
				p := d.dial(t)
				t.Parallel()
				p.send(change{from: "Sec-WebSocket-Key: ", to: "Sec-WebSocket-Key: " + key}.apply(t, d.handshake()))
				if !d.anyKey {
					p.refusedOrAccepted(key)
					return
				}
				if got := p.switched().Header.Get("Sec-WebSocket-Accept"); got != acceptOf(key) {
					t.Errorf("Sec-WebSocket-Accept is %q, want %q", got, acceptOf(key))
				}
				p.greeted()
				p.alive()
			})
		}
	}
}

// refusedOrAccepted reads an answer that is a clear refusal or a good 101 for a key.
func (p *peer) refusedOrAccepted(key string) {
	p.t.Helper()
	res := p.response()
	switch {
	case res.StatusCode == http.StatusBadRequest:
	case res.StatusCode != http.StatusSwitchingProtocols:
		p.t.Errorf("the handshake was answered %s", res.Status)
	case res.Header.Get("Sec-WebSocket-Accept") != acceptOf(key):
		p.t.Errorf("Sec-WebSocket-Accept is %q", res.Header.Get("Sec-WebSocket-Accept"))
	}
}

// Of offered subprotocols the first is chosen where the original servers choose it;
// the original Socktopus chooses none.
func testSubprotocols(t *testing.T, all []*dialect) {
	offers := []struct {
		name  string
		lines []string
		first string
	}{
		{"one", []string{"Sec-WebSocket-Protocol: chat"}, "chat"},
		{"two", []string{"Sec-WebSocket-Protocol: superchat, chat"}, "superchat"},
		{"without a blank", []string{"Sec-WebSocket-Protocol: superchat,chat"}, "superchat"},
		{"in two lines", []string{"Sec-WebSocket-Protocol: v2.chat", "Sec-WebSocket-Protocol: v1.chat"}, "v2.chat"},
	}
	for _, d := range all {
		for _, o := range offers {
			t.Run(d.name+"/"+o.name, func(t *testing.T) {
				p := d.dial(t)
				t.Parallel()
				head := d.handshake()
				for _, line := range o.lines {
					head = change{to: line}.apply(t, head)
				}
				p.send(head)
				var want []string
				if d.protocols {
					want = []string{o.first}
				}
				if got := p.switched().Header["Sec-Websocket-Protocol"]; !slices.Equal(got, want) {
					t.Errorf("Sec-WebSocket-Protocol is %q, want %q", got, want)
				}
				p.greeted()
				p.alive()
			})
		}
	}
}
