package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// request is a whole POST /send as text, with a good token unless header names
// Authorization itself. Content-Type is JSON unless header names it.
func request(body, payload string, header ...string) string {
	head := "POST /send HTTP/1.1\r\nHost: e2e\r\n"
	for name, value := range map[string]string{"Content-Type": "application/json", "Authorization": token(payload)} {
		if !strings.Contains(strings.ToLower("\n"+strings.Join(header, "\n")), "\n"+strings.ToLower(name)+":") {
			head += name + ": " + value + "\r\n"
		}
	}
	for _, h := range header {
		if !strings.HasSuffix(h, ":") { // "Name:" takes a header away
			head += h + "\r\n"
		}
	}
	return head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

// say writes text to a port and reads one answer.
func say(t *testing.T, port int, text string) answer {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr(port), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, text) // ends with the connection
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("answer to %.100q: %v", text, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("answer to %.100q: %v", text, err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// What a sender gets for each kind of request, in the order in which the server
// looks at them: the form of the request, the body, the token, the path.
func TestAnswersToSenders(t *testing.T) {
	s := start(t)
	const good = `{"room":"r","event":"e","payload":1}`
	gz := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, s)
		w.Close()
		return b.String()
	}
	deflate := func(s string) string {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		io.WriteString(w, s)
		w.Close()
		return b.String()
	}
	withPath := func(line string) string { return strings.Replace(request(good, "1"), "POST /send", line, 1) }
	payload := func(json string) string { return `{"room":"r","event":"e","payload":` + json + `}` }
	big := `"` + strings.Repeat("x", 102400-len(payload(`""`))) + `"`

	sum := sha1.Sum([]byte(secret)) // which no sender signs: without a payload that is undefined
	ofNothing := hex.EncodeToString(sum[:])

	for _, c := range []struct {
		name, text string
		status     int
	}{
		// The form of the request.
		{"not HTTP", "hello\r\n\r\n", 400},
		{"two lengths", request(good, "1", "Content-Length: 3"), 400},
		{"a header without a colon", request(good, "1", "Authorization "+token("1")), 400},
		{"headers of 20 KB", request(good, "1", "X-Large: "+strings.Repeat("x", 20<<10)), 431},
		{"an expectation nobody has", request(good, "1", "Expect: a miracle"), 417},

		// The body, token or not; but a missing token is said first.
		{"no token", request(good, "1", "Authorization:"), 401},
		{"no token, broken body", request("{", "1", "Authorization:"), 401},
		{"broken body", request(`{"room":`, "1"), 400},
		{"broken body, wrong token", request(`{"room":`, "1", "Authorization: "+token("2")), 400},
		{"broken body, no token of any kind", request(`{"room":`, "1", "Authorization: x"), 401},
		{"trailing comma", request(`{"event":"e",}`, "undefined"), 400},
		{"trailing text", request(good+"x", "1"), 400},
		{"a comment", request(`{"event":"e"/**/}`, "undefined"), 400},
		{"NaN", request(payload("NaN"), "NaN"), 400},
		{"a raw control character", request(payload("\"\x01\""), "\"\x01\""), 400},
		{"a string at the top", request(`"x"`, "undefined"), 400},
		{"blanks only", request("  ", "undefined"), 400},
		{"charset", request(good, "1", "Content-Type: application/json; charset=latin1"), 415},
		{"charset utf-8", request(good, "1", "Content-Type: Application/JSON; Charset=\"UTF-8\""), 200},
		{"charset utf8", request(good, "1", "Content-Type: application/json; charset=utf8"), 200},
		{"encoding br", request(good, "1", "Content-Encoding: br"), 415},
		{"encodings in a list", request(gz(good), "1", "Content-Encoding: gzip, gzip"), 415},
		{"gzip", request(gz(good), "1", "Content-Encoding: GZip"), 200},
		{"deflate", request(deflate(good), "1", "Content-Encoding: deflate"), 200},
		{"gzip that is none", request(good, "1", "Content-Encoding: gzip"), 400},
		{"gzip cut short", request(gz(good)[:20], "1", "Content-Encoding: gzip"), 400},
		{"102400 bytes", request(payload(big), big), 200},
		{"102401 bytes", request(payload(big)+" ", big), 413},
		{"1 MB", request(payload(`"`+strings.Repeat("x", 1<<20)+`"`), "1"), 413},
		{"1 MB behind gzip", request(gz(payload(`"`+strings.Repeat("x", 1<<20)+`"`)), "1", "Content-Encoding: gzip"), 413},
		{"a byte order mark", request("\ufeff"+good, "1"), 200},

		// The token.
		{"wrong token", request(good, "1", "Authorization: "+token("2")), 401},
		{"token in upper case", request(good, "1", "Authorization: "+strings.ToUpper(token("1"))), 401},
		{"Bearer", request(good, "1", "Authorization: Bearer "+token("1")), 401},
		{"token with blanks around", request(good, "1", "Authorization:   "+token("1")+"  "), 200},
		{"another type is no body", request(good, "undefined", "Content-Type: text/plain"), 400},
		{"another type and the token of its body", request(good, "1", "Content-Type: text/plain"), 401},

		// The path and the method.
		{"GET", "GET /send HTTP/1.1\r\nHost: e2e\r\nAuthorization: " + token("undefined") + "\r\n\r\n", 401},
		{"GET elsewhere", "GET / HTTP/1.1\r\nHost: e2e\r\nAuthorization: " + token("undefined") + "\r\n\r\n", 401},
		{"/send/", withPath("POST /send/"), 200},
		{"/SEND", withPath("POST /SEND"), 200},
		{"with a query", withPath("POST /send?x=1"), 200},
		{"absolute form", withPath("POST http://elsewhere.example/send"), 200},
		{"another path", withPath("POST /sent"), 404},
		{"//send", withPath("POST //send"), 404},
		{"/send/x", withPath("POST /send/x"), 404},
		{"an escaped letter", withPath("POST /%73end"), 404},
		{"a path that cannot be decoded", withPath("POST /%"), 400},

		// What is sent.
		{"no event", request(`{"room":"r","payload":1}`, "1"), 400},
		{"an event that is no string", request(`{"room":"r","event":5,"payload":1}`, "1"), 400},
		{"event connect", request(`{"room":"r","event":"connect","payload":1}`, "1"), 400},
		{"event newListener", request(`{"room":"r","event":"newListener","payload":1}`, "1"), 400},
		{"event message", request(`{"room":"r","event":"message","payload":1}`, "1"), 200},
		{"room null", request(`{"room":null,"event":"e","payload":1}`, "1"), 400},
		{"room [\"r\"]", request(`{"room":["r"],"event":"e","payload":1}`, "1"), 400},
		{"room {}", request(`{"room":{"toString":1},"event":"e","payload":1}`, "1"), 400},
		{"room 5", request(`{"room":5,"event":"e","payload":1}`, "1"), 200},
		{"no room", request(`{"event":"e","payload":1}`, "1"), 200},
		{"no payload", request(`{"room":"r","event":"e"}`, "undefined"), 200},
		{"no payload, token of nothing", request(`{"room":"r","event":"e"}`, "1", "Authorization: "+ofNothing), 401},
		{"payload with toJSON", request(payload(`{"toJSON":1,"hasOwnProperty":2}`), `{"toJSON":1,"hasOwnProperty":2}`), 200},
	} {
		a := say(t, s.serverPort, c.text)
		if a.status != c.status {
			t.Errorf("%s: status %d %.200q, want %d", c.name, a.status, a.body, c.status)
		}
		if a.status == 200 && (a.body != "" || a.header.Get("Content-Length") != "0") {
			t.Errorf("%s: 200 with body %q and Content-Length %q, want nothing", c.name, a.body, a.header.Get("Content-Length"))
		}
		if strings.Contains(a.body, ".go:") || strings.Contains(a.body, "/home") || strings.Contains(a.body, secret) {
			t.Errorf("%s: the answer tells too much: %q", c.name, a.body)
		}
		if a.header.Get("X-Powered-By") != "" || a.header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: header %v", c.name, a.header)
		}
	}
}

