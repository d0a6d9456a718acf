package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// The tests of this file and of the other rules_*_test.go hold, one by one, what
// every released client needs of a server, at the level of bytes.

// A page of another origin that polls with credentials, as 1.x and 2.x do, reads
// nothing unless its own origin is named, errors included.
func TestCrossOriginHeadersOnEveryAnswer(t *testing.T) {
	s := start(t, "MAX_PACKET_BYTES=10000")
	base := s.clientURL() + "/socket.io/?"
	live, gone := poll(t, s, "EIO=3"), poll(t, s, "EIO=3")
	gone.post("1")
	four := poll(t, s, "EIO=4")
	for _, c := range []struct {
		name, method, url, body string
		status                  int
	}{
		{"handshake, EIO 3", "GET", base + "EIO=3&transport=polling", "", 200},
		{"handshake, EIO 4", "GET", base + "EIO=4&transport=polling", "", 200},
		{"poll", "GET", live.url, "", 200},
		{"POST", "POST", live.url, "1:2", 200},
		{"POST, EIO 4", "POST", four.url, "3", 200},
		{"OPTIONS with a session", "OPTIONS", live.url, "", 200},
		{"OPTIONS without a session", "OPTIONS", base + "EIO=3&transport=polling", "", 200},
		{"no transport", "GET", base, "", 400},
		{"unknown transport", "GET", base + "transport=flash", "", 400},
		{"unknown session", "GET", base + "transport=polling&sid=aaaaaaaaaaaaaaaaaaaa", "", 400},
		{"session that ended", "GET", gone.url, "", 400},
		{"POST to an unknown session", "POST", base + "transport=polling&sid=aaaaaaaaaaaaaaaaaaaa", "1:2", 400},
		{"handshake by POST", "POST", base + "transport=polling", "1:2", 400},
		{"websocket without upgrade", "GET", base + "transport=websocket", "", 400},
		{"POST larger than the bound", "POST", live.url, strings.Repeat("x", 20000), 413},
	} {
		for _, origin := range []string{"http://page.example:8080", "null", ""} {
			var header []string
			if origin != "" {
				header = append(header, "Origin: "+origin)
			}
			if c.name == "poll" {
				live.post("2") // something to say
			}
			a := ask(t, c.method, c.url, c.body, header...)
			wantOrigin, wantCredentials := origin, "true"
			if origin == "" {
				wantOrigin, wantCredentials = "*", ""
			}
			if got := a.header.Get("Access-Control-Allow-Origin"); got != wantOrigin {
				t.Errorf("%s, origin %q: Access-Control-Allow-Origin is %q, want %q", c.name, origin, got, wantOrigin)
			}
			if got := a.header.Get("Access-Control-Allow-Credentials"); got != wantCredentials {
				t.Errorf("%s, origin %q: Access-Control-Allow-Credentials is %q, want %q", c.name, origin, got, wantCredentials)
			}
			// A POST over the bound ends the session, and so does a second poll on
			// one that the first has ended.
			if c.status == 413 && origin != "http://page.example:8080" {
				continue
			}
			if a.status != c.status {
				t.Errorf("%s, origin %q: status %d %.200q, want %d", c.name, origin, a.status, a.body, c.status)
			}
		}
	}
}

// Browsers of 1.0 to 1.3 take nothing but application/octet-stream, and 1.0 and
// 1.1 not even a parameter behind it.
func TestPollingIsBinaryUnlessAskedOtherwise(t *testing.T) {
	s := start(t)
	for _, query := range []string{"EIO=2", "EIO=3", "", "EIO=3&mine=1"} {
		p := poll(t, s, query)
		p.join("r")
		s.waitRoom(t, "r", 1)
		s.send(t, "r", "e", `"x"`)
		a := ask(t, "GET", p.url, "")
		for name, a := range map[string]answer{"handshake": p.first, "poll": a} {
			if got := a.header.Get("Content-Type"); got != "application/octet-stream" {
				t.Errorf("%q, %s: Content-Type is %q, want exactly application/octet-stream", query, name, got)
			}
			if _, err := splitBinary(a.body); err != nil {
				t.Errorf("%q, %s: not a binary payload: %v in %q", query, name, err, a.body)
			}
		}
		p.post("1")
		s.waitRoom(t, "r", 0)
	}
}

