package e2e

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A bystander is a client that must notice nothing of what another does.
type bystander struct {
	s  *server
	ws *rawSocket
	n  int
}

func standBy(t *testing.T, s *server) *bystander {
	t.Helper()
	ws, err := joinSocket(s.clientPort, 4, "bystander", "127.0.0.77")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	s.waitRoom(t, "bystander", 1)
	return &bystander{s: s, ws: ws}
}

// check sends it an event and waits for it.
func (b *bystander) check(t *testing.T) {
	t.Helper()
	b.s.running()
	b.n++
	b.s.send(t, "bystander", "fine", fmt.Sprint(b.n))
	want := fmt.Sprintf(`42["fine",%d]`, b.n)
	if _, err := b.ws.hear(patience, want, func(m string) bool { return m == want }); err != nil {
		t.Fatalf("the bystander: %v", err)
	}
}

// malformed are packets that no client sends; the connection that sent one ends.
var malformed = map[string][]string{
	"not JSON":                           {`42{`},
	"an event that is an object":         {`42{"room":"x"}`},
	"an event that is a string":          {`42"a"`},
	"an event without a name":            {`42[]`},
	"text behind an event":               {`42["room","x"]x`},
	"an unfinished string":               {`42["room","x`},
	"no such packet":                     {`9`},
	"no such packet of socket.io":        {`49`},
	"an empty message":                   {``},
	"an attachment of nothing":           {"4"},
	"a count of attachments that is not": {`45x-["room","x"]`},
	"more attachments than anybody has":  {`4599999999999999999999-["room",{"_placeholder":true,"num":0}]`},
	"a packet where an attachment is due": {
		`451-["room",{"_placeholder":true,"num":0}]`, `42["room","x"]`},
	"brackets without end": {`42["room",` + strings.Repeat("[", 90000)},
}

// Nothing that a client writes reaches another client, and what makes no sense
// ends the connection that wrote it.
func TestMalformedPacketEndsItsConnectionOnly(t *testing.T) {
	s := start(t)
	by := standBy(t, s)
	for name, packets := range malformed {
		for _, eio := range []int{3, 4} {
			t.Run(fmt.Sprintf("%s, EIO %d, websocket", name, eio), func(t *testing.T) {
				ws, err := joinSocket(s.clientPort, eio, "hostile", "")
				if err != nil {
					t.Fatal(err)
				}
				defer ws.Close()
				s.waitRoom(t, "hostile", 1)
				ws.say(packets...)
				if _, _, err := ws.hearEnd(patience); err != nil {
					t.Error(err)
				}
				s.waitRoom(t, "hostile", 0)
				by.check(t)
			})
			t.Run(fmt.Sprintf("%s, EIO %d, polling", name, eio), func(t *testing.T) {
				p := poll(t, s, fmt.Sprintf("EIO=%d", eio))
				p.t = t
				p.join("hostile")
				s.waitRoom(t, "hostile", 1)
				var text strings.Builder
				for i, packet := range packets {
					switch {
					case eio == 3:
						fmt.Fprintf(&text, "%d:%s", len(packet), packet)
					case i > 0:
						text.WriteString("\x1e" + packet)
					default:
						text.WriteString(packet)
					}
				}
				a := ask(t, "POST", p.url, text.String(), "Content-Type: text/plain;charset=UTF-8")
				if a.status != 200 && a.status != 400 {
					t.Errorf("status %d %.200q", a.status, a.body)
				}
				s.waitRoom(t, "hostile", 0)
				if a := ask(t, "POST", p.url, "1:2"); a.status != 400 {
					t.Errorf("the session is still there: status %d %.200q", a.status, a.body)
				}
				by.check(t)
			})
		}
	}
}

