package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// raw is the HTTP client of the tests that are about bytes: it adds nothing, asks
// for no compression and shares no connection between tests.
func raw() *http.Client {
	return &http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	}
}

// ask sends one request to a port; header lines are "Name: value".
func ask(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	a, err := tryAsk(raw(), method, url, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

func tryAsk(c *http.Client, method, url, body string, header ...string) (answer, error) {
	return tryAskIn(context.Background(), c, method, url, body, header...)
}

// tryAskIn is tryAsk for a request that ends with ctx, or is traced by it.
func tryAskIn(ctx context.Context, c *http.Client, method, url, body string, header ...string) (answer, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return answer{}, err
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// A poller is a session over polling, said request by request.
type poller struct {
	t     *testing.T
	url   string // with the query that every request of the session has
	sid   string
	eio   int
	first answer // the one to the handshake
	inbox []string
}

// poll opens a session over polling with a query such as "EIO=3" or "EIO=3&b64=1".
func poll(t *testing.T, s *server, query string) *poller {
	t.Helper()
	p := &poller{t: t, eio: 3, url: s.clientURL() + "/socket.io/?transport=polling&t=e2e&" + query}
	if strings.Contains(query, "EIO=4") {
		p.eio = 4
	}
	p.first = ask(t, "GET", p.url, "")
	packets := p.packets(p.first)
	if len(packets) == 0 || !strings.HasPrefix(packets[0], "0{") {
		t.Fatalf("handshake with %q: status %d, %.200q; want an open packet", query, p.first.status, p.first.body)
	}
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(packets[0][1:]), &open); err != nil || open.SID == "" {
		t.Fatalf("open packet %q: %v", packets[0], err)
	}
	p.sid = open.SID
	p.url += "&sid=" + p.sid
	p.inbox = packets[1:]
	if p.eio == 4 {
		p.post("40")
	}
	return p
}

// post sends packets as the newer clients of the session's protocol do: as text.
func (p *poller) post(packets ...string) {
	p.t.Helper()
	text := strings.Join(packets, "\x1e")
	if p.eio != 4 {
		text = ""
		for _, packet := range packets {
			text += fmt.Sprintf("%d:%s", len(utf16.Encode([]rune(packet))), packet)
		}
	}
	p.postBody("text/plain;charset=UTF-8", text)
}

func (p *poller) postBody(contentType, body string) {
	p.t.Helper()
	a := ask(p.t, "POST", p.url, body, "Content-Type: "+contentType)
	if a.status != 200 || a.body != "ok" {
		p.t.Fatalf("POST %.100q as %s: status %d %q, want 200 ok", body, contentType, a.status, a.body)
	}
}

// get asks once for packets and returns them.
func (p *poller) get() []string {
	p.t.Helper()
	a := ask(p.t, "GET", p.url, "")
	if a.status != 200 {
		p.t.Fatalf("poll: status %d %q, want 200", a.status, a.body)
	}
	return p.packets(a)
}

// hear polls until a packet starts with prefix and returns it.
func (p *poller) hear(prefix string) string {
	p.t.Helper()
	var heard []string
	for end := time.Now().Add(patience); time.Now().Before(end); {
		for i, packet := range p.inbox {
			if strings.HasPrefix(packet, prefix) {
				p.inbox = p.inbox[i+1:]
				return packet
			}
		}
		heard = append(heard, p.inbox...)
		p.inbox = p.get()
	}
	p.t.Fatalf("waited %v for a packet %s..., heard %.300q", patience, prefix, heard)
	return ""
}

// join joins a room once the namespace is connected.
func (p *poller) join(room string) {
	p.t.Helper()
	p.hear("40")
	p.post(`42["room",` + quote(room) + `]`)
}

// packets splits the answer to a poll by what its type says it is.
func (p *poller) packets(a answer) []string {
	p.t.Helper()
	packets, err := split(a.header.Get("Content-Type"), a.body, p.eio)
	if err != nil {
		p.t.Fatalf("answer to a poll, %s: %v in %.300q", a.header.Get("Content-Type"), err, a.body)
	}
	return packets
}

// split takes a payload apart: binary or text for EIO 2 and 3, a call of a
// function with a text payload for JSONP, packets with 0x1e between for EIO 4.
func split(contentType, body string, eio int) ([]string, error) {
	switch {
	case contentType == "application/octet-stream":
		return splitBinary(body)
	case strings.HasPrefix(contentType, "text/javascript"):
		start, end := strings.Index(body, "(\""), strings.LastIndex(body, "\");")
		if !strings.HasPrefix(body, "___eio[") || start < 0 || end < 0 {
			return nil, fmt.Errorf("not a call of ___eio[n]")
		}
		var text string
		if err := json.Unmarshal([]byte(body[start+1:end+1]), &text); err != nil {
			return nil, err
		}
		body = text
	case !strings.HasPrefix(contentType, "text/plain"):
		return nil, fmt.Errorf("not a type that any client takes")
	}
	if eio == 4 {
		return strings.Split(body, "\x1e"), nil
	}
	return splitText(body)
}

// splitBinary takes apart 0|1, digits as bytes 0 to 9, 255, data.
func splitBinary(body string) (packets []string, err error) {
	for len(body) > 0 {
		end := strings.IndexByte(body, 0xff)
		if end < 2 || body[0] > 1 {
			return nil, fmt.Errorf("not a packet: %.20q", body)
		}
		size := 0
		for _, digit := range []byte(body[1:end]) {
			if digit > 9 {
				return nil, fmt.Errorf("%d is not a digit", digit)
			}
			size = size*10 + int(digit)
		}
		if len(body) < end+1+size {
			return nil, fmt.Errorf("%d bytes promised, %d there", size, len(body)-end-1)
		}
		packets = append(packets, body[end+1:end+1+size])
		body = body[end+1+size:]
	}
	return packets, nil
}

// splitText takes apart length:packet, with lengths in UTF-16 units.
func splitText(body string) (packets []string, err error) {
	units := utf16.Encode([]rune(body))
	for len(units) > 0 {
		digits, _, ok := strings.Cut(string(utf16.Decode(units[:min(len(units), 12)])), ":")
		size, err := strconv.Atoi(digits)
		if !ok || err != nil || len(units) < len(digits)+1+size {
			return nil, fmt.Errorf("not a packet: %.20q", string(utf16.Decode(units)))
		}
		packets = append(packets, string(utf16.Decode(units[len(digits)+1:len(digits)+1+size])))
		units = units[len(digits)+1+size:]
	}
	return packets, nil
}

// binaryPayload is packets as 1.0 to 1.3 browsers post them.
func binaryPayload(packets ...string) string {
	var b strings.Builder
	for _, packet := range packets {
		b.WriteByte(0)
		for _, digit := range strconv.Itoa(len(packet)) {
			b.WriteByte(byte(digit - '0'))
		}
		b.WriteByte(0xff)
		b.WriteString(packet)
	}
	return b.String()
}

// attachment is a binary packet in a text payload.
func attachment(eio int, data string) string {
	if eio == 4 {
		return "b" + base64.StdEncoding.EncodeToString([]byte(data))
	}
	return "b4" + base64.StdEncoding.EncodeToString([]byte(data))
}