// Node's clients ask for text with b64=1; JSONP has no other way, whether it
// says so or not.
func TestTextPayloadsForB64AndJSONP(t *testing.T) {
	s := start(t)
	for query, want := range map[string]string{
		"EIO=3&b64=1":     "text/plain; charset=UTF-8",
		"EIO=2&b64=1":     "text/plain; charset=UTF-8",
		"EIO=3&j=0&b64=1": "text/javascript; charset=UTF-8",
		"EIO=3&j=7":       "text/javascript; charset=UTF-8",
		"EIO=4":           "text/plain; charset=UTF-8",
		"EIO=4&j=3&b64=1": "text/javascript; charset=UTF-8",
	} {
		p := poll(t, s, query)
		p.hear("40")
		p.post(`42["room","r"]`)
		s.waitRoom(t, "r", 1)
		s.send(t, "r", "e", `"x"`)
		a := ask(t, "GET", p.url, "")
		for name, a := range map[string]answer{"handshake": p.first, "poll": a} {
			if got := a.header.Get("Content-Type"); !strings.EqualFold(got, want) {
				t.Errorf("%s, %s: Content-Type is %q, want %q", query, name, got, want)
			}
		}
		p.post("1")
		s.waitRoom(t, "r", 0)
	}
}

// A JSONP answer is a script that the page runs: the index is digits only, and
// nothing in an event can end the string it stands in.
func TestJSONPAnswerIsOneSafeCall(t *testing.T) {
	s := start(t)
	for index, want := range map[string]string{
		"0":                  "___eio[0](\"",
		"12":                 "___eio[12](\"",
		"1);alert(1);//":     "___eio[11](\"",
		"<script>2</script>": "___eio[2](\"",
	} {
		p := poll(t, s, "EIO=3&b64=1&j="+url.QueryEscape(index))
		if !strings.HasPrefix(p.first.body, want) || !strings.HasSuffix(p.first.body, "\");") {
			t.Errorf("j=%q: answer %.40q...%q, want %q...\");", index, p.first.body, p.first.body[max(0, len(p.first.body)-10):], want)
		}
		// Whoever says nosniff must call a script one, or no browser runs it.
		kind, sniff := p.first.header.Get("Content-Type"), p.first.header.Get("X-Content-Type-Options")
		if sniff != "nosniff" || !strings.HasPrefix(kind, "text/javascript;") {
			t.Errorf("j=%q: Content-Type is %q, X-Content-Type-Options %q; want text/javascript and nosniff", index, kind, sniff)
		}
		p.join("jsonp")
	}
	s.waitRoom(t, "jsonp", 4)
	p := poll(t, s, "EIO=3&b64=1&j=0")
	p.join("one")
	s.waitRoom(t, "one", 1)
	p.get()
	s.send(t, "one", "e", "\"\u2028 \\\" \\\\ ');</script> \\n\"")
	a := ask(t, "GET", p.url, "")
	inside := strings.TrimSuffix(strings.TrimPrefix(a.body, "___eio[0](\""), "\");")
	for _, bad := range []string{"\u2028", "\n", "\r"} {
		if strings.Contains(inside, bad) {
			t.Errorf("the script holds %q: %q", bad, a.body)
		}
	}
	if got := p.packets(a); len(got) != 1 || canonical(got[0][2:]) != canonical("[\"e\",\"\u2028 \\\" \\\\ ');</script> \\n\"]") {
		t.Errorf("the page is given %q", got)
	}
}

