package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestMembers(t *testing.T) {
	for _, test := range []struct {
		text string
		want string // index and text of each member
		err  error
	}{
		{`{}`, "", nil},
		{` { } trash`, "", nil},
		{`{"a":1} x`, "0=1 ", nil},
		{`{ "b" : [ 1 , {} ] , "a" : "x\"" }`, `1=[ 1 , {} ] 0="x\"" `, nil},
		{`{"a":1,"a":2}`, "0=1 0=2 ", nil},
		{`{"A":1,"":2,"ab":3,"\u0061":4,"\u0041":5}`, "-1=1 -1=2 -1=3 0=4 -1=5 ", nil},
		{"{\"a\":\"\xff\",\"\xff\":null}", "0=\"\xff\" -1=null ", nil},
		{`{"` + strings.Repeat(`\u0061`, 1000) + `":1}`, "-1=1 ", nil},
		{``, "", &SyntaxError{0}},
		{` `, "", &SyntaxError{1}},
		{`null`, "", ErrNotObject},
		{`[]`, "", ErrNotObject},
		{`{`, "", &SyntaxError{1}},
		{`{"a":1`, "0=1 ", &SyntaxError{6}},
		{`{"a":1,}`, "0=1 ", &SyntaxError{7}},
		{`{"a" 1}`, "", &SyntaxError{5}},
		{`{"a":}`, "", &SyntaxError{5}},
		{"{\"a\":\xff}", "", &SyntaxError{5}},
		{`{"a":` + strings.Repeat("[", MaxDepth+1), "", ErrTooDeep},
	} {
		var got strings.Builder
		err := Members([]byte(test.text), []string{"a", "b"}, func(n int, value []byte) error {
			fmt.Fprintf(&got, "%d=%s ", n, value)
			return nil
		})
		if got.String() != test.want || fmt.Sprint(err) != fmt.Sprint(test.err) {
			t.Errorf("%.40q: %q, %v, want %q, %v", test.text, got.String(), err, test.want, test.err)
		}
	}
}

func TestElements(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
		err  error
	}{
		{` [ ] x`, nil, nil},
		{`[1, "]" ,{"a":[]}]`, []string{`1`, `"]"`, `{"a":[]}`}, nil},
		{`{}`, nil, ErrNotArray},
		{`null`, nil, ErrNotArray},
		{``, nil, &SyntaxError{0}},
		{`[`, nil, &SyntaxError{1}},
		{`[1`, []string{"1"}, &SyntaxError{2}},
		{`[1,]`, []string{"1"}, &SyntaxError{3}},
		{`[1 2]`, []string{"1"}, &SyntaxError{3}},
	} {
		var got []string
		err := Elements([]byte(test.text), func(element []byte) error {
			got = append(got, string(element))
			return nil
		})
		if !slices.Equal(got, test.want) || fmt.Sprint(err) != fmt.Sprint(test.err) {
			t.Errorf("%q: %q, %v, want %q, %v", test.text, got, err, test.want, test.err)
		}
	}
}

func TestWalksStop(t *testing.T) {
	stop := errors.New("enough")
	seen := 0
	err := Elements([]byte(`[1,2,3]`), func([]byte) error { seen++; return stop })
	if err != stop || seen != 1 {
		t.Errorf("%v after %d elements", err, seen)
	}
	err = Members([]byte(`{"a":1,"b":2}`), nil, func(int, []byte) error { seen++; return stop })
	if err != stop || seen != 2 {
		t.Errorf("%v after %d calls", err, seen)
	}
}

func TestWalksAllocateNothing(t *testing.T) {
	text := []byte(`{"\u0061":[{},{},"x"],"b":"` + strings.Repeat("\xff", 1000) + `","` + strings.Repeat(`\u0061`, 1000) + `":1}`)
	names := []string{"a", "b"}
	n := testing.AllocsPerRun(100, func() {
		err := Members(text, names, func(n int, value []byte) error {
			if n != 0 {
				return nil
			}
			return Elements(value, func([]byte) error { return nil })
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Members finds an object where encoding/json does, with the same members.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{`{"a":1,"b":{"a":[1,2]},"\u0061":null}`, `{}x`, `[1]`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		values := make(map[int]string)
		err := Members(text, []string{"a", "b"}, func(n int, value []byte) error {
			values[n] = string(value)
			return nil
		})
		if errors.Is(err, ErrTooDeep) {
			return
		}
		var want map[string]json.RawMessage
		wrong := json.NewDecoder(strings.NewReader(string(text))).Decode(&want) != nil || want == nil
		if wrong != (err != nil) {
			t.Fatalf("%q: %v, but encoding/json fails: %v", text, err, wrong)
		}
		if err == nil && (values[0] != string(want["a"]) || values[1] != string(want["b"])) {
			t.Fatalf("%q: %v, want %s", text, values, want)
		}
	})
}
