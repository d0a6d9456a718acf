// Package heads has the heads of HTTP requests as real clients send them, byte for
// byte, for load generators and tests. What browsers add, such as the Pragma of a
// WebSocket handshake, decides which way a request takes through a server, so a
// request made up for a test shows little.
//
// They are in test/testdata/heads, captured on Debian by test/heads/capture/run:
// Chromium and Firefox with socket.io-client 1.3.4 in a page of the same site, and
// senders in PHP, Node and curl. Only tests and the benchmark import it.
package heads

import (
	"fmt"
	"strconv"
	"strings"

	captured "poosh/test/testdata/heads"
)

// A Head is the head of a request with blanks for what differs between requests.
// The zero Head is of no use. All methods are safe for concurrent use.
type Head struct {
	name   string
	method string
	pieces []piece
}

// A piece is literal text, or a blank to fill in.
type piece struct {
	text  string
	blank string
}

// Values are what the blanks of a Head are filled with. A blank that a Head does
// not have is ignored.
type Values struct {
	Target string // path and query; "/" if empty
	Host   string // name and port; "push.example.com:8000" if empty
	Origin string // of the page; "https://www.example.com" if empty
	Cookie string // without one the line is left out
	Key    string // of a WebSocket handshake; the example of RFC 6455 if empty
	Token  string // value of Authorization
	Length int    // bytes of the body that the caller sends behind the head
}

// The heads of browsers: of a WebSocket handshake, of a poll, and of the request
// that posts packets.
var (
	ChromiumWebSocket = load("chromium-websocket")
	ChromiumPoll      = load("chromium-poll")
	ChromiumPost      = load("chromium-post")
	FirefoxWebSocket  = load("firefox-websocket")
	FirefoxPoll       = load("firefox-poll")
	FirefoxPost       = load("firefox-post")
)

// The heads of senders. GuzzlePusher is a signed request for the Pusher API, the
// others are for POST /send.
var (
	PHPCurlSend   = load("php-curl-send")
	PHPStreamSend = load("php-stream-send")
	GuzzleSend    = load("php-guzzle-send")
	GuzzlePusher  = load("php-guzzle-pusher")
	NodeFetchSend = load("node-fetch-send")
	CurlSend      = load("curl-send")
)

// A Browser is what one browser sends in each case.
type Browser struct {
	Name                  string
	WebSocket, Poll, Post Head
}

// Browsers returns all that were captured.
func Browsers() []Browser {
	return []Browser{
		{"Chromium", ChromiumWebSocket, ChromiumPoll, ChromiumPost},
		{"Firefox", FirefoxWebSocket, FirefoxPoll, FirefoxPost},
	}
}

// Senders returns the heads of POST /send.
func Senders() []Head {
	return []Head{PHPCurlSend, PHPStreamSend, GuzzleSend, NodeFetchSend, CurlSend}
}

const (
	defaultHost   = "push.example.com:8000"
	defaultOrigin = "https://www.example.com"
	defaultKey    = "dGhlIHNhbXBsZSBub25jZQ=="
)

// load parses a captured head. It panics on a file that is none: the files are part
// of the program.
func load(name string) Head {
	text, err := captured.Files.ReadFile(name + ".http")
	if err != nil {
		panic(err)
	}
	h, err := parse(name, string(text))
	if err != nil {
		panic(err)
	}
	return h
}

func parse(name, text string) (Head, error) {
	h := Head{name: name}
	h.method, _, _ = strings.Cut(text, " ")
	if !strings.HasSuffix(text, "\r\n\r\n") || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		return h, fmt.Errorf("heads: %s: lines must end in CR LF, the last one empty", name)
	}
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		blank, after, closed := strings.Cut(rest, "}")
		if !found {
			h.pieces = append(h.pieces, piece{text: text})
			break
		}
		switch blank {
		case "target", "host", "origin", "key", "token", "length":
		case "cookie": // the line goes with its value
			at := strings.LastIndexByte(before, '\n') + 1
			h.pieces = append(h.pieces, piece{text: before[:at]}, piece{text: before[at:], blank: blank})
			text = strings.TrimPrefix(after, "\r\n")
			continue
		default:
			return h, fmt.Errorf("heads: %s: blank %q, closed %v", name, blank, closed)
		}
		h.pieces = append(h.pieces, piece{text: before}, piece{blank: blank})
		text = after
	}
	return h, nil
}

// String returns the name of the file, such as "chromium-poll".
func (h Head) String() string { return h.name }

// Method returns GET or POST.
func (h Head) Method() string { return h.method }

// Append appends the head, with its empty line, and returns the extended slice. It
// allocates nothing else.
func (h Head) Append(b []byte, v Values) []byte {
	for _, p := range h.pieces {
		switch p.blank {
		case "":
			b = append(b, p.text...)
		case "cookie":
			if v.Cookie != "" {
				b = append(append(append(b, p.text...), v.Cookie...), "\r\n"...)
			}
		case "target":
			b = append(b, or(v.Target, "/")...)
		case "host":
			b = append(b, or(v.Host, defaultHost)...)
		case "origin":
			b = append(b, or(v.Origin, defaultOrigin)...)
		case "key":
			b = append(b, or(v.Key, defaultKey)...)
		case "token":
			b = append(b, v.Token...)
		case "length":
			b = strconv.AppendInt(b, int64(v.Length), 10)
		}
	}
	return b
}

func or(value, standard string) string {
	if value == "" {
		return standard
	}
	return value
}

// Fill returns the head with its empty line.
func (h Head) Fill(v Values) []byte { return h.Append(nil, v) }

// LongCookie returns a Cookie header's value of n bytes, at least 64, as a site has
// that is long in use: the session cookie of socket.io and a dozen others. With
// 6 KB of them a head is within what proxies and browsers allow (8 KB).
func LongCookie(n int) string {
	var b strings.Builder
	b.WriteString("io=0I7-vJ8e5Zo2cQkRAAAB")
	for i := 0; b.Len() < n; i++ {
		size := min(500, n-b.Len())
		item := fmt.Sprintf("; site_cookie_%02d=", i)
		if size <= len(item) {
			b.WriteString(strings.Repeat("x", size))
			break
		}
		b.WriteString(item)
		b.WriteString(strings.Repeat("0123456789abcdef", 32)[:size-len(item)])
	}
	return b.String()[:n]
}
