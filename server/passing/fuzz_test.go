package passing

import (
	"bufio"
	"bytes"
	"cmp"
	"net/http"
	"testing"
	"time"
)

// FuzzRequest: a request is read as it was written, or not at all.
func FuzzRequest(f *testing.F) {
	r, _ := http.NewRequest(http.MethodPost, "http://h/socket.io/?EIO=4&sid=x", nil)
	r.RequestURI, r.Host, r.RemoteAddr = r.URL.RequestURI(), "h", "192.0.2.1:1"
	r.Header = http.Header{"Cookie": {"a=b", "c=d"}, "Connection": {"close"}}
	f.Add(requestFrame("CLIENT_PORT", r, []byte("body"))[lengthSize+frameHead:])
	f.Add([]byte{})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var q, again request
		body, ok := q.read(b)
		if !ok {
			return
		}
		frame := requestFrame(q.port, &q.Request, body)[lengthSize+frameHead:]
		second, ok := again.read(frame)
		if !ok || !bytes.Equal(body, second) || again.RequestURI != q.RequestURI || again.Host != q.Host || again.RemoteAddr != q.RemoteAddr || again.port != q.port {
			t.Errorf("%q became %q", b, frame)
		}
	})
}

// FuzzForeign: whatever net/http takes has a form between nodes or is refused at once, and is read as
// what it was.
func FuzzForeign(f *testing.F) {
	for _, head := range []string{"GET /socket.io/?sid=x HTTP/1.1\r\nHost: h\r\n\r\n", "GET http://h/socket.io/?sid=x HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST //a?b HTTP/1.0\r\n\r\n", "GET http://h HTTP/1.1\r\nHost: h_h\r\n\r\n", "GET * HTTP/1.1\r\nHost:\r\n\r\n", "GET mailto:x HTTP/1.1\r\nHost: h\r\n\r\n", "GET /%73? HTTP/1.1\r\nHost: h\r\n" + manyLines(101) + "\r\n"} {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw))) //nolint:bodyclose // it is in memory
		if err != nil || r.Method != http.MethodGet && r.Method != http.MethodPost || unfit(r) != 0 {
			return
		}
		var q request
		if _, ok := q.read(requestFrame("P", r, nil)[lengthSize+frameHead:]); !ok {
			t.Errorf("%q cannot be read", raw)
		} else if q.URL.Path != cmp.Or(r.URL.Path, "/") || q.URL.RawQuery != r.URL.RawQuery || q.Host != r.Host {
			t.Errorf("%q became %v at %q", raw, q.URL, q.Host)
		}
	})
}

// FuzzAnswer is the same of answers.
func FuzzAnswer(f *testing.F) {
	f.Add(append(appendAnswerHead(nil, 200, http.Header{"A": {"b"}, "Connection": {"close"}}), "body"...))
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h := make(http.Header)
		var space [usual]string
		status, body, ok := readAnswer(b, h, &space)
		if !ok {
			return
		}
		again := make(http.Header)
		var other [usual]string
		second, rest, ok := readAnswer(append(appendAnswerHead(nil, status, h), body...), again, &other)
		if !ok || second != status || !bytes.Equal(rest, body) || again.Get("Connection") != h.Get("Connection") {
			t.Errorf("%q", b)
		}
	})
}

// FuzzHello: what strangers say is read without harm, and none of it is taken that was not signed.
func FuzzHello(f *testing.F) {
	h := &hello{kind: kindWebSocket, from: "nodeAA", to: "nodeBB", port: "P", remote: "192.0.2.1:1", at: 1, nonce: newNonce(), body: []byte("GET / HTTP/1.1\r\n\r\n")}
	f.Add(h.write(nil, testSecret))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := &Node{opt: Options{Name: "nodeBB", Secret: func() string { return "another secret" }}}
		h, signature, err := readHello(bufio.NewReaderSize(bytes.NewReader(b), maxHelloHead))
		if err != nil {
			return
		}
		if _, ok := n.judge(h, signature, time.UnixMilli(h.at)); ok {
			t.Errorf("taken: %q", b)
		}
		again, _, err := readHello(bufio.NewReader(bytes.NewReader(h.write(nil, testSecret))))
		if err == nil && (again.kind != h.kind || !bytes.Equal(again.body, h.body) || again.at != h.at) {
			t.Errorf("%q", b)
		}
	})
}

// FuzzFrames: what comes in any pieces is the frames that were sent, and nothing that was not.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("hello"), []byte("world"), uint16(3), false)
	f.Add([]byte{}, bytes.Repeat([]byte("x"), 70_000), uint16(1000), true)
	f.Add(bytes.Repeat([]byte("x"), 200_000), bytes.Repeat([]byte("y"), 2*(maxPiece-frameHead)), uint16(60_000), false)
	f.Fuzz(func(t *testing.T, one, two []byte, piece uint16, spoil bool) {
		out, in := newSeal([]byte("key")), &unsealer{seal: newSeal([]byte("key"))}
		var sent []byte
		for i, text := range [][]byte{one, two} {
			sent = append(sent, out.pieces(append(newFrame(frameRequest, uint64(i), 0), text...))...)
		}
		if spoil {
			sent[len(sent)-1-int(piece)%min(len(two)+macSize, len(sent))] ^= 1
		}
		var got [][]byte
		whole := true
		for left := sent; len(left) > 0 && whole; {
			n := min(int(piece)+1, len(left))
			whole = in.feed(left[:n], func(_ byte, _ uint64, rest []byte) bool {
				got = append(got, bytes.Clone(rest))
				return true
			})
			left = left[n:]
		}
		switch {
		case spoil && whole && len(got) > 1:
			t.Error("what was spoilt is taken")
		case !spoil && (!whole || len(got) != 2 || !bytes.Equal(got[0], one) || !bytes.Equal(got[1], two)):
			t.Errorf("got %d frames, whole: %v", len(got), whole)
		}
	})
}
