package socketio

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// An answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// request sends one request on a connection of its own. ctx cuts it off.
func (s *site) request(ctx context.Context, method, query, body string, header ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://test"+Path+"?"+query, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body == "" {
		r.Body, r.ContentLength = nil, 0
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return s.dialer() }
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: dial}}
	resp, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

func (s *site) ask(method, query, body string, header ...string) answer {
	s.Helper()
	a, err := s.request(context.Background(), method, query, body, header...)
	if err != nil {
		s.Fatalf("%s %s: %v", method, query, err)
	}
	return a
}

// A poller is a client on polling.
type poller struct {
	*site
	eio   int
	query string // of its requests
	first answer // to the handshake
	sid   string
}

// poll opens a session; the query is such as "EIO=3&b64=1".
func (s *site) poll(query string) *poller {
	s.Helper()
	p := &poller{site: s, eio: 3, query: "transport=polling&" + query}
	if strings.Contains(query, "EIO=4") {
		p.eio = 4
	}
	p.first = s.ask("GET", p.query, "")
	packets := p.packets(p.first)
	if p.first.status != 200 || len(packets) != 1 {
		s.Fatalf("handshake: %d %q, want 200 and the open packet alone", p.first.status, packets)
	}
	p.sid = openID(s.T, packets[0])
	p.query += "&sid=" + p.sid
	return p
}

// openID is the session's id in an open packet.
func openID(t *testing.T, packet string) string {
	t.Helper()
	var open struct{ SID string }
	if !strings.HasPrefix(packet, "0") || json.Unmarshal([]byte(packet[1:]), &open) != nil || open.SID == "" {
		t.Fatalf("%q is no open packet", packet)
	}
	return open.SID
}

// get is one GET: its status and the packets of its answer.
func (p *poller) get() (int, []string) {
	p.Helper()
	a := p.ask("GET", p.query, "")
	return a.status, p.packets(a)
}

// want is get for a test that knows what comes.
func (p *poller) want(packets ...string) {
	p.Helper()
	if status, got := p.get(); status != 200 || !slices.EqualFunc(got, packets, matches) {
		p.Errorf("the GET was answered %d %q, want %q", status, got, packets)
	}
}

// matches compares packets; one that is wanted may end in "..." for any rest.
func matches(got, want string) bool {
	if start, ok := strings.CutSuffix(want, "..."); ok {
		return strings.HasPrefix(got, start)
	}
	return got == want
}

// gone wants the session to be unknown.
func (p *poller) gone() {
	p.Helper()
	if a := p.ask("GET", p.query, ""); a.status != 400 || !strings.Contains(a.body, unknownSession.Message) {
		p.Errorf("the GET was answered %d %q, want 400 %s", a.status, a.body, unknownSession.Message)
	}
}

// waiting is a GET that waits: what it is answered is sent, once.
func (p *poller) waiting() <-chan []string {
	p.Helper()
	s := p.server.find(p.sid)
	before, _ := p.polls.of(s)
	answered := make(chan []string, 1)
	done := make(chan struct{})
	go func() { // ends with the answer or the client's patience
		defer close(done)
		a, err := p.request(context.Background(), "GET", p.query, "")
		packets := []string{fmt.Sprint(a.status, err)}
		if err == nil && a.status == 200 {
			packets = p.packets(a)
		}
		answered <- packets
	}()
	p.await(s, before, done)
	return answered
}

func (s *Session) pollWait() *pollWait {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll == nil {
		return nil
	}
	return s.poll.get
}

// post sends packets as text.
func (p *poller) post(packets ...string) answer {
	p.Helper()
	text := strings.Join(packets, "\x1e")
	if p.eio != 4 {
		text = ""
		for _, packet := range packets {
			text += fmt.Sprintf("%d:%s", len(packet), packet)
		}
	}
	return p.ask("POST", p.query, text)
}