// Nobody can decode twice or count wrongly what is ASCII: names, keys and texts
// leave so on every transport.
func TestEverythingSentIsASCII(t *testing.T) {
	s := start(t)
	const event = "\u00e9v\u00e9nement \U0001F600"
	const payload = "{\"cl\u00e9\":[\"\u2028\ufeff\u90e8\U0001F600\",\"\\ud800\"]}"
	want := canonical("[" + quote(event) + "," + payload + "]")

	for _, query := range []string{"EIO=2", "EIO=3", "EIO=3&b64=1", "EIO=3&j=1&b64=1", "EIO=4"} {
		p := poll(t, s, query)
		p.join("ascii")
		s.waitRoom(t, "ascii", 1)
		p.get() // the probes
		s.send(t, "ascii", event, payload)
		a := ask(t, "GET", p.url, "")
		packets := p.packets(a)
		if len(packets) != 1 || canonical(packets[0]) != "42"+want {
			t.Errorf("%s: packets %q, want one 42%s", query, packets, want)
		}
		for i, b := range []byte(a.body) {
			// 255 ends the length of a binary packet.
			if b > 0x7f && !(b == 0xff && i < 8 && !strings.Contains(query, "b64")) {
				t.Errorf("%s: byte %#x at %d of %q is not ASCII", query, b, i, a.body)
				break
			}
		}
		p.post("1")
		s.waitRoom(t, "ascii", 0)
	}
	for eio := 2; eio <= 4; eio++ {
		ws, err := joinSocket(s.clientPort, eio, "ascii", "")
		if err != nil {
			t.Fatal(err)
		}
		s.waitRoom(t, "ascii", 1)
		s.send(t, "ascii", event, payload)
		packet, err := ws.hear(patience, "the event", func(m string) bool {
			return strings.HasPrefix(m, "42") && !strings.Contains(m, "probe")
		})
		if err != nil {
			t.Error(err)
		}
		if strings.IndexFunc(packet, func(r rune) bool { return r > 0x7f }) >= 0 || canonical(packet) != "42"+want {
			t.Errorf("websocket, EIO %d: packet %q, want 42%s in ASCII", eio, packet, want)
		}
		ws.Close()
		s.waitRoom(t, "ascii", 0)
	}
}

// twice is what a client writes that encodes as UTF-8 what is UTF-8 already.
func twice(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// Each kind of client posts packets in its own way; all are read alike.
func TestIncomingPollingBodies(t *testing.T) {
	s := start(t)
	const room = "caf\u00e9 \U0001F600\u2028"
	packet := `42["room","` + room + `"]`
	const plain, binary, form = "text/plain;charset=UTF-8", "application/octet-stream", "application/x-www-form-urlencoded"
	text := func(packet string) string {
		n := 0
		for _, r := range packet {
			if n++; r > 0xffff {
				n++
			}
		}
		return fmt.Sprintf("%d:%s", n, packet)
	}
	for _, c := range []struct{ name, query, contentType, body, room string }{
		{"1.0 to 1.3, binary", "EIO=3", binary, binaryPayload("2", packet), room},
		{"1.0, binary", "EIO=2", binary, binaryPayload(packet), room},
		{"1.x, text is UTF-8 twice", "EIO=3", plain, text("2") + text(twice(packet)), room},
		{"1.x, Node", "EIO=3&b64=1", plain, text(twice(packet)), room},
		{"2.x, text is UTF-8 once", "EIO=3", plain, text(packet) + text("2"), room},
		{"2.x, what looks like UTF-8 twice behind what does not", "EIO=3", plain,
			text(packet) + text(`42["room","Ã©"]`), "Ã©"},
		{"1.x, JSONP", "EIO=3&j=0&b64=1", form, "d=" + url.QueryEscape(text(twice(packet))), room},
		{"2.x, JSONP", "EIO=3&j=0&b64=1", form, "d=" + url.QueryEscape(text(packet)), room},
		{"JSONP, a newline and a backslash before n", "EIO=3&j=0&b64=1", form,
			// The client writes newlines as \n, and backslashes before an n twice.
			"d=" + url.QueryEscape(strings.ReplaceAll(text(`42["room","a\nb"]`), `\n`, `\\n`)), "a\nb"},
		{"form characters", "EIO=3&j=0&b64=1", form, "d=" + url.QueryEscape(text(`42["room","a+b&c=d%20"]`)), "a+b&c=d%20"},
		{"EIO 4", "EIO=4", plain, "3\x1e" + packet, room},
		{"EIO 4, JSONP", "EIO=4&j=1&b64=1", form, "d=" + url.QueryEscape("3\x1e"+packet), room},
		{"an attachment before a join, text", "EIO=3&b64=1", plain, text(`451-["mine",{"_placeholder":true,"num":0}]`) +
			text(attachment(3, "\x00\xff")) + text(packet), room},
		{"an attachment before a join, EIO 4", "EIO=4", plain, `451-["mine",{"_placeholder":true,"num":0}]` + "\x1e" +
			attachment(4, "\x00\xff") + "\x1e" + packet, room},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := poll(t, s, c.query)
			p.t = t
			p.hear("40")
			p.postBody(c.contentType, c.body)
			s.waitRoom(t, c.room, 1)
			p.post("1")
			s.waitRoom(t, c.room, 0)
		})
	}
}
