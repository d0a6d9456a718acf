package resp

import (
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// decode feeds a decoder with pieces, each in a buffer that is used again, and returns what it told.
func decode(pieces ...string) (values []Value, err error) {
	var d Decoder
	return values, d.feed(&values, pieces...)
}

func (d *Decoder) feed(values *[]Value, pieces ...string) error {
	var buffer []byte
	for _, piece := range pieces {
		buffer = append(buffer[:0], piece...)
		err := d.Feed(buffer, func(v Value) { *values = append(*values, v) })
		for i := range buffer {
			buffer[i] = 'X'
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bytewise is a text in pieces of one byte.
func bytewise(text string) []string { return strings.Split(text, "") }

func texts(list ...string) (values []Value) {
	for _, text := range list {
		values = append(values, Value{Kind: Bulk, Text: text})
	}
	return values
}

func TestDecode(t *testing.T) {
	long := strings.Repeat("long ", 1000)
	for _, row := range []struct {
		name, in string
		want     []Value
	}{
		{"a line", "+OK\r\n", []Value{{Kind: Simple, Text: "OK"}}},
		{"an empty one", "+\r\n", []Value{{Kind: Simple}}},
		{"an error", "-NOSCRIPT No matching script.\r\n", []Value{{Kind: Error, Text: "NOSCRIPT No matching script."}}},
		{"numbers", ":0\r\n:-7\r\n:+7\r\n:99\r\n:100\r\n:9223372036854775807\r\n:-9223372036854775808\r\n", []Value{
			{Kind: Int, Text: "0"}, {Kind: Int, Text: "-7", Int: -7}, {Kind: Int, Text: "+7", Int: 7}, {Kind: Int, Text: "99", Int: 99}, {Kind: Int, Text: "100", Int: 100},
			{Kind: Int, Text: "9223372036854775807", Int: 1<<63 - 1}, {Kind: Int, Text: "-9223372036854775808", Int: -1 << 63}}},
		{"a text", "$5\r\na\r\nb\x00\r\n", texts("a\r\nb\x00")},
		{"an empty one", "$0\r\n\r\n", texts("")},
		{"a long one", "$5000\r\n" + long + "\r\n", texts(long)},
		{"nulls", "_\r\n$-1\r\n*-1\r\n", []Value{{Kind: Null}, {Kind: Null}, {Kind: Null}}},
		{"doubles, as they stand there", ",1.50\r\n,inf\r\n,-nan\r\n", []Value{{Kind: Double, Text: "1.50"}, {Kind: Double, Text: "inf"}, {Kind: Double, Text: "-nan"}}},
		{"bools", "#t\r\n#f\r\n", []Value{{Kind: Bool, Text: "t", Int: 1}, {Kind: Bool, Text: "f"}}},
		{"a long error", "!8\r\nERR a\r\nb\r\n", []Value{{Kind: Error, Text: "ERR a\r\nb"}}},
		{"a text with its format", "=8\r\ntxt:a: b\r\n=4\r\nmkd:\r\n", []Value{{Kind: Verbatim, Text: "a: b"}, {Kind: Verbatim}}},
		{"a big number", "(-3492890328409238509324850943850943825024385\r\n", []Value{{Kind: BigNumber, Text: "-3492890328409238509324850943850943825024385"}}},
		{"an array", "*3\r\n$1\r\na\r\n_\r\n:1\r\n", []Value{{Kind: Array, List: []Value{{Kind: Bulk, Text: "a"}, {Kind: Null}, {Kind: Int, Text: "1", Int: 1}}}}},
		{"empty aggregates", "*0\r\n%0\r\n~0\r\n>0\r\n", []Value{{Kind: Array}, {Kind: Map}, {Kind: Set}, {Kind: Push}}},
		{"in each other", "*2\r\n*2\r\n*0\r\n*1\r\n$1\r\na\r\n$1\r\nb\r\n", []Value{{Kind: Array, List: []Value{
			{Kind: Array, List: []Value{{Kind: Array}, {Kind: Array, List: texts("a")}}}, {Kind: Bulk, Text: "b"}}}}},
		{"a map", "%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n%1\r\n+c\r\n#t\r\n", []Value{{Kind: Map, List: []Value{{Kind: Bulk, Text: "a"}, {Kind: Int, Text: "1", Int: 1},
			{Kind: Bulk, Text: "b"}, {Kind: Map, List: []Value{{Kind: Simple, Text: "c"}, {Kind: Bool, Text: "t", Int: 1}}}}}}},
		{"a set", "~2\r\n$1\r\na\r\n$1\r\nb\r\n", []Value{{Kind: Set, List: texts("a", "b")}}},
		{"pushes, and an answer between", ">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\np\r\n+OK\r\n>3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\nq\r\n>3\r\n$10\r\nssubscribe\r\n$1\r\nd\r\n:1\r\n", []Value{
			{Kind: Push, List: texts("smessage", "c", "p")}, {Kind: Simple, Text: "OK"}, {Kind: Push, List: texts("smessage", "c", "q")},
			{Kind: Push, List: append(texts("ssubscribe", "d"), Value{Kind: Int, Text: "1", Int: 1})}}},
		// A transaction with SUBSCRIBE in it is answered so.
		{"a push in an array", "*1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", []Value{{Kind: Array, List: []Value{{Kind: Push, List: append(texts("subscribe", "c"), Value{Kind: Int, Text: "1", Int: 1})}}}}},
		{"attributes, dropped", "|1\r\n+ttl\r\n*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n*2\r\n|1\r\n+a\r\n:5\r\n+x\r\n|0\r\n+y\r\n", []Value{
			{Kind: Array, List: []Value{{Kind: Simple, Text: "x"}, {Kind: Simple, Text: "y"}}}}},
		{"an attribute, and what it is told of", "|1\r\n+a\r\n:1\r\n+OK\r\n:2\r\n", []Value{{Kind: Simple, Text: "OK"}, {Kind: Int, Text: "2", Int: 2}}},
		{"16 in each other", strings.Repeat("*1\r\n", 16) + "+a\r\n", []Value{nested(16, Value{Kind: Simple, Text: "a"})}},
		{"what is not whole yet", "+OK\r\n*2\r\n$1\r\na\r\n$2\r\nb", []Value{{Kind: Simple, Text: "OK"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			check := func(how string, pieces ...string) {
				t.Helper()
				if got, err := decode(pieces...); err != nil || !reflect.DeepEqual(got, row.want) {
					t.Errorf("%s: %v, %v; want %v", how, got, err, row.want)
				}
			}
			check("at once", row.in)
			check("byte by byte", bytewise(row.in)...)
			for cut := range row.in {
				check("cut at "+strconv.Itoa(cut), row.in[:cut], row.in[cut:])
			}
		})
	}
}

// nested is v in so many arrays.
func nested(depth int, v Value) Value {
	for range depth {
		v = Value{Kind: Array, List: []Value{v}}
	}
	return v
}

// What is no RESP3, or over a bound, is an error however it is cut, after what stood before, and for ever.
func TestDecodeErrors(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{"\r\n", "empty line"},
		{"OK\r\n", "'O' is no kind"},
		{"+a\rb\r\n", `\r without \n`},
		{"+a\r\r\n", `\r without \n`},
		{":\r\n", "no int"},
		{":1.5\r\n", "no int"},
		{":9223372036854775808\r\n", "no int"},
		{",\r\n", "no double"},
		{"(\r\n", "no big number"},
		{"#x\r\n", "no bool"},
		{"_x\r\n", "no null"},
		{"$\r\n", "length is missing"},
		{"$-2\r\n", "no length"},
		{"$+1\r\na\r\n", "no length"},
		{"!-1\r\n", "no length"},
		{"%-1\r\n", "no length"},
		{"$1\r\nab\r\n", "goes on"},
		{"$1\r\na\rb", "goes on"},
		{"=3\r\ntxt\r\n", "format"},
		{"=4\r\ntxt-\r\n", "format"},
		{"$?\r\n;1\r\na\r\n;0\r\n", "told at its end"},
		{"*?\r\n:1\r\n.\r\n", "told at its end"},
		{"$536870913\r\n", "536870912 is the most"},
		{"$99999999999999999999999999999\r\n", "is the most"},
		{"*2147483649\r\n", "2147483648 is the most"},
		{strings.Repeat("*1\r\n", 16), "more than 16"}, // and the one before
		{strings.Repeat("*1\r\n", 15) + "*0\r\n", "more than 16"},
		{"|1\r\n" + strings.Repeat("*1\r\n", 15), "more than 16"},
		{"+" + strings.Repeat("a", maxLine-2) + "\r\n", "a line of more"},
		{"*1\r\n$" + strings.Repeat("0", maxLine), "a line of more"},
	} {
		name := row.in[:min(len(row.in), 40)]
		before := "+OK\r\n*2\r\n$1\r\na\r\n" // of which the array is never whole
		for how, pieces := range map[string][]string{"at once": {before + row.in}, "byte by byte": bytewise(before + row.in), "cut": {before, row.in}} {
			var d Decoder
			var got []Value
			err := d.feed(&got, pieces...)
			if err == nil || !strings.Contains(err.Error(), row.want) || len(err.Error()) > 120 || len(got) != 1 {
				t.Errorf("%q %s: %v, %v; want OK and %q", name, how, got, err, row.want)
			}
			if again := d.feed(&got, "+OK\r\n"); again != err || len(got) != 1 {
				t.Errorf("%q %s: then %v, %v", name, how, got, again)
			}
		}
	}
}

// The longest line is one.
func TestDecodeLongLine(t *testing.T) {
	text := strings.Repeat("a", maxLine-3)
	in := "+" + text + "\r\n:1\r\n"
	for _, pieces := range [][]string{{in}, bytewise(in), {in[:maxLine-1], in[maxLine-1:]}, {in[:maxLine-2], in[maxLine-2:]}} {
		got, err := decode(pieces...)
		if err != nil || len(got) != 2 || got[0].Text != text {
			t.Errorf("%d values, %v", len(got), err)
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What is declared takes no memory before it has come.
func TestDecodeDeclared(t *testing.T) {
	for _, in := range []string{"$536870912\r\nabc", "*2147483648\r\n:1\r\n", "%2147483648\r\n:1\r\n", strings.Repeat("*2147483648\r\n", 16) + "$536870912\r\n"} {
		got, err := []Value(nil), error(nil)
		if n := allocated(func() { got, err = decode(in) }); n > 8<<10 || err != nil || got != nil {
			t.Errorf("%q: %d bytes; %v, %v", in, n, got, err)
		}
	}
}

// A long text that comes in pieces takes some times its length, and what is left has no room to spare.
func TestDecodeLongText(t *testing.T) {
	const size, piece = 100 << 20, 64 << 10
	var d Decoder
	var got []Value
	each := func(v Value) { got = append(got, v) }
	data := slices.Repeat([]byte("a"), piece)
	n := allocated(func() {
		if err := d.Feed([]byte("*1\r\n$"+strconv.Itoa(size)+"\r\n"), each); err != nil {
			t.Fatal(err)
		}
		for range size / piece {
			if err := d.Feed(data, each); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Feed([]byte("\r\n"), each); err != nil {
			t.Fatal(err)
		}
	})
	if n > 3*size || len(got) != 1 || len(got[0].List[0].Text) != size || d.text.text.Cap() != 0 {
		t.Errorf("%d values, %d MiB for %d", len(got), n>>20, size>>20)
	}
}

// An aggregate of many elements is not read again from its start, and what a decoder keeps is bounded.
func TestDecodeManyElements(t *testing.T) {
	const count = 300_000
	var d Decoder
	var got []Value
	in := "*" + strconv.Itoa(count) + "\r\n" + strings.Repeat(":1\r\n", count)
	if err := d.feed(&got, bytewise(in)...); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || len(got[0].List) != count || cap(got[0].List) > count+count/8 || cap(d.values) > maxKept {
		t.Errorf("%d values, room for %d kept", len(got), cap(d.values))
	}
}

// What has been told is kept by who was told alone.
func TestDecodeKeepsNothing(t *testing.T) {
	var d Decoder
	var got []Value
	if err := d.feed(&got, "*2\r\n*2\r\n+a\r\n+b\r\n%1\r\n+c\r\n|1\r\n+d\r\n*1\r\n+e\r\n+f\r\n", "+g\r\n", "$1\r\nh", "\r\n"); err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	for i, v := range d.values[:cap(d.values)] {
		if !reflect.DeepEqual(v, Value{}) {
			t.Errorf("value %d is still %v", i, v)
		}
	}
}
