//go:build !race

package auth

import "testing"

// Allocation budgets. They do not depend on the machine, but on sync.Pool, which
// drops items at random under the race detector.

func TestStringifyAllocations(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     float64
	}{
		{"as printed", `{"5":1,"user":{"id":17,"name":"Zoë <z@example.com>"},"items":[1,2.5,true,null,"a\"b\\"]}`, 0},
		{"rewritten", `{"a": "\u00e9", "b": 1.50}`, 1},
		{"reordered", `{"a":1,"5":2}`, 2}, // the result, and the objects on the way
	} {
		src := []byte(tt.in)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := Stringify(src); err != nil {
				t.Fatal(err)
			}
		}); n > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, n, tt.want)
		}
	}
}

func TestPooshAllocations(t *testing.T) {
	p := NewPoosh(pooshSecret)
	payload := parse(t, `{"a":[1,2.5,"\u00e9\/"]}`)
	token := sign(pooshSecret, string(payload.Bytes()))
	if n := testing.AllocsPerRun(100, func() {
		if p.Verify(payload, token) != nil {
			t.Fatal("bad token")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