// The token of the payload in the form JavaScript prints is good, as it was, and
// so is the token of its bytes as they stand in the body.
func TestBothTokensAreGood(t *testing.T) {
	s := start(t)
	for text, js := range map[string]string{
		`{ "a" : 1 }`:                `{"a":1}`,
		`"a\/b"`:                     `"a/b"`,
		`"\u00e9\u2028"`:             "\"é\u2028\"",
		`[1.0,1.50,1e3,-0,1.0e-7]`:   `[1,1.5,1000,0,1e-7]`,
		`9223372036854775807`:        `9223372036854776000`,
		`{"name":1,"5":2}`:           `{"5":2,"name":1}`,
		`{"a":1,"b":2,"a":3}`:        `{"a":3,"b":2}`,
		`"\u0008\u000A\u001F\u007f"`: "\"\\b\\n\\u001f\u007f\"",
		`"\uD800"`:                   `"\ud800"`,
		`1e400`:                      `null`,
	} {
		for name, signed := range map[string]string{"as it stands": text, "in JavaScript's form": js} {
			if a := s.post(t, body("r", "e", text), token(signed)); a.status != 200 {
				t.Errorf("%s signed %s: status %d, want 200", text, name, a.status)
			}
		}
		if a := s.post(t, body("r", "e", text), token(text+" ")); a.status != 401 {
			t.Errorf("%s with a blank signed too: status %d, want 401", text, a.status)
		}
	}
}

// Requests share a connection, an unread body included, and are answered in
// their order.
func TestSenderKeepsItsConnection(t *testing.T) {
	s := start(t)
	ws, err := joinSocket(s.clientPort, 3, "r", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	s.waitRoom(t, "r", 1)
	c, err := net.Dial("tcp", addr(s.serverPort))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	event := func(n int) string { return fmt.Sprintf(`{"room":"r","event":"n","payload":%d}`, n) }
	// Two in one write, then some that are refused, then one more.
	io.WriteString(c, request(event(1), "1")+request(event(2), "2"))
	io.WriteString(c, request(event(3), "3", "Authorization: wrong")+request(event(4), "4", "Content-Type: text/plain"))
	io.WriteString(c, request(event(5), "5"))
	for i, want := range []int{200, 200, 401, 401, 200} {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("answer %d: status %d, want %d", i, resp.StatusCode, want)
		}
	}
	for _, n := range []int{1, 2, 5} {
		want := fmt.Sprintf(`42["n",%d]`, n)
		if got, err := ws.hear(patience, want, func(m string) bool { return strings.HasPrefix(m, `42["n"`) }); err != nil || got != want {
			t.Errorf("heard %q, %v; want %s", got, err, want)
		}
	}
}

// A sender that asks first is told to go on.
func TestSenderThatAsksFirst(t *testing.T) {
	s := start(t)
	c, err := net.Dial("tcp", addr(s.serverPort))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	const body = `{"room":"r","event":"e","payload":1}`
	head, _, _ := strings.Cut(request(body, "1", "Expect: 100-continue"), "\r\n\r\n")
	io.WriteString(c, head+"\r\n\r\n")
	in := bufio.NewReader(c)
	for _, want := range []int{100, 200} {
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("answer %v, %v; want %d", resp, err, want)
		}
		if want == 100 {
			io.WriteString(c, body)
		}
	}
}