// What is odd but well formed is no reason to end a connection, and no room has
// a name that means something to the server.
func TestOddPacketsAndRooms(t *testing.T) {
	s := start(t)
	by := standBy(t, s)
	for _, c := range []struct{ packet, room string }{
		{`42["room","hasOwnProperty"]`, "hasOwnProperty"},
		{`42["room","__proto__"]`, "__proto__"},
		{`42["room","constructor"]`, "constructor"},
		{`42["room","toString"]`, "toString"},
		{`42["room",""]`, ""},
		{`42["room",5]`, "5"},
		{`42["room",1.50]`, "1.5"},
		{`42["room",true]`, "true"},
		{`42["room",null]`, "null"},
		{`42["room"]`, "undefined"},
		{`42["room",[]]`, ""},
		{`42["room",["a","b"]]`, "a,b"},
		{`42["room",{"toString":1}]`, "[object Object]"},
		{`42["room",{}]`, "[object Object]"},
		{`42["room","first","second"]`, "first"},
		{`427["room","acked"]`, "acked"},
		{`42/,["room","named namespace"]`, "named namespace"},
		{"42 [ \"room\" , \"blanks\" ] ", "blanks"},
		{`42["\u0072oom","escaped"]`, "escaped"},
	} {
		ws, err := joinSocket(s.clientPort, 3, "odd", "")
		if err != nil {
			t.Fatal(err)
		}
		ws.say(c.packet, `42["mine",{"a":[1,2,{"b":null}]}]`, "2")
		if _, err := ws.hear(patience, "a pong", func(m string) bool { return m == "3" }); err != nil {
			t.Errorf("%s: %v", c.packet, err)
		} else {
			s.waitRoom(t, c.room, 1)
			s.send(t, c.room, "e", `"hit"`)
			if _, err := ws.hear(patience, "the event", func(m string) bool { return m == `42["e","hit"]` }); err != nil {
				t.Errorf("%s: %v", c.packet, err)
			}
		}
		ws.Close()
		s.waitRoom(t, c.room, 0)
		by.check(t)
	}
	// The room of nobody's names never was.
	if n := s.send(t, "second", "e", "1"); n != 0 {
		t.Errorf("the second argument of a join made a room with %d in it", n)
	}
}

// An event of a name that means something in the library is ignored like others
// or ends the connection; what must not be is a connection that hears nothing.
func TestReservedEventsLeaveNoDeafConnection(t *testing.T) {
	s := start(t)
	for _, packet := range []string{
		`42["error","x"]`, `42["connect"]`, `42["disconnect"]`, `42["disconnecting"]`, `42["connect_error",{}]`,
		`42["newListener","room"]`, `42["removeListener","room"]`, `42["message","x"]`, `42[5]`, `43["ack"]`, `431[]`, "40", "6", "3",
	} {
		ws, err := joinSocket(s.clientPort, 3, "deaf", "")
		if err != nil {
			t.Fatal(err)
		}
		s.waitRoom(t, "deaf", 1)
		ws.say(packet, "2")
		_, ended := ws.hear(patience, "a pong", func(m string) bool { return m == "3" })
		if ended != nil {
			s.waitRoom(t, "deaf", 0)
		} else {
			s.send(t, "deaf", "e", `"hit"`)
			if _, err := ws.hear(patience, "the event", func(m string) bool { return m == `42["e","hit"]` }); err != nil {
				t.Errorf("%s left a connection that hears nothing: %v", packet, err)
			}
		}
		ws.Close()
		s.waitRoom(t, "deaf", 0)
	}
}

