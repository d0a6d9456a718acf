package emitter

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"poosh/server/intake"
)

// Of requests those are done that say who is to be disconnected, as @socket.io/redis-emitter 4 and later
// writes them; all others, of older and newer ones, come to nothing. Both counters say how many.
func TestRequests(t *testing.T) {
	tests := []struct{ name, payload, want string }{
		{"a room", `{"type":4,"opts":{"rooms":["a"],"except":[]},"close":false}`, "[a] but []"},
		{"with its transport", `{"type":4,"opts":{"rooms":["a","b"],"except":["x"]},"close":true}`, "[a b] but [x]"},
		{"all", `{"type":4,"opts":{"rooms":[],"except":[]},"close":false}`, "[] but []"},
		{"of an adapter", `{"uid":"tWC4OI","type":4,"opts":{"rooms":["a"],"except":[]},"close":false}`, "[a] but []"},
		{"of Go, which leaves out what is empty", `{"type":4,"opts":{},"close":false}`, "[] but []"},
		{"of Go, a room", `{"type":4,"opts":{"rooms":["a"]},"close":false}`, "[a] but []"},
		{"as many rooms as may be", `{"type":4,"opts":{"rooms":["1","2"],"except":["3"]}}`, "[1 2] but [3]"},
		{"too many rooms", `{"type":4,"opts":{"rooms":["1","2","3"],"except":["4"]}}`, ""},
		{"rooms are no list", `{"type":4,"opts":{"rooms":"a"}}`, ""},
		{"a room is no text", `{"type":4,"opts":{"rooms":["a",5]}}`, ""},
		{"no options", `{"type":4,"close":false}`, ""},
		{"options of null", `{"type":4,"opts":null}`, ""},
		{"options are a list", `{"type":4,"opts":[]}`, ""},
		{"no type", `{"opts":{"rooms":["a"],"except":[]}}`, ""},
		{"a type that is a text", `{"type":"4","opts":{"rooms":["a"],"except":[]}}`, ""},
		{"join", `{"type":2,"opts":{"rooms":["a"],"except":[]},"rooms":["r1"]}`, ""},
		{"leave", `{"type":3,"opts":{"rooms":["a"],"except":[]},"rooms":["r1"]}`, ""},
		{"for other servers", `{"uid":"emitter","type":6,"data":["hello",1]}`, ""},
		{"who is there", `{"uid":"tWC4OI","requestId":"r","type":5,"opts":{"rooms":["a"],"except":[]}}`, ""},
		{"an old join, with the number of a disconnect of today", `{"requestid":"k1Mqqy","type":4,"sid":"vm3T","room":"q"}`, ""},
		{"an old disconnect", `{"requestid":"k1Mqqy","type":6,"sid":"vm3T","close":true}`, ""},
		{"one of 6.1", `{"requestId":"WUD60q","type":4,"sid":"vm3T","close":true}`, ""},
		{"no object", `[4]`, ""},
		{"null", `null`, ""},
		{"no JSON", `{"type":4,"opts":{"rooms":["a"]}`, ""},
		{"two of them", `{"type":4,"opts":{"rooms":["a"]}}{"type":4,"opts":{}}`, ""},
		{"a broadcast that asks who got it, which is msgpack", "\x84\xa3uid\xa6tWC4OI\xa4type\x07", ""},
		{"nothing", ``, ""},
		{"deep", strings.Repeat(`{"opts":`, 20_000), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			k := &taker{settings: &settings{Key: "socket.io"}, bounds: bounds{rooms: 3}, disconnect: func(rooms, except []string) int {
				asked = append(asked, fmt.Sprintf("%v but %v", rooms, except))
				return 7
			}}
			k.most.Store(1 << 20)
			list, why := k.read(intake.Message{Channel: "socket.io-request#/#", Payload: []byte(tt.payload)})
			if len(list) != 0 || why != reasonRequest {
				t.Errorf("it came to %d events, %q", len(list), why)
			}
			if got := strings.Join(asked, ", "); got != tt.want {
				t.Errorf("disconnects %q, want %q", got, tt.want)
			}
			want := "emitter_disconnects_asked_total 0, emitter_disconnected_total 0"
			if tt.want != "" {
				want = "emitter_disconnects_asked_total 1, emitter_disconnected_total 7"
			}
			if got := counted(k); got != want {
				t.Errorf("counted %s, want %s", got, want)
			}
		})
	}
}

// counted are its counters, readable.
func counted(k *taker) string {
	var list []string
	for _, r := range k.readings() {
		list = append(list, fmt.Sprintf("%s %v", r.Name, r.Samples[0].Value))
	}
	return strings.Join(list, ", ")
}

// A request that is too large is not read, and one that came by a pattern is an event or nothing.
func TestRequestsThatAreNone(t *testing.T) {
	k := &taker{settings: &settings{Key: "socket.io"}, bounds: bounds{rooms: 3}, disconnect: func([]string, []string) int { return 1 }}
	all := []byte(`{"type":4,"opts":{"rooms":[],"except":[]}}`)
	k.most.Store(int64(len(all)) - 1)
	if _, why := k.read(intake.Message{Channel: "socket.io-request#/#", Payload: all}); why != reasonLarge {
		t.Errorf("one that is too large: %q", why)
	}
	k.most.Store(1 << 20)
	if _, why := k.read(intake.Message{Pattern: "socket.io#*", Channel: "socket.io#/#", Payload: all}); why != reasonMalformed {
		t.Errorf("one on the channel of events: %q", why)
	}
	if got := counted(k); got != "emitter_disconnects_asked_total 0, emitter_disconnected_total 0" {
		t.Errorf("counted %s", got)
	}
}

// FuzzRequest: whatever a stranger writes, a request comes to no event and to one disconnect at the most, of
// no more rooms than may be, and only where it is JSON.
func FuzzRequest(f *testing.F) {
	for _, payload := range []string{
		`{"type":4,"opts":{"rooms":["a"],"except":["x"]},"close":true}`, `{"type":4,"opts":{}}`, `{"type":4,"opts":null}`, `{"TYPE":4,"Opts":{"ROOMS":["\ud800"]}}`,
		`{"type":4e0,"opts":{"rooms":[null]}}`, `{"type":4,"type":5,"opts":{}}`, `{"type":2,"opts":{"rooms":["a"]},"rooms":["b"]}`, "\x84\xa4type\x04", `[4]`, ``,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		const most = 3
		times := 0
		k := &taker{settings: &settings{Key: "socket.io"}, bounds: bounds{rooms: most}, disconnect: func(rooms, except []string) int {
			times++
			if n := len(rooms) + len(except); n > most {
				t.Errorf("%d rooms are asked for", n)
			}
			return 2
		}}
		k.most.Store(1 << 20)
		list, why := k.read(intake.Message{Channel: "socket.io-request#/#", Payload: payload})
		if len(list) != 0 || why != reasonRequest || times > 1 {
			t.Fatalf("%d events, %q, %d disconnects", len(list), why, times)
		}
		if times == 1 && !json.Valid(payload) {
			t.Fatalf("%q is no JSON, and disconnects", payload)
		}
		if got, want := counted(k), fmt.Sprintf("emitter_disconnects_asked_total %d, emitter_disconnected_total %d", times, 2*times); got != want {
			t.Fatalf("counted %s, want %s", got, want)
		}
	})
}
