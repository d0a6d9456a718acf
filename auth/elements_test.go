package auth

import (
	"slices"
	"strings"
	"testing"
)

func TestValueElements(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{`[]`, nil}, {` [ ] `, nil}, {`{}`, nil}, {`"[1]"`, nil}, {`null`, nil},
		{`[1]`, []string{"1"}},
		{"[ 1 ,\n\"a,]\" , [2,[]],{\"x\":[3]} ,null]", []string{"1", `"a,]"`, `[2,[]]`, `{"x":[3]}`, "null"}},
	} {
		v, err := Parse([]byte(test.text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for e := range v.Elements() {
			got = append(got, string(e.Bytes()))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.text, got, test.want)
		}
	}
	for range (Value{}).Elements() {
		t.Error("what is absent has elements")
	}
}

// Whoever stops early pays for nothing behind.
func TestElementsStop(t *testing.T) {
	v, err := Parse([]byte("[" + strings.TrimSuffix(strings.Repeat("{},", 100_000), ",") + "]"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	allocations := testing.AllocsPerRun(10, func() {
		n = 0
		for range v.Elements() {
			if n++; n == 3 {
				break
			}
		}
	})
	if n != 3 || allocations > 1 {
		t.Errorf("%d elements, %v allocations", n, allocations)
	}
}