// An attachment is binary data of an event; one that belongs is taken, whatever
// it holds, and the client goes on.
func TestBinaryEventOfAClient(t *testing.T) {
	s := start(t)
	for eio, prefix := range map[int]string{3: "\x04", 4: ""} {
		ws, err := joinSocket(s.clientPort, eio, "bin", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		ws.say(`451-["mine",{"_placeholder":true,"num":0}]`)
		ws.Write(frame(true, opBinary, prefix+"\x00\xff\xfe binary"))
		ws.say(fmt.Sprintf(`42["room","after %d"]`, eio))
		s.waitRoom(t, fmt.Sprintf("after %d", eio), 1)
	}
}

// Frames that break RFC 6455, or a bound, end the connection.
func TestBrokenFramesEndTheConnection(t *testing.T) {
	s := start(t, "MAX_PACKET_BYTES=20000")
	by := standBy(t, s)
	masked := func(first byte, size ...byte) []byte {
		return append(append([]byte{first}, size...), 0, 0, 0, 0)
	}
	huge := func(n uint64) []byte { return binary.BigEndian.AppendUint64([]byte{0x80 | 127}, n) }
	// All at once: the server gives whoever broke the rules a moment to read why.
	breaking := make(map[string]*rawSocket)
	for name, bytes := range map[string][]byte{
		"without a mask":                    {0x81, 0x01, '2'},
		"reserved bit":                      append(masked(0xc1, 0x81), '2'),
		"reserved opcode":                   append(masked(0x83, 0x81), '2'),
		"reserved control opcode":           append(masked(0x8b, 0x81), '2'),
		"a ping in two frames":              append(masked(0x09, 0x81), '2'),
		"a ping of 126 bytes":               append(masked(0x89, 0xfe, 0, 126), strings.Repeat("x", 126)...),
		"a continuation of nothing":         append(masked(0x80, 0x81), '2'),
		"two messages interleaved":          append(frame(false, opText, "4"), frame(true, opText, "2")...),
		"text that is not UTF-8":            frame(true, opText, "42[\"room\",\"\xff\xfe\"]"),
		"9 exabytes":                        masked(0x81, huge(1<<63-1)...),
		"more than 63 bits":                 masked(0x81, huge(1<<63)...),
		"a byte over the bound":             frame(true, opText, `42["x","`+strings.Repeat("x", 20000-9)+`"]`),
		"over the bound in two frames":      append(frame(false, opText, strings.Repeat("x", 15000)), frame(true, 0, strings.Repeat("x", 15000))...),
		"a close frame of one byte":         frame(true, opClose, "\x03"),
		"a close code that nobody may send": frame(true, opClose, "\x03\xed"),
	} {
		ws, err := joinSocket(s.clientPort, 3, name, "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		s.waitRoom(t, name, 1)
		ws.Write(bytes)
		breaking[name] = ws
	}
	for name, ws := range breaking {
		if _, _, err := ws.hearEnd(patience); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.waitRoom(t, name, 0)
	}
	by.check(t)

	// What is allowed goes through: a ping between the parts of a message, and a
	// message of the very size of the bound.
	ws, err := joinSocket(s.clientPort, 3, "frames", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	ws.Write(frame(false, opText, `42["room",`))
	ws.Write(frame(true, opPing, "are you there"))
	ws.Write(frame(true, 0, `"in parts"]`))
	s.waitRoom(t, "in parts", 1)
	ws.say(`42["x","` + strings.Repeat("x", 20000-10) + `"]`)
	ws.SetReadDeadline(time.Now().Add(patience))
	for {
		op, text, err := ws.next()
		if err != nil {
			t.Fatalf("waiting for the pong of WebSocket: %v", err)
		}
		if op == opPong {
			if text != "are you there" {
				t.Errorf("pong %q", text)
			}
			break
		}
	}
	ws.say("2")
	if _, err := ws.hearPrefix("3"); err != nil {
		t.Errorf("behind a message of the size of the bound: %v", err)
	}
}

// Payloads over polling that lie about their lengths end the session.
func TestBrokenPollingPayloads(t *testing.T) {
	s := start(t)
	by := standBy(t, s)
	const text, octets, form = "text/plain;charset=UTF-8", "application/octet-stream", "application/x-www-form-urlencoded"
	for name, c := range map[string][2]string{
		"no length":                    {text, "abc"},
		"a negative length":            {text, `-5:42["x"]`},
		"a length beyond the body":     {text, `999:42["x"]`},
		"a length beyond any number":   {text, strings.Repeat("9", 400) + ":2"},
		"a length of nothing":          {text, "0:"},
		"a colon alone":                {text, ":"},
		"binary, no end of length":     {octets, "\x00\x01\x01"},
		"binary, a length too long":    {octets, "\x00" + strings.Repeat("\x09", 400) + "\xff2"},
		"binary, beyond the body":      {octets, "\x00\x09\xff2"},
		"binary, a digit that is none": {octets, "\x00\x20\xff2"},
		"binary, no such kind":         {octets, "\x07\x01\xff2"},
		"a form without d":             {form, "x=1"},
		"a form that is none":          {form, "d=%zz"},
		"base64 that is none":          {text, "6:b4!!!!"},
	} {
		t.Run(name, func(t *testing.T) {
			p := poll(t, s, "EIO=3")
			p.t = t
			p.join("broken")
			s.waitRoom(t, "broken", 1)
			a := ask(t, "POST", p.url, c[1], "Content-Type: "+c[0])
			if a.status != 200 && a.status != 400 {
				t.Errorf("status %d %.200q", a.status, a.body)
			}
			s.waitRoom(t, "broken", 0)
			by.check(t)
		})
	}
}
