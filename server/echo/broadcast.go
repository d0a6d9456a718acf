package echo

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"poosh/server/hub"
)

// A dropped is why a message of Redis is no event. The zero dropped is an event.
type dropped uint8

const (
	taken        dropped = iota
	notJSON              // no JSON, or no object
	noEvent              // no name of an event that is a text
	reservedName         // an event of a name that clients have for something else
	noChannel            // a channel that no client can be in
	drops
)

var dropNames = [drops]string{taken: "taken", notJSON: "not_json", noEvent: "no_event", reservedName: "reserved_event", noChannel: "channel_name"}

// reserved are names of events that mean something else to clients: those of the protocol of
// laravel-echo-server, and those that socket.io-parser 4.2.4 closes the connection for
// (RESERVED_EVENTS).
var reserved = []string{"presence:subscribed", "presence:joining", "presence:leaving", "subscription_error",
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

// anyPrefix, among prefixes, stands for channels without any.
const anyPrefix = "*"

// A reader reads what Laravel's redis broadcaster publishes: JSON of {"event", "data",
// "socket"} to the channel's name behind a prefix. It comes to the same in every process, and
// changes nothing.
type reader struct {
	prefixes   []string // that channels begin with in Redis, the longest first
	all        bool     // also channels that begin with none of them
	maxName    int      // bytes of a channel's name
	keepSocket bool     // leave the member socket of the data, which today's Laravel repeats there
}

func newReader(cfg *Config) *reader {
	r := &reader{maxName: cfg.MaxChannelBytes, keepSocket: cfg.KeepSocket}
	for _, p := range cfg.Prefixes {
		if p == anyPrefix {
			r.all = true
		} else {
			r.prefixes = append(r.prefixes, p)
		}
	}
	slices.SortFunc(r.prefixes, func(a, b string) int { return len(b) - len(a) })
	return r
}

// patterns are what is asked of Redis, such that no message comes twice.
func (r *reader) patterns(escape func(string) string) (list []string) {
	if r.all {
		return []string{"*"}
	}
	for _, p := range r.prefixes {
		if !slices.ContainsFunc(r.prefixes, func(o string) bool { return o != p && strings.HasPrefix(p, o) }) {
			list = append(list, escape(p)+"*")
		}
	}
	return list
}

// room is the channel's name without the prefix. Some versions of Laravel with some clients of
// Redis put that there twice, and some not at all.
func (r *reader) room(channel string) (name string, ok bool) {
	name = channel
	for _, p := range r.prefixes {
		if rest, found := strings.CutPrefix(channel, p); found {
			name, ok = strings.TrimPrefix(rest, p), true
			break
		}
	}
	return name, (ok || r.all) && name != "" && len(name) <= r.maxName && utf8.ValidString(name)
}

// read makes a publication of a message.
func (r *reader) read(channel string, payload []byte) (*hub.Publication, dropped) {
	room, ok := r.room(channel)
	if !ok {
		return nil, noChannel
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil || fields == nil {
		return nil, notJSON
	}
	event, ok := text(fields["event"])
	switch {
	case !ok || event == "":
		return nil, noEvent
	case slices.Contains(reserved, event):
		return nil, reservedName
	}
	p := &hub.Publication{App: App, Room: room, Event: event, Data: null}
	if data := fields["data"]; data != nil {
		p.Data = data
		if !r.keepSocket {
			p.Data = without(data, "socket")
		}
	}
	p.Except, _ = text(fields["socket"])
	return p, taken
}

var null = []byte("null")

// text is a JSON text that is a string; not ok for anything else, and for nothing.
func text(raw []byte) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// without is a JSON text without the members of a name, if it is an object that has any.
// Everything else in it stays as it is written.
func without(object []byte, name string) []byte {
	trimmed := bytes.TrimSpace(object)
	if len(trimmed) == 0 || trimmed[0] != '{' || !bytes.Contains(trimmed, []byte(name)) && !bytes.ContainsRune(trimmed, '\\') {
		return object
	}
	kept, found := []byte{'{'}, false
	for m := range members(trimmed) {
		if key, _ := text(m[:keyEnd(m)]); key == name {
			found = true
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, m...)
	}
	if !found {
		return object
	}
	return append(kept, '}')
}

// members yields the members of a valid JSON object as they are written, without blanks around.
func members(object []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		inner := object[1 : len(object)-1]
		depth, start := 0, 0
		for i := 0; i < len(inner); i++ {
			switch inner[i] {
			case '"':
				i += keyEnd(inner[i:]) - 1
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			case ',':
				if depth == 0 {
					if !yield(bytes.TrimSpace(inner[start:i])) {
						return
					}
					start = i + 1
				}
			}
		}
		if last := bytes.TrimSpace(inner[start:]); len(last) > 0 {
			yield(last)
		}
	}
}

// keyEnd is where the string ends that b begins with.
func keyEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
