package poosh

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/quota"
	"poosh/server/route"
)

const apiSecret = "thisisthesharedsecret"

// sign makes a token over a text: also over one that no sender signs, such as none.
func sign(text string) string {
	sum := sha1.Sum([]byte(apiSecret + text))
	return hex.EncodeToString(sum[:])
}

// plainEncoder makes frames that tests can read.
type plainEncoder struct{}

func (plainEncoder) Encode(p *hub.Publication) []byte {
	return []byte(p.Event + " " + string(p.Data))
}

// An inbox keeps what it is handed.
type inbox struct {
	mu     sync.Mutex
	frames []string
}

func (b *inbox) Deliver(frame []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frames = append(b.frames, string(frame))
	return true
}

func (b *inbox) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	frames := b.frames
	b.frames = nil
	return frames
}

// A stage is an API with three listeners: r1 in the rooms "r" and "5", r2 in "r" and
// "true", and lone in none. What the API logs is in log.
type stage struct {
	*API
	http.Handler
	hub          *hub.Hub
	r1, r2, lone inbox
	log          *bytes.Buffer
}

func newStage(t testing.TB, cfg Config) *stage {
	t.Helper()
	s := &stage{hub: hub.New(), log: new(bytes.Buffer)}
	cfg.Secret = apiSecret
	s.API = NewAPI(cfg, s.hub, slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	s.Handler = s.API.Router()
	for id, at := range map[string]struct {
		box   *inbox
		rooms []string
	}{"r1-id": {&s.r1, []string{"r", "5"}}, "r2-id": {&s.r2, []string{"r", "true"}}, "lone-id": {&s.lone, nil}} {
		sub := seat(s.hub, id, 10, plainEncoder{}, at.box).sub
		for _, room := range at.rooms {
			if err := s.hub.Join(sub, room); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// received says what each listener got: r1|r2|lone.
func (s *stage) received() string {
	return strings.Join(s.r1.take(), ";") + "|" + strings.Join(s.r2.take(), ";") + "|" + strings.Join(s.lone.take(), ";")
}

func (s *stage) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	return w
}

// post is a request as a sender of JSON makes it, signed over text.
func post(path, body, text string) *http.Request {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", sign(text))
	return r
}

func TestSend(t *testing.T) {
	tests := []struct {
		name, body, text string // text is what the token is over
		want             string // what r1, r2 and lone receive
	}{
		{"a room", `{"room":"r","event":"e","payload":{"a":1}}`, `{"a":1}`, `e {"a":1}|e {"a":1}|`},
		{"no room is everyone", `{"event":"e","payload":1}`, "1", "e 1|e 1|e 1"},
		{"a room nobody is in", `{"room":"x","event":"e","payload":1}`, "1", "||"},
		{"the room undefined", `{"room":"undefined","event":"e","payload":1}`, "1", "||"},
		{"a room without a name", `{"room":"","event":"e","payload":1}`, "1", "||"},
		{"a number is its string", `{"room":5.0,"event":"e","payload":1}`, "1", "e 1||"},
		{"a boolean is its string", `{"room":true,"event":"e","payload":1}`, "1", "|e 1|"},
		{"a room by a client's id", `{"room":"lone-id","event":"e","payload":1}`, "1", "||e 1"},
		{"case of rooms matters", `{"room":"R","event":"e","payload":1}`, "1", "||"},
		{"a room with escapes", `{"room":"\u0072","event":"e","payload":1}`, "1", "e 1|e 1|"},

		{"no payload is null", `{"room":"5","event":"e"}`, "undefined", "e null||"},
		{"a payload of null", `{"room":"5","event":"e","payload":null}`, "null", "e null||"},
		{"a payload as PHP spells it", `{"room":"5","event":"e","payload":"a\/b \u00e9 \ud83d\ude00"}`, `"a\/b \u00e9 \ud83d\ude00"`, `e "a\/b \u00e9 \ud83d\ude00"||`},
		{"the same, signed by Node.js", `{"room":"5","event":"e","payload":"a\/b \u00e9"}`, `"a/b é"`, `e "a\/b \u00e9"||`},
		{"numbers stay as they are", `{"room":"5","event":"e","payload":[12345678901234567890,1.50,-0,1.0e+25,1e400]}`, "[12345678901234567000,1.5,0,1e+25,null]", "e [12345678901234567890,1.50,-0,1.0e+25,1e400]||"},
		{"keys stay where they are", `{"room":"5","event":"e","payload":{"b":1,"a":2,"5":3}}`, `{"5":3,"b":1,"a":2}`, `e {"b":1,"a":2,"5":3}||`},
		{"blanks go", "{ \"room\" : \"5\",\n\"event\" : \"e\" , \"payload\" : { \"a b\" : [ 1 , 2 ] } }", `{ "a b" : [ 1 , 2 ] }`, `e {"a b":[1,2]}||`},
		{"literal text stays", "{\"room\":\"5\",\"event\":\"é\",\"payload\":\"<b>&'\u2028日😀\x7f\"}", "\"<b>&'\u2028日😀\x7f\"", "é \"<b>&'\u2028日😀\x7f\"||"},
		{"invalid UTF-8 is U+FFFD", "{\"room\":\"5\",\"event\":\"e\xff\",\"payload\":\"\xe2\x82\"}", "\"\ufffd\"", "e\ufffd \"\ufffd\"||"},

		{"the last of equal keys counts", `{"room":"r","event":"x","payload":1,"payload":2,"event":"e","room":"5"}`, "2", "e 2||"},
		{"keys with escapes", `{"\u0072oom":"5","e\u0076ent":"e","p\u0061yload":2}`, "2", "e 2||"},
		{"other keys are ignored", `{"Room":"r","room":"5","event":"e","payload":1,"PAYLOAD":2,"x":{"room":"r"}}`, "1", "e 1||"},
		{"except one of a room", `{"room":"r","event":"e","payload":1,"except":"r1-id"}`, "1", "|e 1|"},
		{"except one of all", `{"event":"e","payload":1,"except":"lone-id"}`, "1", "e 1|e 1|"},
		{"except one who is not there", `{"room":"5","event":"e","payload":1,"except":"lone-id"}`, "1", "e 1||"},
		{"except nobody", `{"room":"5","event":"e","payload":1,"except":null}`, "1", "e 1||"},
		{"except a number", `{"room":"5","event":"e","payload":1,"except":1}`, "1", "e 1||"},
		{"except a list", `{"room":"5","event":"e","payload":1,"except":["lone-id"]}`, "1", "e 1||"},
		{"except an object", `{"room":"5","event":"e","payload":1,"except":{"id":"lone-id"}}`, "1", "e 1||"},
		{"except an empty id", `{"room":"5","event":"e","payload":1,"except":""}`, "1", "e 1||"},
		{"a BOM", "\ufeff" + `{"room":"5","event":"e","payload":1}`, "1", "e 1||"},

		{"an empty event name", `{"room":"5","event":"","payload":1}`, "1", " 1||"},
		{"an event name with escapes", `{"room":"5","event":"\"e\u000a","payload":1}`, "1", "\"e\n 1||"},
		{"disconnect", `{"room":"5","event":"disconnect","payload":1}`, "1", "disconnect 1||"},
		{"error", `{"room":"5","event":"error","payload":1}`, "1", "error 1||"},
		{"reconnect", `{"room":"5","event":"reconnect","payload":1}`, "1", "reconnect 1||"},
		{"message", `{"room":"5","event":"message","payload":1}`, "1", "message 1||"},
		{"Connect", `{"room":"5","event":"Connect","payload":1}`, "1", "Connect 1||"},

		// Payloads that made the Node server answer 500 and show the next event to the
		// room of this one.
		{"toJSON", `{"room":"5","event":"e","payload":{"toJSON":1,"hasOwnProperty":2}}`, `{"toJSON":1,"hasOwnProperty":2}`, `e {"toJSON":1,"hasOwnProperty":2}||`},
		{"__proto__", `{"room":"__proto__","event":"e","payload":{"__proto__":1}}`, `{"__proto__":1}`, "||"},
		{"deep", `{"room":"5","event":"e","payload":` + strings.Repeat("[", 8000) + strings.Repeat("]", 8000) + `}`, strings.Repeat("[", 8000) + strings.Repeat("]", 8000), "e " + strings.Repeat("[", 8000) + strings.Repeat("]", 8000) + "||"},
	}
	s := newStage(t, Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := s.do(post("/send", tt.body, tt.text))
			got := s.received()
			if w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Length") != "0" || w.Header()["Content-Type"] != nil {
				t.Fatalf("answer %d %q %v", w.Code, w.Body, w.Header())
			}
			if got != tt.want {
				t.Errorf("received %.300q, want %.300q", got, tt.want)
			}
			want := 0
			for _, frames := range strings.Split(tt.want, "|") {
				if frames != "" {
					want++
				}
			}
			if delivered := w.Header().Get("X-Poosh-Delivered"); delivered != strconv.Itoa(want) {
				t.Errorf("X-Poosh-Delivered: %s, want %d", delivered, want)
			}
		})
	}
	if stats := s.Stats(); stats.Sent != uint64(len(tests)) {
		t.Errorf("%d sent, want %d", stats.Sent, len(tests))
	}
}

