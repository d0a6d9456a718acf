package socketio

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestParseMessage(t *testing.T) {
	tests := []struct {
		in   string
		want message
	}{
		{"0", message{kind: typeConnect, namespace: "/"}},
		{"0/foo", message{kind: typeConnect, namespace: "/foo"}},
		{"0/foo?a=b,", message{kind: typeConnect, namespace: "/foo"}},
		{"0/?token=x", message{kind: typeConnect, namespace: "/"}},
		{`0{"a":1}`, message{kind: typeConnect, namespace: "/", data: []byte(`{"a":1}`)}},
		{"1", message{kind: typeDisconnect, namespace: "/"}},
		{`2["room",1]`, message{kind: typeEvent, namespace: "/", data: []byte(`["room",1]`)}},
		{`213["room",1]`, message{kind: typeEvent, namespace: "/", data: []byte(`["room",1]`)}},
		{`2/foo,13["room",1]`, message{kind: typeEvent, namespace: "/foo", data: []byte(`["room",1]`)}},
		{`51-["room",{"_placeholder":true,"num":0}]`, message{kind: typeBinaryEvent, namespace: "/", attachments: 1,
			data: []byte(`["room",{"_placeholder":true,"num":0}]`)}},
	}
	for _, tt := range tests {
		got, err := parseMessage([]byte(tt.in))
		if err != nil || got.kind != tt.want.kind || got.namespace != tt.want.namespace ||
			got.attachments != tt.want.attachments || !bytes.Equal(got.data, tt.want.data) {
			t.Errorf("%s: %+v, %v", tt.in, got, err)
		}
	}
	for _, in := range []string{"", "7", "x", `2{`, `2["room"`, `2[room]`, "5", "5-[]", "5x-[]", "511-[]", "5999999-[]", `5["a"]`,
		"0/" + strings.Repeat("x", maxNamespace), "2" + strings.Repeat("1", 30) + `["a"]`, "2[1,]", "2[\"a\"]x"} {
		if got, err := parseMessage([]byte(in)); err == nil {
			t.Errorf("%.30q gives %+v", in, got)
		}
	}
}

func TestEvent(t *testing.T) {
	tests := []struct{ in, name, args string }{
		{`["room"]`, "room", ""},
		{`["room","a,b\"]"]`, "room", `"a,b\"]"`},
		{` [ "room" , [1,[2]] , {"a":[3,"}"]} , null ] `, "room", `[1,[2]]|{"a":[3,"}"]}|null`},
		{`["\u0072oom",12345678901234567890,1.50]`, "room", `12345678901234567890|1.50`},
		{`[5,1]`, "5", "1"},
	}
	for _, tt := range tests {
		m := message{data: []byte(tt.in)}
		name, args, err := m.event(nil)
		if got := string(bytes.Join(args, []byte("|"))); err != nil || name != tt.name || got != tt.args {
			t.Errorf("%s: %q %q, %v", tt.in, name, got, err)
		}
	}
	many := "[" + strings.Repeat(`"a",`, maxArguments) + `"a","b"]`
	for _, in := range []string{"", "[]", `"a"`, `{"a":1}`, "null", `[null]`, `[{}]`, `[["room"]]`, `[true]`, many} {
		m := message{data: []byte(in)}
		if name, args, err := m.event(nil); err == nil {
			t.Errorf("%.30s gives %q %q", in, name, args)
		}
	}
}

// FuzzMessage holds that a message's arguments are those that encoding/json
// sees.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`2["room",{"a":[1,"]"]},null]`))
	f.Add([]byte(`51-/foo,12["room",{"_placeholder":true,"num":0}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMessage(text)
		if err != nil {
			return
		}
		_, args, err := m.event(nil)
		if err != nil {
			return
		}
		var want []json.RawMessage
		if err := json.Unmarshal(m.data, &want); err != nil || len(want) != len(args)+1 {
			t.Fatalf("%q: %d arguments, want %d, %v", m.data, len(args), len(want)-1, err)
		}
		for i, a := range args {
			if !bytes.Equal(a, want[i+1]) {
				t.Errorf("argument %d is %q, want %q", i, a, want[i+1])
			}
		}
	})
}
