package socketio

import (
	"net/url"
	"slices"
	"testing"
)

// FuzzQuery holds parseQuery to what net/url reads.
func FuzzQuery(f *testing.F) {
	for _, raw := range []string{"", "EIO=3&transport=polling&t=1-0&sid=x", "sid=1&sid=2&transport", "&&a=b=c&=d&e=",
		"s%69d=x&a=+b", "a;b=c&sid=1", "%zz&j=0", "j&b64=1"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		want, _ := url.ParseQuery(raw)
		got := make(url.Values)
		list := parseQuery(nil, raw)
		for _, p := range list {
			got[p.name] = append(got[p.name], p.value)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: got %v, want %v", raw, got, want)
		}
		for name, values := range want {
			if !slices.Equal(got[name], values) {
				t.Errorf("%q: %q is %q, want %q", raw, name, got[name], values)
			}
			value, ok := list.single(name)
			if list.get(name) != values[0] || !list.has(name) || ok != (len(values) == 1) || ok && value != values[0] {
				t.Errorf("%q: %q is read wrongly", raw, name)
			}
		}
		if _, ok := list.single("\x00absent"); ok != (len(want["\x00absent"]) == 1) {
			t.Errorf("%q: what is absent is found", raw)
		}
	})
}
