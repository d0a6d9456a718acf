package e2e

import (
	"strings"
	"testing"
)

// versions are the releases of socket.io-client that the tests install.
var versions = []string{
	"1.0.6", "1.2.1", "1.3.4", "1.3.7", "1.4.8", "1.5.1", "1.7.4", "2.0.4", "2.5.0", "3.1.3", "4.0.1", "4.8.1",
}

// awkwardRooms are names that some client spells in some odd way on some
// transport: two UTF-8 layers, form encoding, newline escaping, lengths.
var awkwardRooms = []string{
	"plain",
	"caf\u00e9",
	"\U0001F600\U0001F680",
	"\u90e8\u5c4b",
	"a line\nand\r\nmore",
	`a backslash\n and two \\n`,
	"\u2028 and \u2029",
	"\x00\x01\x1e\x1f\x7f",
	"a+b&c=d%20%",
	`"quotes", 'quotes' and </script>`,
	"\u00c3\u00a9 \ufeff\u00ff",
	"4:2[\"room\"]\tb4 ",
}

// asciiRooms is those of awkwardRooms that every UTF-8 mistake leaves alone.
func asciiRooms() []string {
	var rooms []string
	for _, room := range awkwardRooms {
		if strings.IndexFunc(room, func(r rune) bool { return r > 0x7f }) < 0 {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// An awkwardPayload is JSON as a sender posts it. Its text must arrive token for
// token; js is what JSON.stringify(JSON.parse(text)) makes of it in the client,
// when that differs.
type awkwardPayload struct{ name, json, js string }

var awkwardPayloads = []awkwardPayload{
	{name: "key order", json: `{"z":1,"a":{"y":2,"b":3},"m":[]}`},
	{name: "numeric keys", json: `{"name":1,"5":2,"02":3}`, js: `{"5":2,"name":1,"02":3}`},
	{name: "big integer", json: `12345678901234567890`, js: `12345678901234567000`},
	{name: "numbers", json: `[1.50,1.0,1e3,-0,0.1,1e400]`, js: `[1.5,1,1000,0,0.1,null]`},
	{name: "emoji", json: "\"\U0001F600 \U0001F468\u200d\U0001F469\u200d\U0001F467\""},
	{name: "separators", json: "\"\u2028 \u2029 \\u2028\""},
	{name: "markup", json: `"<b>&amp;'</b></script><!--"`},
	{name: "non-ASCII", json: "{\"caf\u00e9\":\"na\u00efve \u90e8\u5c4b \u00c3\u00a9 \ufeff\"}"},
	{name: "quotes", json: `"\"quotes\" \\ \\n \/ /"`},
	{name: "NUL", json: `"a\u0000b\u001e\u001f\u007f\b\f\n\r\t"`},
	{name: "lone surrogates", json: `"\ud800 \udc00\ud83d x"`},
	{name: "literals", json: `[null,true,false,"",{},[],[[]]]`},
}

// large is an event of about 300 KB, with everything in it.
func large() awkwardPayload {
	row := "{\"caf\u00e9\":\"\U0001F600<b>\",\"n\":1234567,\"text\":\"" + strings.Repeat("plain text ", 10) + "\"},"
	rows := strings.Repeat(row, 300*1024/len(row)+1)
	return awkwardPayload{name: "300 KB", json: "[" + strings.TrimSuffix(rows, ",") + "]"}
}

// checkEvent fails the test unless the nth event of a name is the payload, both
// on the wire and in the hands of the page.
func checkEvent(t *testing.T, c *client, event string, n int, p awkwardPayload) {
	t.Helper()
	got := c.events(t, event, n)[n-1]
	js := p.js
	if js == "" {
		js = p.json
	}
	if canonical(got) != canonical("["+js+"]") {
		t.Errorf("%s, %s: the client was given %.300s, want [%.300s]", c.id, p.name, got, js)
	}
	want := canonical("[" + quote(event) + "," + p.json + "]")
	for _, packet := range c.seen("packet") {
		if canonical(strings.TrimPrefix(unquote(t, packet.Text), "2")) == want {
			return
		}
	}
	t.Errorf("%s, %s: no packet held the payload as it was sent, %.300s", c.id, p.name, p.json)
}