// packets takes an answer apart.
func (p *poller) packets(a answer) []string {
	p.Helper()
	if a.status != 200 {
		return nil
	}
	body := a.body
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/javascript") {
		body = body[strings.Index(body, "(")+1 : strings.LastIndex(body, ")")]
		if err := json.Unmarshal([]byte(body), &body); err != nil {
			p.Fatal(err)
		}
	}
	var packets []string
	take := func(q packet) error { packets = append(packets, string(q.data)); return nil }
	var err error
	switch {
	case p.eio == 4:
		err = splitSeparated([]byte(body), take)
	case a.header.Get("Content-Type") == "application/octet-stream":
		err = splitBinary([]byte(body), take)
	default:
		err = splitText([]byte(body), new(utf8Layer), take)
	}
	if err != nil {
		p.Fatalf("%v in %q", err, a.body)
	}
	return packets
}

// A wsClient is a client on a WebSocket.
type wsClient struct {
	*site
	net.Conn
	in *bufio.Reader
}

// dial opens a WebSocket with a query such as "EIO=3".
func (s *site) dial(query string, header ...string) *wsClient {
	s.Helper()
	ws, err := s.tryDial(query, header...)
	if err != nil {
		s.Fatal(err)
	}
	return ws
}

func (s *site) tryDial(query string, header ...string) (*wsClient, error) {
	c, err := s.dialer()
	if err != nil {
		return nil, err
	}
	s.Cleanup(func() { _ = c.Close() })
	ws := &wsClient{s, c, bufio.NewReader(c)}
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET %s?transport=websocket&%s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n", Path, query,
		base64.StdEncoding.EncodeToString(make([]byte, 16)), strings.Join(append(header, ""), "\r\n"))
	resp, err := http.ReadResponse(ws.in, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return ws, nil
}

// say sends text messages in one write.
func (ws *wsClient) say(messages ...string) {
	ws.Helper()
	var b []byte
	for _, m := range messages {
		if b = append(b, 0x81, 0x80|byte(min(len(m), 126))); len(m) >= 126 {
			b = binary.BigEndian.AppendUint16(b, uint16(len(m)))
		}
		b = append(append(b, 0, 0, 0, 0), m...)
	}
	if _, err := ws.Write(b); err != nil {
		ws.Fatal(err)
	}
}

// next is the next frame: a text message, or a close code.
func (ws *wsClient) next() (message string, code int, err error) {
	var head [4]byte
	if _, err := io.ReadFull(ws.in, head[:2]); err != nil {
		return "", 0, err
	}
	size := int(head[1])
	if size == 126 {
		if _, err := io.ReadFull(ws.in, head[2:]); err != nil {
			return "", 0, err
		}
		size = int(binary.BigEndian.Uint16(head[2:]))
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(ws.in, b); err != nil {
		return "", 0, err
	}
	if head[0]&0xf == 8 && size >= 2 {
		return "", int(binary.BigEndian.Uint16(b)), nil
	}
	return string(b), 0, nil
}

// want reads messages that must come, in this order.
func (ws *wsClient) want(messages ...string) {
	ws.Helper()
	for _, want := range messages {
		if got, code, err := ws.next(); err != nil || code != 0 || !matches(got, want) {
			ws.Errorf("heard %q, close code %d, %v; want %q", got, code, err, want)
			return
		}
	}
}

// silent wants nothing to come for a while.
func (ws *wsClient) silent(d time.Duration) {
	ws.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(d))
	got, code, err := ws.next()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		ws.Errorf("heard %q, close code %d, %v; want nothing", got, code, err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
}

// ended reads to the end: what came before it, and the close code, 0 for none.
func (ws *wsClient) ended() (messages []string, code int) {
	ws.Helper()
	for {
		message, c, err := ws.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			ws.Errorf("still open; heard %q", messages)
			return messages, 0
		case err != nil || c != 0:
			return messages, c
		}
		messages = append(messages, message)
	}
}
