package resp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestAppendCommand(t *testing.T) {
	const want = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\n\xff\r\n"
	if got := string(AppendCommand([]byte("x"), "SET", "", "a\r\n\xff")); got != "x"+want {
		t.Errorf("%q", got)
	}
	if got := string(AppendArg(AppendArg(AppendArg(AppendHead(nil, 3), "SET"), ""), "a\r\n\xff")); got != want {
		t.Errorf("%q", got)
	}
}

// one decodes a value.
func one(t *testing.T, in string) Value {
	t.Helper()
	values, err := decode(in)
	if err != nil || len(values) != 1 {
		t.Fatalf("%q: %v, %v", in, values, err)
	}
	return values[0]
}

// TestAs has each value as all that it may be taken for: texts, or the beginnings of errors behind a !.
func TestAs(t *testing.T) {
	const no = "!resp: want"
	for _, row := range []struct{ in, text, array, texts, ints, number, table string }{
		{"+OK\r\n", "OK", no, no, no, "!resp: \"OK\" is not an integer", no},
		{"$1\r\n7\r\n", "7", no, no, no, "7", no},
		{"$0\r\n\r\n", "", no, no, no, "!resp: \"\" is not", no},
		{":7\r\n", "!resp: want a text, and not int \"7\"", no, no, no, "7", no},
		{"=5\r\ntxt:7\r\n", "7", no, no, no, "7", no},
		{",1.5\r\n", "1.5", no, no, no, "!resp: \"1.5\"", no},
		{"(12\r\n", "12", no, no, no, "12", no},
		{"#t\r\n", no, no, no, no, no, no},
		{"_\r\n", "!resp: null", "!resp: null", "!resp: null", "!resp: null", "!resp: null", "!resp: null"},
		{"-ERR a\r\n", "!ERR a", "!ERR a", "!ERR a", "!ERR a", "!ERR a", "!ERR a"},
		{"!5\r\nERR a\r\n", "!ERR a", "!ERR a", "!ERR a", "!ERR a", "!ERR a", "!ERR a"},
		{"*0\r\n", "!resp: want a text, and not array of 0", "0", "[]", "[]", no, "map[]"},
		{"*2\r\n$1\r\n1\r\n:2\r\n", no, "2", `["1" "2"]`, "[1 2]", no, "map[1:2]"},
		{"*2\r\n$1\r\na\r\n_\r\n", no, "2", `["a" ""]`, "!element 0: resp: \"a\" is not an integer", no, "map[a:]"},
		{"*2\r\n:1\r\n_\r\n", no, "2", `["1" ""]`, "!element 1: resp: null", no, "map[1:]"},
		{"*1\r\n-ERR a\r\n", no, "1", "!element 0: ERR a", "!element 0: ERR a", no, no},
		{"*2\r\n-ERR a\r\n+b\r\n", no, "2", "!element 0: ERR a", "!element 0: ERR a", no, "!key 0: ERR a"},
		{"*2\r\n+b\r\n*0\r\n", no, "2", "!element 1: resp: want a text, and not array", "!element 0", no, "!value of \"b\": resp: want"},
		{"*1\r\n+b\r\n", no, "1", `["b"]`, "!element 0", no, "!resp: want a map, or an array of even length, and not array of 1"},
		{"~2\r\n#t\r\n:2\r\n", no, "2", `["t" "2"]`, "!element 0", no, no},
		{"%2\r\n+a\r\n:1\r\n+b\r\n,2.5\r\n", no, no, no, no, no, "map[a:1 b:2.5]"},
		{">2\r\n+a\r\n+b\r\n", no, "!resp: want an array or set, and not push of 2", no, no, no, no},
	} {
		v := one(t, row.in)
		text, err := v.ToString()
		holds(t, row.in, "ToString", row.text, text, err)
		list, err := v.ToArray()
		holds(t, row.in, "ToArray", row.array, fmt.Sprint(len(list)), err)
		texts, err := v.AsStrSlice()
		holds(t, row.in, "AsStrSlice", row.texts, fmt.Sprintf("%q", texts), err)
		ints, err := v.AsIntSlice()
		holds(t, row.in, "AsIntSlice", row.ints, fmt.Sprint(ints), err)
		number, err := v.AsInt64()
		holds(t, row.in, "AsInt64", row.number, fmt.Sprint(number), err)
		table, err := v.AsStrMap()
		holds(t, row.in, "AsStrMap", row.table, fmt.Sprint(table), err)
	}
}

// holds compares what a method returned with what it is to.
func holds(t *testing.T, in, method, want, got string, err error) {
	t.Helper()
	if failure, fails := strings.CutPrefix(want, "!"); fails != (err != nil) || fails && !strings.HasPrefix(err.Error(), failure) || !fails && got != want {
		t.Errorf("%q: %s: %s, %v; want %s", in, method, got, err, want)
	}
}

func TestErr(t *testing.T) {
	if err := one(t, "+OK\r\n").Err(); err != nil {
		t.Error(err)
	}
	_, err := one(t, "_\r\n").AsInt64()
	if !errors.Is(err, ErrNull) {
		t.Error(err)
	}
	_, err = one(t, "*1\r\n-MOVED 3999 127.0.0.1:6381\r\n").AsStrSlice()
	if said, ok := errors.AsType[*ServerError](fmt.Errorf("a command: %w", err)); !ok || said.Text != "MOVED 3999 127.0.0.1:6381" {
		t.Error(err)
	}
	if err := (Value{Kind: BulkError, Text: "ERR"}).Err(); err == nil || err.Error() != "ERR" {
		t.Error(err)
	}
}

// Every kind has a name.
func TestKindString(t *testing.T) {
	all := slices.Collect(maps.Keys(names))
	if len(all) != 14 || Push.String() != "push" || Kind('?').String() != "kind '?'" {
		t.Errorf("%v, %v", all, Kind('?'))
	}
}