// TestRefusals gives each reason a request; none may be forgotten, and none may
// reach a listener.
func TestRefusals(t *testing.T) {
	type row struct {
		name   string
		r      *http.Request
		status int
		body   string // of the answer
		reason string
	}
	with := func(r *http.Request, header ...string) *http.Request {
		for i := 0; i < len(header); i += 2 {
			r.Header[header[i]] = []string{header[i+1]}
		}
		return r
	}
	send := func(body, text string) *http.Request { return post("/send", body, text) }
	other := func(method, path string) *http.Request {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", sign("undefined"))
		return r
	}
	const good = `{"room":"r","event":"e","payload":1}`
	const eventText, reservedText = `{"error":"event must be a string"}`, `{"error":"event has a name that Socket.IO clients cannot receive"}`
	const roomText = `{"error":"room must be a string, a number or a boolean, or left out for everyone"}`
	const charsetText = `{"error":"charset must be utf-8"}`
	const codingText = `{"error":"content encoding must be gzip, deflate or identity"}`
	const inflateText = `{"error":"body does not match its content encoding"}`
	const notFoundText = `{"error":"only POST /send is here"}`
	const pathText = `{"error":"path cannot be decoded"}`

	tests := []row{
		{"an expectation", with(send(good, "1"), "Expect", "200-ok"), 417, `{"error":"only 100-continue can be expected"}`, "expectation"},
		{"an unknown method", other("BREW", "/send"), 400, `{"error":"unknown method"}`, "method"},
		{"a method in lower case", func() *http.Request { r := send(good, "1"); r.Method = "post"; return r }(), 400, `{"error":"unknown method"}`, "method"},

		{"no token", with(send(good, "1"), "Authorization", ""), 401, "", "no_token"},
		{"a blank token", with(send(good, "1"), "Authorization", " \t"), 401, "", "no_token"},
		{"another token", send(good, "2"), 401, "", "bad_token"},
		{"an upper-case token", with(send(good, "1"), "Authorization", strings.ToUpper(sign("1"))), 401, "", "bad_token"},
		{"a Bearer token", with(send(good, "1"), "Authorization", "Bearer "+sign("1")), 401, "", "bad_token"},
		{"no payload, signed over nothing", send(`{"event":"e"}`, ""), 401, "", "bad_token"},
		{"no payload, signed over null", send(`{"event":"e"}`, "null"), 401, "", "bad_token"},

		{"charset latin1", with(send(good, "1"), "Content-Type", "application/json; charset=latin1"), 415, charsetText, "charset"},
		{"charset utf-16", with(send(good, "1"), "Content-Type", "application/json; charset=utf-16"), 415, charsetText, "charset"},
		{"charset utf-7", with(send(good, "1"), "Content-Type", `application/json;charset="UTF-7"`), 415, charsetText, "charset"},
		{"br", with(send(good, "1"), "Content-Encoding", "br"), 415, codingText, "content_encoding"},
		{"x-gzip", with(send(good, "1"), "Content-Encoding", "x-gzip"), 415, codingText, "content_encoding"},
		{"a list of codings", with(send(good, "1"), "Content-Encoding", "gzip, gzip"), 415, codingText, "content_encoding"},
		{"no gzip", with(send(good, "1"), "Content-Encoding", "gzip"), 400, inflateText, "inflate"},
		{"no deflate", with(send(good, "1"), "Content-Encoding", "deflate"), 400, inflateText, "inflate"},
		{"too large", send(`{"event":"e","payload":"`+strings.Repeat("x", 102400)+`"}`, "undefined"), 413, `{"error":"body is larger than 102400 bytes"}`, "too_large"},

		{"a comma too many", send(`{"event":"e",}`, "undefined"), 400, `{"error":"invalid JSON at byte 13"}`, "json"},
		{"text behind it", send(good+"x", "1"), 400, `{"error":"invalid JSON at byte 36"}`, "json"},
		{"a comment", send("/**/"+good, "1"), 400, `{"error":"body must be a JSON object"}`, "not_object"},
		{"single quotes", send("{'event':'e'}", "undefined"), 400, `{"error":"invalid JSON at byte 1"}`, "json"},
		{"NaN", send(`{"event":"e","payload":NaN}`, "NaN"), 400, `{"error":"invalid JSON at byte 23"}`, "json"},
		{"a raw newline", send("{\"event\":\"e\n\"}", "undefined"), 400, `{"error":"invalid JSON at byte 11"}`, "json"},
		{"blanks only", send(" \n ", "undefined"), 400, `{"error":"invalid JSON at byte 3"}`, "json"},
		{"two BOMs", send("\ufeff\ufeff"+good, "1"), 400, `{"error":"body must be a JSON object"}`, "not_object"},
		{"a string", send(`"x"`, "undefined"), 400, `{"error":"body must be a JSON object"}`, "not_object"},
		{"null", send(`null`, "undefined"), 400, `{"error":"body must be a JSON object"}`, "not_object"},
		{"too deep", send(`{"payload":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+"}", "undefined"), 400, `{"error":"JSON is nested too deep"}`, "too_deep"},
		// JSON that is bad is 400 whatever the token and the path.
		{"bad JSON, bad token", send(`{`, "wrong"), 400, `{"error":"invalid JSON at byte 1"}`, "json"},
		{"bad JSON elsewhere", post("/elsewhere", `{`, "wrong"), 400, `{"error":"invalid JSON at byte 1"}`, "json"},
		{"bad JSON with PUT", func() *http.Request { r := send(`{`, "wrong"); r.Method = "PUT"; return r }(), 400, `{"error":"invalid JSON at byte 1"}`, "json"},
		{"bad JSON with GET", func() *http.Request { r := send(`{`, "wrong"); r.Method = "GET"; return r }(), 400, `{"error":"invalid JSON at byte 1"}`, "json"},
		// But without a token nothing is read.
		{"bad JSON, no token", with(send(`{`, ""), "Authorization", ""), 401, "", "no_token"},

		{"GET", other("GET", "/send"), 401, "", "read"},
		{"GET elsewhere", other("GET", "/"), 401, "", "read"},
		{"HEAD", other("HEAD", "/send"), 401, "", "read"},
		{"HEAD elsewhere", other("HEAD", "/x/y"), 401, "", "read"},
		{"GET without a token", httptest.NewRequest("GET", "/send", nil), 401, "", "no_token"},
		{"OPTIONS without a token", httptest.NewRequest("OPTIONS", "/send", nil), 401, "", "no_token"},
		{"POST /", post("/", good, "1"), 404, notFoundText, "not_found"},
		{"POST //send", post("http://h//send", good, "1"), 404, notFoundText, "not_found"},
		{"POST /send//", post("/send//", good, "1"), 404, notFoundText, "not_found"},
		{"POST /send/x", post("/send/x", good, "1"), 404, notFoundText, "not_found"},
		{"POST /sen", post("/sen", good, "1"), 404, notFoundText, "not_found"},
		{"POST /%73end", post("/%73end", good, "1"), 404, notFoundText, "not_found"},
		{"POST /send%2F", post("/send%2F", good, "1"), 404, notFoundText, "not_found"},
		{"POST /send;x", post("/send;x", good, "1"), 404, notFoundText, "not_found"},
		// Folding case as Unicode does would take it for /send.
		{"a long s", post("/%C5%BFend", good, "1"), 404, notFoundText, "not_found"},
		{"POST elsewhere, bad token", post("/x", good, "2"), 401, "", "bad_token"},
		{"POST /%FF", post("/%FF", good, "1"), 400, pathText, "path"},
		{"POST /%FF, bad token", post("/%FF", good, "2"), 401, "", "bad_token"},
		{"GET /%FF", other("GET", "/%FF"), 400, pathText, "path"},
		{"OPTIONS /%ed%a0%80", other("OPTIONS", "/%ed%a0%80"), 400, pathText, "path"},
		{"PUT", other("PUT", "/send"), 404, notFoundText, "not_found"},
		{"DELETE", other("DELETE", "/send"), 404, notFoundText, "not_found"},
		{"PATCH elsewhere", other("PATCH", "/x"), 404, notFoundText, "not_found"},
		{"a method chi does not know", other("PROPFIND", "/send"), 404, notFoundText, "not_found"},

		{"no event", send(`{"room":"r","payload":1}`, "1"), 400, eventText, "event"},
		{"event null", send(`{"room":"r","event":null,"payload":1}`, "1"), 400, eventText, "event"},
		{"event a number", send(`{"room":"r","event":5,"payload":1}`, "1"), 400, eventText, "event"},
		{"event an object", send(`{"room":"r","event":{"toJSON":1},"payload":1}`, "1"), 400, eventText, "event"},
		{"an empty body", send(``, "undefined"), 400, eventText, "event"},
		{"a BOM alone", send("\ufeff", "undefined"), 400, eventText, "event"},
		{"an array", send(`[{"room":"r","event":"e","payload":1}]`, "undefined"), 400, eventText, "event"},
		{"another media type", with(send(good, "undefined"), "Content-Type", "text/plain"), 400, eventText, "event"},
		{"another media type, signed as JSON", with(send(good, "1"), "Content-Type", "text/plain"), 401, "", "bad_token"},
		{"room null", send(`{"room":null,"event":"e","payload":1}`, "1"), 400, roomText, "room"},
		{"room an array", send(`{"room":["r"],"event":"e","payload":1}`, "1"), 400, roomText, "room"},
		{"an empty key", with(send(good, "1"), "Idempotency-Key", ""), 400, `{"error":"there must be one Idempotency-Key, of 1 to 128 bytes"}`, "idempotency_key"},
		{"room an object", send(`{"room":{"toString":1},"event":"e","payload":1}`, "1"), 400, roomText, "room"},
	}
	for _, name := range []string{
		"connect", "connection", "newListener", "connect_error", "disconnecting", "removeListener", "__proto__", "constructor",
		"toString", "toLocaleString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
		"__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__",
	} {
		tests = append(tests,
			row{"event " + name, send(`{"room":"r","event":"`+name+`","payload":1}`, "1"), 400, reservedText, "reserved_event"},
			row{"escaped " + name, send(`{"room":"r","event":"\u00`+hex.EncodeToString([]byte(name[:1]))+name[1:]+`","payload":1}`, "1"), 400, reservedText, "reserved_event"})
	}

	s := newStage(t, Config{})
	refused := map[string]uint64{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.log.Reset()
			w := s.do(tt.r)
			got := s.received()
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Fatalf("answer %d %s, want %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			refused[tt.reason]++
			if got != "||" {
				t.Errorf("refused, but received: %q", got)
			}
			switch contentType, length := w.Header().Get("Content-Type"), w.Header().Get("Content-Length"); {
			case tt.body == "" && (contentType != "" || length != "0"):
				t.Errorf("no body, but Content-Type %q, Content-Length %q", contentType, length)
			case tt.body != "" && (contentType != "application/json" || !json.Valid(w.Body.Bytes())):
				t.Errorf("Content-Type %q for %s", contentType, w.Body)
			}
			if w.Header()["Www-Authenticate"] != nil || w.Header()["X-Poosh-Delivered"] != nil {
				t.Errorf("headers %v", w.Header())
			}
			if log := s.log.String(); strings.Contains(log, apiSecret) || strings.Contains(log, sign("1")) {
				t.Errorf("logged %s", log)
			}
		})
	}
	for name, n := range s.Stats().Refused {
		if n != refused[name] {
			t.Errorf("%d refused for %s, want %d", n, name, refused[name])
		}
	}
	// Every reason is tried, here or in a test of its own.
	elsewhere := []string{"overloaded", "broken_body", "slow_body", "input_full", "idempotency_conflict", "idempotency_under_way", "page", "away", "away_full", "uncertain"}
	for why := accepted + 1; why < numReasons; why++ {
		if name := refusals[why].name; refused[name] == 0 && !slices.Contains(elsewhere, name) {
			t.Errorf("no request is refused for %s", name)
		}
	}
}

func TestRoutes(t *testing.T) {
	s := newStage(t, Config{})
	for _, path := range []string{"/send", "/send/", "/SEND", "/Send/", "/send?x=1", "/send?%", "/SEND/?a=b&c", "http://poosh.example/send", "http://poosh.example:1337/sEnd/?x"} {
		w := s.do(post(path, `{"room":"5","event":"e","payload":1}`, "1"))
		if got := s.received(); w.Code != 200 || got != "e 1||" {
			t.Errorf("POST %s: %d, received %q", path, w.Code, got)
		}
	}
	for path, want := range map[string]string{
		"/send": "POST,GET,HEAD", "/SEND/": "POST,GET,HEAD", "/send?x": "POST,GET,HEAD",
		"/": "GET,HEAD", "/x": "GET,HEAD", "/send/x": "GET,HEAD", "/%73end": "GET,HEAD",
	} {
		r := httptest.NewRequest("OPTIONS", path, nil)
		r.Header.Set("Authorization", sign("undefined"))
		w := s.do(r)
		if w.Code != 200 || w.Header().Get("Allow") != want || w.Body.String() != want {
			t.Errorf("OPTIONS %s: %d, Allow %q, %q; want %q", path, w.Code, w.Header().Get("Allow"), w.Body, want)
		}
		if w.Header()["Access-Control-Allow-Origin"] != nil {
			t.Errorf("OPTIONS %s: CORS on this port", path)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	s := newStage(t, Config{})
	const body = `{"room":"5","event":"e","payload":1}`
	for contentType, read := range map[string]bool{
		"application/json":                               true,
		"APPLICATION/Json":                               true,
		" application/json ":                             true,
		"application/json; charset=utf-8":                true,
		"application/json;charset=UTF-8":                 true,
		"application/json ;  charset = utf-8 ":           true,
		`application/json; charset="utf-8"`:              true,
		`application/json; charset="UTF\-8"`:             true,
		`application/json; charset=""`:                   true,
		"application/json; charset=utf8":                 true,
		"application/json; Charset=Utf8":                 true,
		"application/json; charset=latin1;charset=utf-8": true,
		`application/json; a=b; c="d;\"e"`:               true,
		"application/json; a=\"\xe9\"":                   true,

		"":                                   false,
		"application/json;":                  false,
		"application/json; charset=utf-8;":   false,
		"application/json; charset":          false,
		"application/json; charset=":         false,
		"application/json; =utf-8":           false,
		"application/json; a=b c":            false,
		"application/json;\tcharset=utf-8":   false,
		"application/json\t; a=b":            false,
		`application/json; a="b`:             false,
		`application/json; a="b\`:            false,
		"application/json; a=\"\\\xe9\"":     false,
		"application/json; a=\"b\tc\"":       false,
		"application/json, application/json": false,
		"application/vnd.api+json":           false,
		"application/json+x":                 false,
		"application/j\u017fon":              false,
		"text/json":                          false,
		"text/plain":                         false,
		"application/x-www-form-urlencoded":  false,
	} {
		r := post("/send", body, "1")
		r.Header["Content-Type"] = []string{contentType}
		want := 401 // the token is over 1, but the body counts as {}
		if read {
			want = 200
		}
		if w := s.do(r); w.Code != want {
			t.Errorf("%q: %d, want %d", contentType, w.Code, want)
		}
	}
	r := post("/send", body, "1")
	delete(r.Header, "Content-Type")
	if w := s.do(r); w.Code != 401 {
		t.Errorf("no Content-Type: %d", w.Code)
	}
	// Node.js keeps the first.
	r = post("/send", body, "1")
	r.Header["Content-Type"] = []string{"application/json", "text/plain"}
	if w := s.do(r); w.Code != 200 {
		t.Errorf("two Content-Types: %d", w.Code)
	}
}

func gzipped(parts ...string) string {
	var b bytes.Buffer
	for _, part := range parts {
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, part)
		_ = z.Close()
	}
	return b.String()
}

func deflated(text string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

func TestContentCodings(t *testing.T) {
	const body = `{"room":"5","event":"e","payload":1}`
	zipped, zlibbed := gzipped(body), deflated(body)
	bomb := gzipped(strings.Repeat("[", 10<<20))
	withDictionary := func() string {
		var b bytes.Buffer
		z, _ := zlib.NewWriterLevelDict(&b, 9, []byte("event"))
		_, _ = io.WriteString(z, body)
		_ = z.Close()
		return b.String()
	}()
	tests := []struct {
		name, coding, body string
		want               int
	}{
		{"gzip", "gzip", zipped, 200},
		{"its name in capitals", "GZip", zipped, 200},
		{"deflate", "deflate", zlibbed, 200},
		{"identity", "Identity", body, 200},
		{"no name", "", body, 200},
		{"members", "gzip", gzipped(body[:9], "", body[9:]), 200},
		{"zeros behind it", "gzip", zipped + "\x00\x00\x00", 200},
		{"zeros and more behind it", "gzip", zipped + "\x00x", 200},
		{"text behind gzip", "gzip", zipped + "x", 400},
		{"half a header behind gzip", "gzip", zipped + "\x1f", 400},
		{"text behind deflate", "deflate", zlibbed + "x", 200},
		{"gzip cut in its data", "gzip", zipped[:len(zipped)-9], 400},
		{"gzip cut in its sum", "gzip", zipped[:len(zipped)-1], 400},
		{"a wrong sum", "gzip", zipped[:len(zipped)-8] + "xxxx" + zipped[len(zipped)-4:], 400},
		{"deflate cut", "deflate", zlibbed[:len(zlibbed)-1], 400},
		{"deflate without zlib's header", "deflate", zlibbed[2 : len(zlibbed)-4], 400},
		{"deflate with a dictionary", "deflate", withDictionary, 400},
		{"gzip as deflate", "deflate", zipped, 400},
		{"deflate as gzip", "gzip", zlibbed, 400},
		{"plain as gzip", "gzip", body, 400},
		{"a bomb", "gzip", bomb, 413},
		{"a bomb of members", "gzip", strings.Repeat(gzipped(""), 20_000), 413},
	}
	s := newStage(t, Config{MaxWire: 64 << 10})
	// Twice, so that each is also read with what the one before left behind.
	for range 2 {
		for _, tt := range tests {
			r := post("/send", tt.body, "1")
			r.Header.Set("Content-Encoding", tt.coding)
			w := s.do(r)
			if w.Code != tt.want {
				t.Errorf("%s: %d %s, want %d", tt.name, w.Code, w.Body, tt.want)
			}
			if got := s.received(); (got == "e 1||") != (tt.want == 200) {
				t.Errorf("%s: received %q", tt.name, got)
			}
		}
	}
	for name, text := range map[string]string{"gzip": gzipped(""), "deflate": deflated("")} {
		r := post("/send", text, "undefined")
		r.Header.Set("Content-Encoding", name)
		if w := s.do(r); w.Code != 400 || !strings.Contains(w.Body.String(), "event must be") {
			t.Errorf("%s of nothing: %d %s", name, w.Code, w.Body)
		}
	}
	r := post("/send", zipped, "1")
	r.Header["Content-Encoding"] = []string{"gzip", "gzip"}
	if w := s.do(r); w.Code != 415 {
		t.Errorf("two Content-Encodings: %d", w.Code)
	}
}

// TestBodyLimit: the limit is on the text, however it came.
func TestBodyLimit(t *testing.T) {
	text := func(size int) string {
		const before, after = `{"room":"5","event":"e","payload":1,"x":"`, `"}`
		return before + strings.Repeat("x", size-len(before)-len(after)) + after
	}
	for _, limit := range []int{0, 1000, 1 << 20} {
		s := newStage(t, Config{MaxBody: int64(limit)})
		size := limit
		if size == 0 {
			size = 102400
		}
		for _, tt := range []struct {
			size int
			want int
		}{{size, 200}, {size + 1, 413}, {2 * size, 413}} {
			for _, coding := range []string{"", "chunked", "gzip", "deflate"} {
				body := text(tt.size)
				switch coding {
				case "gzip":
					body = gzipped(body)
				case "deflate":
					body = deflated(body)
				}
				r := post("/send", body, "1")
				if coding == "chunked" {
					r.ContentLength = -1
				} else if coding != "" {
					r.Header.Set("Content-Encoding", coding)
				}
				if w := s.do(r); w.Code != tt.want {
					t.Errorf("limit %d, %d bytes %s: %d, want %d", size, tt.size, coding, w.Code, tt.want)
				}
			}
		}
	}
}

func TestTokenHeader(t *testing.T) {
	s := newStage(t, Config{})
	const body = `{"room":"5","event":"e","payload":1}`
	good := sign("1")
	for _, tt := range []struct {
		name   string
		values []string
		want   int
	}{
		{"one", []string{good}, 200},
		{"blanks around", []string{"\t " + good + " \t"}, 200},
		{"the first counts", []string{good, "x"}, 200},
		{"the first counts, and is wrong", []string{"x", good}, 401},
		{"the first counts, and is empty", []string{"", good}, 401},
		{"a list", []string{good + ", " + good}, 401},
	} {
		r := post("/send", body, "1")
		r.Header["Authorization"] = tt.values
		if w := s.do(r); w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.want)
		}
	}
}

// behind is a server that does not keep up while it is true.
type behind struct{ yes bool }

func (b *behind) Late() bool { return b.CaughtUp() != nil }

func (b *behind) CaughtUp() <-chan struct{} {
	if b.yes {
		return make(chan struct{})
	}
	return nil
}

func TestOverloaded(t *testing.T) {
	b := new(behind)
	s := newStage(t, Config{Gate: admission.New(b, time.Millisecond)})
	request := func() *http.Request {
		r := httptest.NewRequest("POST", "/send", strings.NewReader(`{"room":"5","event":"e","payload":1}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", sign("1"))
		return r
	}
	if w := s.do(request()); w.Code != 200 {
		t.Fatalf("not busy: %d", w.Code)
	}
	b.yes = true
	w := s.do(request())
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Body.String() != `{"error":"busy, try again"}` {
		t.Errorf("busy: %d %v %s", w.Code, w.Header(), w.Body)
	}
	for _, token := range []string{"", sign("2")} { // nobody waits who may not send
		r := request()
		r.Header.Set("Authorization", token)
		if w := s.do(r); w.Code != 401 {
			t.Errorf("busy, token %q: %d", token, w.Code)
		}
	}
	if got := s.Stats(); got.Refused["overloaded"] != 1 || got.Sent != 1 {
		t.Errorf("stats %+v", got)
	}
	b.yes = false
	if w := s.do(request()); w.Code != 200 {
		t.Errorf("busy no more: %d", w.Code)
	}
}

// TestReuse sends from many goroutines, so that buffers go from one request to the
// next, and expects each payload whole where it belongs.
func TestReuse(t *testing.T) {
	h := hub.New()
	a := NewAPI(Config{Secret: apiSecret}, h, slog.New(slog.DiscardHandler))
	handler := a.Router()
	const senders, each = 8, 200
	var boxes [senders]inbox
	var wg sync.WaitGroup
	for n := range senders {
		sub := h.Register(App, strconv.Itoa(n), 1, plainEncoder{}, &boxes[n])
		if err := h.Join(sub, "room"+strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := range each {
				payload := `{ "n" : "` + strings.Repeat(strconv.Itoa(n), 1+i*7%900) + `" }`
				body := `{"room":"room` + strconv.Itoa(n) + `","event":"e` + strconv.Itoa(i) + `","payload":` + payload + `}`
				r := post("/send", body, payload)
				if i%3 == 0 {
					r = post("/send", gzipped(body), payload)
					r.Header.Set("Content-Encoding", "gzip")
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != 200 {
					t.Errorf("%d: %d %s", n, w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
	for n := range senders {
		frames := boxes[n].take()
		if len(frames) != each {
			t.Fatalf("room %d got %d events, want %d", n, len(frames), each)
		}
		for i, frame := range frames {
			if want := "e" + strconv.Itoa(i) + ` {"n":"` + strings.Repeat(strconv.Itoa(n), 1+i*7%900) + `"}`; frame != want {
				t.Fatalf("room %d, event %d: %.100s, want %.100s", n, i, frame, want)
			}
		}
	}
	if s := a.Stats(); s.Sent != senders*each || s.Delivered != senders*each {
		t.Errorf("stats %+v", s)
	}
}

func TestLog(t *testing.T) {
	s := newStage(t, Config{})
	line := func(r *http.Request) string {
		s.log.Reset()
		s.do(r)
		if n := strings.Count(s.log.String(), "\n"); n != 1 {
			t.Errorf("%d lines: %s", n, s.log)
		}
		return s.log.String()
	}
	for _, want := range []string{"level=DEBUG", "msg=sent", "id=", "event=e", "room=r", "everyone=false", "bytes=7", "delivered=2", "remote=192.0.2.1:1234"} {
		if got := line(post("/send", `{"room":"r","event":"e","payload":{"a":1}}`, `{"a":1}`)); !strings.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
	if got := line(post("/send", `{"room":"r","event":"e","payload":1}`, "2")); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "reason=bad_token") {
		t.Errorf("a bad token: %q", got)
	}
	if got := line(httptest.NewRequest("GET", "/wp-login.php", nil)); !strings.Contains(got, "level=DEBUG") {
		t.Errorf("a scanner: %q", got)
	}
	long := strings.Repeat("x", 5000)
	if got := line(post("/"+long, "{}", "undefined")); len(got) > 600 {
		t.Errorf("a line of %d bytes", len(got))
	}
}

func TestNoSecret(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an API without a secret")
		}
	}()
	NewAPI(Config{}, hub.New(), slog.New(slog.DiscardHandler))
}

func FuzzSend(f *testing.F) {
	const body = `{"room":"5","event":"e","payload":1}`
	f.Add("POST", "/send", "application/json", "", sign("1"), []byte(body))
	f.Add("POST", "/SEND/", "application/json; charset=utf-8", "gzip", sign("1"), []byte(gzipped(body)))
	f.Add("POST", "/send", "application/json", "deflate", sign("1"), []byte(deflated(body)))
	f.Add("OPTIONS", "/%ff", "text/plain", "br", sign("undefined"), []byte("x"))
	f.Add("GET", "/", "", "", "", []byte(nil))
	s := newStage(f, Config{MaxBody: 4096})
	s.API.log = slog.New(slog.DiscardHandler)
	allowed := []int{200, 400, 401, 404, 413, 415, 417}
	f.Fuzz(func(t *testing.T, method, path, contentType, coding, token string, body []byte) {
		u, err := http.NewRequest("POST", "http://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Method = method
		if parsed, err := u.URL.Parse(path); err == nil {
			r.URL = parsed
		}
		r.Header["Content-Type"] = []string{contentType}
		r.Header["Content-Encoding"] = []string{coding}
		r.Header["Authorization"] = []string{token}
		before := s.Stats()
		w := s.do(r)
		if !slices.Contains(allowed, w.Code) {
			t.Fatalf("status %d", w.Code)
		}
		if w.Body.Len() > 0 && w.Code != 200 && !json.Valid(w.Body.Bytes()) {
			t.Fatalf("answer %q", w.Body)
		}
		// Every request is counted once, but for OPTIONS that are answered.
		after := s.Stats()
		counted := after.Sent - before.Sent
		for name := range after.Refused {
			counted += after.Refused[name] - before.Refused[name]
		}
		if counted != 1 && (method != "OPTIONS" || w.Code != 200) {
			t.Fatalf("%s %s: %d, counted %d times", method, path, w.Code, counted)
		}
		if sent := after.Sent != before.Sent; sent != (w.Header()["X-Poosh-Delivered"] != nil) {
			t.Fatalf("sent %v, headers %v", sent, w.Header())
		}
		s.received()
	})
}

// A discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// A sender makes the same request again and again without allocating, as a connection
// on the loop does.
type sender struct {
	r    *http.Request
	body string
	from strings.Reader
	w    discard
}

func newSender(body, text string) *sender {
	return &sender{r: post("/send", body, text).WithContext(route.Context()), body: body, w: discard{http.Header{}}}
}

func (s *sender) send(h http.Handler) {
	s.from.Reset(s.body)
	s.r.Body = s
	clear(s.w.header)
	h.ServeHTTP(&s.w, s.r)
}

func (s *sender) Read(p []byte) (int, error) { return s.from.Read(p) }
func (s *sender) Close() error               { return nil }

func BenchmarkSend(b *testing.B) {
	text := strings.Repeat("lorem ipsum ", 8)
	for _, bb := range []struct{ name, payload, signed string }{
		{"as sent", `{"id":17,"text":"` + text + `"}`, `{"id":17,"text":"` + text + `"}`},
		{"PHP signed by Node", `{"url":"http:\/\/example.com","text":"` + text + `"}`, `{"url":"http://example.com","text":"` + text + `"}`},
		{"90 KB", `"` + strings.Repeat(text, 960) + `"`, `"` + strings.Repeat(text, 960) + `"`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			a := NewAPI(Config{Secret: apiSecret}, hub.New(), slog.New(slog.DiscardHandler))
			h := a.Router()
			s := newSender(`{"room":"r","event":"news","payload":`+bb.payload+`}`, bb.signed)
			b.SetBytes(int64(len(s.body)))
			b.ReportAllocs()
			for b.Loop() {
				s.send(h)
			}
			if a.Stats().Sent == 0 {
				b.Fatal("nothing was sent")
			}
		})
	}
}

// failing is a body that cannot be read.
type failing struct {
	err   error
	reads int
}

func (f *failing) Read([]byte) (int, error) { f.reads++; return 0, f.err }
func (f *failing) Close() error             { return nil }

// TestBodiesThatAreNotRead: what cannot be a token is refused before its body costs
// anything, and a body for which there is no room is answered so.
func TestBodiesThatAreNotRead(t *testing.T) {
	s := newStage(t, Config{})
	send := func(token string) (*httptest.ResponseRecorder, int) {
		body := &failing{err: quota.ErrFull}
		r := httptest.NewRequest("POST", "/send", body)
		r.ContentLength = 50
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", token)
		w := s.do(r)
		return w, body.reads
	}
	if w, _ := send("short"); w.Code != 401 {
		t.Errorf("no token: %d", w.Code)
	}
	if got := s.Stats().Refused; got["bad_token"] != 1 {
		t.Errorf("%v", got)
	}
	w, reads := send(sign("1"))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "error") || reads != 1 {
		t.Errorf("no room: %d %v %s, %d reads", w.Code, w.Header(), w.Body, reads)
	}
	if got := s.Stats().Refused; got["input_full"] != 1 {
		t.Errorf("%v", got)
	}
}
