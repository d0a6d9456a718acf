package emitter

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"poosh/server/hub"
	"poosh/server/poosh"
)

// frames are what a client of Engine.IO 4 gets, readable.
func frames(p *hub.Publication) string {
	b := poosh.Encoder4.Encode(p)
	return strings.Join(texts(b), " ")
}

// texts are the messages that one piece has.
func texts(b []byte) (list []string) {
	for len(b) > 0 {
		start, n := 2, int(b[1])
		if n == 126 {
			start, n = 4, int(b[2])<<8|int(b[3])
		}
		text := string(b[start : start+n])
		if b[0] == 0x82 {
			text = "bytes " + hex.EncodeToString(b[start:start+n])
		}
		list, b = append(list, text), b[start+n:]
	}
	return list
}

// whom is whom a publication is for, readable.
func whom(p *hub.Publication) string {
	u, narrowed := p.Union()
	switch {
	case narrowed:
		return fmt.Sprintf("%v but %v", u.Rooms, u.Except)
	case p.Everyone:
		return "all"
	}
	return p.Room
}

// cases are messages as they were recorded of the real emitters, or made of these.
var cases = []struct{ name, channel, hex, want string }{
	{"0.x, all", "socket.io#emitter", "9283a47479706502a46461746192a2657681a16101a36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 42["ev",{"a":1}]`},
	{"0.x, room", "socket.io#emitter", "9283a47479706502a46461746193a26576a47465787402a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677380", `news: 42["ev","text",2]`},
	{"1.0-3.x, all", "socket.io#/#", "93a7656d697474657283a47479706502a46461746192a2657681a16101a36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 42["ev",{"a":1}]`},
	{"1.0-3.x, room", "socket.io#/#news#", "93a7656d697474657283a47479706502a46461746193a26576a47465787402a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677380", `news: 42["ev","text",2]`},
	{"4.x, all", "socket.io#/#", "93a7656d697474657283a47479706502a46461746192a2657681a16101a36e7370a12f83a5726f6f6d7390a5666c61677380a665786365707490", `all: 42["ev",{"a":1}]`},
	{"PHP, room", "socket.io#emitter", "9283a47479706502a46461746193a26576a47465787402a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677390", `news: 42["ev","text",2]`},
	{"Python, all", "socket.io#/#", "93a7656d697474657283a46461746192a2657681a16101a47479706502a36e7370a12f82a5666c616773a0a5726f6f6d73a0", `all: 42["ev",{"a":1}]`},
	{"buffer", "socket.io#/#", "93a7656d697474657283a47479706502a46461746192a362696ec403010203a36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 451-["bin",{"_placeholder":true,"num":0}] bytes 010203`},
	{"buffer, type 5", "socket.io#/#", "93a7656d697474657283a47479706505a46461746192a362696ec403010203a36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 451-["bin",{"_placeholder":true,"num":0}] bytes 010203`},
	{"msgpack-js buffer", "socket.io#emitter", "9283a47479706505a46461746192a362696ed80003010203a36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 451-["bin",{"_placeholder":true,"num":0}] bytes 010203`},
	{"msgpack-js undefined", "socket.io#/#", "93a6454139626f7783a47479706502a46461746192a2657601a36e7370a12f82a5726f6f6d73c4a5666c616773c4", `all: 42["ev",1]`},
	{"PHP, /ns", "socket.io#emitter", "9283a47479706502a46461746196a26576cb3ff8000000000000c0c392010290a36e7370a32f6e7382a5726f6f6d7391a46e657773a5666c61677390", "namespace"},
	{"the same in /", "socket.io#emitter", "9283a47479706502a46461746196a26576cb3ff8000000000000c0c392010290a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677390", `news: 42["ev",1.5,null,true,[1,2],[]]`},
	{"café", "socket.io#/#café#", "93a7656d697474657283a47479706502a46461746192a26576a6c3a9f09f9880a36e7370a12f82a5726f6f6d7391a5636166c3a9a5666c61677380", `café: 42["ev","\u00e9\ud83d\ude00"]`},
	{"two rooms, of the first", "socket.io#/#a#", "93a7656d697474657283a47479706502a46461746191a26576a36e7370a12f82a5726f6f6d7392a161a162a5666c61677380", `[a b] but []: 42["ev"]`},
	{"two rooms, of the second", "socket.io#/#b#", "93a7656d697474657283a47479706502a46461746191a26576a36e7370a12f82a5726f6f6d7392a161a162a5666c61677380", "copy"},
	{"two rooms, 3.x on", "socket.io#/#", "93a7656d697474657283a47479706502a46461746191a26576a36e7370a12f82a5726f6f6d7392a161a162a5666c61677380", `[a b] but []: 42["ev"]`},
	{"a room on another's channel", "socket.io#/#a#", "93a7656d697474657283a47479706502a46461746191a26576a36e7370a12f82a5726f6f6d7391a162a5666c61677380", `b: 42["ev"]`},
	{"except x", "socket.io#/#", "93a7656d697474657283a47479706502a46461746191a26576a36e7370a12f83a5726f6f6d7391a161a5666c61677380a66578636570749" + "1a178", `[a] but [x]: 42["ev"]`},
	{"namespace of the channel alone", "socket.io#/ns#", "93a7656d697474657282a47479706502a46461746191a2657682a5726f6f6d7390a5666c61677380", "namespace"},
	{"nsp missing", "socket.io#/#", "93a7656d697474657282a47479706502a46461746191a2657682a5726f6f6d7390a5666c61677380", `all: 42["ev"]`},
	{"uid a number", "socket.io#/#", "930783a47479706502a46461746191a26576a36e7370a12f82a5726f6f6d73c0a5666c61677390", `all: 42["ev"]`},
	{"options an empty array", "socket.io#/#", "930783a47479706502a46461746191a26576a36e7370a12f90", `all: 42["ev"]`},
	{"options missing", "socket.io#/#", "920783a47479706502a46461746191a26576a36e7370a12f", "form"},
	{"options nil", "socket.io#/#", "930783a47479706502a46461746191a26576a36e7370a12fc0", "form"},
	{"rooms of nil do not reach all", "socket.io#/#", "930783a47479706502a46461746191a26576a36e7370a12f81a5726f6f6d7391c0", "form"},
	{"rooms a text", "socket.io#/#", "930783a47479706502a46461746191a26576a36e7370a12f81a5726f6f6d73a161", "form"},
	{"rooms with gaps", "socket.io#/#", "930783a47479706502a46461746191a26576a36e7370a12f81a5726f6f6d738107a161", `a: 42["ev"]`},
	{"room a number", "socket.io#/#", "930783a47479706502a46461746191a26576a36e7370a12f81a5726f6f6d739105", `5: 42["ev"]`},
	{"type 0", "socket.io#/#", "93a7656d697474657282a47479706500a36e7370a12f82a5726f6f6d7390a5666c61677380", "type"},
	{"type 1", "socket.io#/#", "93a7656d697474657282a47479706501a36e7370a12f82a5726f6f6d7390a5666c61677380", "type"},
	{"type 3", "socket.io#/#", "93a7656d697474657283a47479706503a46461746191a26576a36e7370a12f80", "type"},
	{"type a text", "socket.io#/#", "93a7656d697474657283a474797065a132a46461746191a26576a36e7370a12f80", "type"},
	{"type missing", "socket.io#/#", "93a7656d697474657282a46461746191a26576a36e7370a12f80", "type"},
	{"data missing", "socket.io#/#", "93a7656d697474657282a47479706502a36e7370a12f80", "no_event"},
	{"data no array", "socket.io#/#", "93a7656d697474657283a47479706502a464617461a26576a36e7370a12f80", "no_event"},
	{"data empty", "socket.io#/#", "93a7656d697474657283a47479706502a46461746190a36e7370a12f80", "no_event"},
	{"event a number", "socket.io#/#", "93a7656d697474657283a47479706502a4646174619105a36e7370a12f80", "no_event"},
	{"event connect", "socket.io#/#", "93a7656d697474657283a47479706502a46461746191a7636f6e6e656374a36e7370a12f80", "reserved_event"},
	{"two elements, none a packet", "socket.io#/#", "920102", "form"},
	{"one element", "socket.io#/#", "9180", "form"},
	{"no array", "socket.io#/#", "80", "form"},
	{"hello", "socket.io#/#", "68656c6c6f", "malformed"},
	{"nothing", "socket.io#/#", "", "malformed"},
	{"93", "socket.io#/#", "93", "malformed"},
	{"dd ffffffff", "socket.io#/#", "ddffffffff", "malformed"},
	{"df ffffffff", "socket.io#/#", "dfffffffff", "malformed"},
	{"c6 ffffffff", "socket.io#/#", "c6ffffffff", "malformed"},
	{"trailing", "socket.io#/#", "93a7656d697474657283a47479706502a46461746191a26576a36e7370a12f8000", "malformed"},
	{"too deep", "socket.io#/#", strings.Repeat("91", 100) + "c0", "malformed"},
	// What the emitters of other languages wrote, of sources of 2015 to 2025, with the libraries of Redis and msgpack
	// that they name or newer ones.
	{"Ruby, two rooms, of the first", "socket.io#/#a#", "93a7656d697474657283a47479706502a46461746194a26576c0cb3ff8000000000000a6c3a9f09f9880a36e7370a12f82a5726f6f6d7392a161a162a5666c61677381a8766f6c6174696c65c3", `[a b] but []: 42["ev",null,1.5,"\u00e9\ud83d\ude00"]`},
	{"Ruby, two rooms, of the second", "socket.io#/#b#", "93a7656d697474657283a47479706502a46461746194a26576c0cb3ff8000000000000a6c3a9f09f9880a36e7370a12f82a5726f6f6d7392a161a162a5666c61677381a8766f6c6174696c65c3", "copy"},
	{"Ruby, buffer", "socket.io#/#", "93a7656d697474657283a47479706505a46461746192a362696ec404010203fea36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 451-["bin",{"_placeholder":true,"num":0}] bytes 010203fe`},
	{"Perl, all", "socket.io#/#", "93a7656d697474657283a46461746192a2657681a16101a47479706502a36e7370a12f82a5666c61677380a5726f6f6d7390", `all: 42["ev",{"a":1}]`},
	{"Perl, room", "socket.io#/#news#", "93a7656d697474657283a46461746193a26576a47465787402a47479706502a36e7370a12f82a5666c61677380a5726f6f6d7391a46e657773", `news: 42["ev","text",2]`},
	{"Perl, two rooms, of the first", "socket.io#/#a#", "93a7656d697474657283a36e7370a12fa46461746193a26576c0cb3ff8000000000000a4747970650282a5666c61677381a8766f6c6174696c6501a5726f6f6d7392a161a162", `[a b] but []: 42["ev",null,1.5]`},
	{"Perl, two rooms, of the second", "socket.io#/#b#", "93a7656d697474657283a36e7370a12fa46461746193a26576c0cb3ff8000000000000a4747970650282a5666c61677381a8766f6c6174696c6501a5726f6f6d7392a161a162", "copy"},
	{"Go of stackcats, buffer", "socket.io#/#", "93a7656d697474657283a46461746192a362696ec404010203fea36e7370a12fa4747970650282a5726f6f6d7390a5666c61677380", `all: 451-["bin",{"_placeholder":true,"num":0}] bytes 010203fe`},
	{"Go of yosuke-furukawa, all", "socket.io#emitter", "9282a46461746192a2657681a161d30000000000000001a474797065d3000000000000000282a5666c616773c0a5726f6f6d73c0", `all: 42["ev",{"a":1}]`},
	{"Go of yosuke-furukawa, room", "socket.io#emitter", "9282a474797065d30000000000000002a46461746193a26576a474657874d3000000000000000282a5726f6f6d7391a46e657773a5666c61677380", `news: 42["ev","text",2]`},
	{"Go of yosuke-furukawa, two rooms", "socket.io#emitter", "9282a474797065d30000000000000002a46461746194a26576c0cb3ff8000000000000a6c3a9f09f988082a5726f6f6d7392a161a162a5666c61677380", `[a b] but []: 42["ev",null,1.5,"\u00e9\ud83d\ude00"]`},
	{"Go of yosuke-furukawa, buffer", "socket.io#emitter", "9282a474797065d30000000000000005a46461746192a362696ec404010203fe82a5726f6f6d7390a5666c61677380", `all: 451-["bin",{"_placeholder":true,"num":0}] bytes 010203fe`},
	{"Java of sunsus, all", "socket.io#", "93a7656d697474657283a47479706502a46461746192a26576a474657874a36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 42["ev","text"]`},
	{"Java of sunsus, a room in no namespace", "socket.io#news#", "93a7656d697474657283a47479706502a46461746193a26576a474657874a132a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677380", "namespace"},
	{"Java of sunsus, all of /", "socket.io#/#", "93a7656d697474657283a47479706502a46461746192a2657681a16101a36e7370a12f82a5726f6f6d7390a5666c61677380", `all: 42["ev",{"a":1}]`},
	{"Java of sunsus, room of /", "socket.io#/#news#", "93a7656d697474657283a47479706502a46461746193a26576a474657874a6c3a9f09f9880a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677380", `news: 42["ev","text","\u00e9\ud83d\ude00"]`},
	{"Java of sunsus, two rooms of /", "socket.io#/#a#b#", "93a7656d697474657283a47479706502a46461746192a26576a474657874a36e7370a12f82a5726f6f6d7392a161a162a5666c61677380", `[a b] but []: 42["ev","text"]`},
	{"Java of sunsus, buffer, without an event", "socket.io#/#", "93a7656d697474657283a47479706505a464617461a3010203a36e7370a12f82a5726f6f6d7390a5666c61677380", "no_event"},
	{"Java of deppan, room", "socket.io#/#news#", "93a7656d697474657283a46461746193a26576a47465787402a36e7370a12fa4747970650283a5726f6f6d7391a46e657773a5666c61677380a665786365707490", `news: 42["ev","text",2]`},
	{"Java of deppan, two rooms but one", "socket.io#/#", "93a7656d697474657283a46461746194a26576c0cb3ff8000000000000a6c3a9f09f9880a36e7370a12fa4747970650283a5726f6f6d7392a161a162a5666c61677380a665786365707491a178", `[a b] but [x]: 42["ev",null,1.5,"\u00e9\ud83d\ude00"]`},
	{"Java of deppan, buffer", "socket.io#/#", "93a7656d697474657283a46461746192a362696ec404010203fea36e7370a12fa4747970650283a5726f6f6d7390a5666c61677380a665786365707490", `all: 451-["bin",{"_placeholder":true,"num":0}] bytes 010203fe`},
	{"Java of deppan, times", "socket.io#/#", "93a7656d697474657283a46461746193a47768656ecf0000018bcfe5687bcb41d954fc4007df3ba36e7370a12fa4747970650283a5726f6f6d7390a5666c61677380a665786365707490", `all: 42["when",1700000000123,1700000000.123]`},
	{"values", "socket.io#/#", "9301" + "82" + "a474797065" + "02" + "a464617461" + "9e" + "a26576" + // type, data
		"cb4000000000000000" + "ca3fc00000" + "cf8000000000000000" + "d3ffffffffffffffff" + "d0ff" +
		"d40000" + "d7000000018bcfe56800" + "d6ff65a0b6c0" + "cb7ff8000000000000" + "cb444b1ae4d6e2ef50" + "cb3e7ad7f29abcaf48" +
		"82a162d40000a161a5c3ff22" + "0a5c" + "c0" + "80",
		`all: 42["ev",2,1.5,9223372036854775808,-1,-1,null,"2023-11-14T22:13:20.000Z","2024-01-12T03:49:20.000Z",null,1e+21,1e-7,{"a":"\ufffd\ufffd\"\u000a\\"},null]`},
}

func TestMessages(t *testing.T) {
	for _, tt := range cases {
		raw, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		p, why := bounds{100}.read(parseChannel(tt.channel, "socket.io"), raw)
		got := why
		if p != nil {
			got = whom(p) + ": " + frames(p)
		}
		if got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.name, got, tt.want)
		}
	}
}

func TestRoomsAreBounded(t *testing.T) {
	raw, _ := hex.DecodeString("93a7656d697474657283a47479706502a46461746191a26576a36e7370a12f82a5726f6f6d7392a161a162a5666c61677380")
	if _, why := (bounds{1}).read(channel{root: true}, raw); why != reasonRooms {
		t.Errorf("two rooms of one that may be: %q", why)
	}
}

// A volatile event is of its moment: it is not kept.
func TestVolatile(t *testing.T) {
	for value, want := range map[string]bool{"c3": true, "c2": false, "01": true, "00": false, "c0": false} { // Perl has 1
		raw, _ := hex.DecodeString("930183a47479706502a46461746191a26576a36e7370a12f81a5666c61677381a8766f6c6174696c65" + value)
		if p, why := (bounds{1}).read(channel{root: true}, raw); why != "" || p.Passing != want {
			t.Errorf("volatile is %s: %q, %+v", value, why, p)
		}
	}
}

// Buffers stand wherever they like; more than clients take, and what only looks like one, are dropped.
func TestBuffers(t *testing.T) {
	message := func(args string, n int) []byte {
		raw, err := hex.DecodeString(fmt.Sprintf("930182a47479706505a464617461%02xa26576%s80", 0x91+n, args))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	p, why := bounds{1}.read(channel{root: true}, message("81a161c40101"+"92c400c402fffe", 2))
	if why != "" {
		t.Fatal(why)
	}
	want := `453-["ev",{"a":{"_placeholder":true,"num":0}},[{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]] bytes 01 bytes  bytes fffe`
	if got := frames(p); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	if got := string(p.Data); got != `[{"a":"AQ=="},["","//4="]]` || !json.Valid(p.Data) {
		t.Errorf("as JSON it is %s", got)
	}
	if _, why := (bounds{1}).read(channel{root: true}, message(strings.Repeat("c400", 11), 11)); why != reasonBuffers {
		t.Errorf("eleven buffers: %q", why)
	}
	posing := "81ac5f706c616365686f6c646572c3"
	if _, why := (bounds{1}).read(channel{root: true}, message(posing+"c400", 2)); why != reasonBuffers {
		t.Errorf("what looks like a buffer: %q", why)
	}
	if _, why := (bounds{1}).read(channel{root: true}, message(posing, 1)); why != "" {
		t.Errorf("the same without any: %q", why)
	}
}

func TestChannels(t *testing.T) {
	for name, want := range map[string]channel{
		"k#/#":      {root: true},
		"k#/#a#":    {root: true, room: "a", inRoom: true},
		"k#/#a#b##": {root: true, room: "a#b#", inRoom: true},
		"k#/ns#":    {},
		"k#/ns#a#":  {},
		"k#ns#":     {},
		"k#emitter": {old: true},
		"k#":        {old: true},
		"k":         {old: true},
		"":          {old: true},
	} {
		if got := parseChannel(name, "k"); got != want {
			t.Errorf("%q is %+v, want %+v", name, got, want)
		}
	}
}

// FuzzMessage: whatever comes, what is made of it is JSON of a bounded size, and clients get frames.
func FuzzMessage(f *testing.F) {
	for _, tt := range cases {
		raw, _ := hex.DecodeString(tt.hex)
		f.Add(tt.channel, raw)
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		p, why := bounds{10}.read(parseChannel(name, "socket.io"), raw)
		if (p == nil) == (why == "") {
			t.Fatalf("%+v, %q", p, why)
		}
		if p == nil {
			return
		}
		if !json.Valid(p.Data) || len(p.Data) > 6*len(raw)+64 {
			t.Fatalf("%d bytes became %d: %s", len(raw), len(p.Data), p.Data)
		}
		for _, e := range []hub.Encoder{poosh.Encoder, poosh.EncoderIDs, poosh.EncoderStream} {
			if e.Encode(p) == nil && !strings.ContainsAny(p.Event, "\r\n") {
				t.Fatalf("%T makes nothing of %s, %q", e, p.Data, p.Meta)
			}
		}
	})
}
