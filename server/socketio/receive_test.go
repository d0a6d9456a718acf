package socketio

import (
	"strings"
	"testing"
	"testing/synctest"
)

// What clients may send on a WebSocket, and what they may not.
func TestMessages(t *testing.T) {
	for name, tt := range map[string]struct {
		query string
		say   []string // those that begin with a zero byte are binary
		heard string   // by the dialect
		wrong bool     // the last may not be sent
	}{
		"event":                         {"EIO=3", []string{`42["x",1]`}, "x1", false},
		"event with an id":              {"EIO=3", []string{`4217["x",1]`}, "x1", false},
		"binary event":                  {"EIO=3", []string{`451-["x",{"_placeholder":true,"num":0}]`, "\x00\x04b", `42["y"]`}, "y", false},
		"binary event of protocol 4":    {"EIO=4", []string{"40", `451-["x",{"_placeholder":true,"num":0}]`, "\x00b", `42["y"]`}, "y", false},
		"binary data of nothing":        {"EIO=3", []string{"\x00\x04b"}, "", true},
		"binary data of another type":   {"EIO=3", []string{"\x00\x02b"}, "", true},
		"text in place of binary data":  {"EIO=3", []string{`451-["x",{"_placeholder":true,"num":0}]`, `42["y"]`}, "", true},
		"answer to nothing":             {"EIO=3", []string{"431[]"}, "", true},
		"binary answer to nothing":      {"EIO=3", []string{"461-1[]"}, "", true},
		"error packet":                  {"EIO=3", []string{`44"x"`}, "", true},
		"empty message":                 {"EIO=3", []string{""}, "", true},
		"open packet":                   {"EIO=3", []string{"0{}"}, "", true},
		"noop and upgrade":              {"EIO=3", []string{"6", "5", "3", `42["x"]`}, "x", false},
		"event before it is connected":  {"EIO=4", []string{"40/other,", `42["x"]`}, "", true},
		"connected already":             {"EIO=4", []string{"40", "40"}, "", true},
		"another namespace":             {"EIO=3", []string{"40/a b", `42/other,["x"]`, `42["y"]`}, "y", false},
		"event behind its own farewell": {"EIO=3", []string{"41", `42["x"]`, "40", `42["y"]`}, "y", false},
		"text encoded twice":            {"EIO=2", []string{"42[\"x\",\"\u00c3\u00a9\"]"}, `x"é"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, Config{}, func(s *site) {
				ws := s.dial(tt.query)
				ws.want("0{...")
				for _, message := range tt.say {
					synctest.Wait() // what came before is handled, as it is of clients that wait for 40
					if data, ok := strings.CutPrefix(message, "\x00"); ok {
						_, _ = ws.Write(append([]byte{0x82, 0x80 | byte(len(data)), 0, 0, 0, 0}, data...))
						continue
					}
					ws.say(message)
				}
				if tt.wrong {
					if _, code := ws.ended(); code != 1002 {
						s.Errorf("close code %d", code)
					}
				} else {
					eventually(s.T, "its event", func() bool { return len(s.heard()) > 0 })
				}
				if got := strings.Join(s.heard(), ","); got != tt.heard {
					s.Errorf("the dialect heard %q, want %q", got, tt.heard)
				}
			})
		})
	}
}

// The forms that packets are posted in.
func TestPostForms(t *testing.T) {
	for name, tt := range map[string]struct{ query, kind, body, heard string }{
		"text":              {"EIO=3", "text/plain;charset=UTF-8", `9:42["x",1]` + `9:42["x",2]`, "x1,x2"},
		"form of JSONP":     {"EIO=3&j=0", "application/x-www-form-urlencoded", "d=9%3A42%5B%22x%22%2C1%5D", "x1"},
		"form without j":    {"EIO=3", "application/x-www-form-urlencoded", "d=9%3A42%5B%22x%22%2C1%5D", "x1"},
		"text called form":  {"EIO=3", "application/x-www-form-urlencoded", `9:42["x",1]`, "x1"},
		"binary":            {"EIO=3", "application/octet-stream", "\x00\x09\xff" + `42["x",1]`, "x1"},
		"form without text": {"EIO=3&j=0", "application/x-www-form-urlencoded", "d=%zz", ""},
		"binary cut short":  {"EIO=3", "application/octet-stream", "\x00\x09\xff" + `42["x"`, ""},
		"old client's text": {"EIO=3&t=1448463725125-7", "text/plain;charset=UTF-8", "12:42[\"x\",\"\u00c3\u00a9\"]", `x"é"`},
	} {
		t.Run(name, func(t *testing.T) {
			still(t, Config{}, func(s *site) {
				p := s.poll(tt.query)
				p.want("40")
				a := s.ask("POST", p.query, tt.body, "Content-Type: "+tt.kind)
				if good := tt.heard != ""; good != (a.status == 200) {
					s.Errorf("answered %d %s", a.status, a.body)
				}
				if got := strings.Join(s.heard(), ","); got != tt.heard {
					s.Errorf("the dialect heard %q, want %q", got, tt.heard)
				}
			})
		})
	}
}
