package resp

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// FuzzDecoder has the same values, and the same error, however the bytes are cut; they are as many as came, and
// decoded again what they were.
func FuzzDecoder(f *testing.F) {
	for _, in := range []string{
		"+OK\r\n-ERR a\r\n:-1\r\n$3\r\na\r\n\r\n_\r\n,1.5\r\n#t\r\n(12\r\n",
		">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\np\r\n>3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\npp\r\n",
		"*3\r\n*2\r\n*0\r\n*-1\r\n%1\r\n+a\r\n~1\r\n$-1\r\n!5\r\nERR a\r\n=7\r\ntxt:abc\r\n",
		"|1\r\n+a\r\n*1\r\n:1\r\n*2\r\n|1\r\n+b\r\n+c\r\n:2\r\n|0\r\n:3\r\n",
		"$536870912\r\na", "*2147483648\r\n:1\r\n", "%2147483648\r\n", "$?\r\n", "*?\r\n", "+a\rb\r\n", "$1\r\nab\r\n",
		strings.Repeat("*1\r\n", 17), "*99999999999999999999\r\n",
		"!800\r\n" + strings.Repeat("0", 385),
	} {
		for cut := range uint8(3) {
			f.Add([]byte(in), cut)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		want, failure := pieces(t, in, len(in))
		for _, size := range []int{1, 1 + int(cut)} {
			if got, err := pieces(t, in, size); !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(failure) {
				t.Errorf("in pieces of %d: %v, %v; at once %v, %v", size, got, err, want, failure)
			}
		}
		elements, text := weigh(want)
		if elements > len(in)/3 || text > len(in) {
			t.Errorf("%d values of %d bytes, of %d bytes", elements, text, len(in))
		}
		var again []byte
		for _, v := range want {
			again = appendValue(again, v)
		}
		if got, err := pieces(t, again, len(again)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("again: %v, %v; want %v", got, err, want)
		}
	})
}

// pieces decodes in, so many bytes at a time, and holds what the decoder keeps to what has come.
func pieces(t *testing.T, in []byte, size int) (values []Value, err error) {
	t.Helper()
	var d Decoder
	for from := 0; from < len(in) && err == nil; from += size {
		buffer := append([]byte(nil), in[from:min(from+size, len(in))]...)
		err = d.Feed(buffer, func(v Value) { values = append(values, v) })
		clear(buffer)
		came := min(from+size, len(in)) // twice as much is made room for, and what the allocator rounds that up to
		if room := d.text.text.Cap(); room > 3*came+64 || cap(d.values) > came+64 || cap(d.line) > 3*came+64 || len(d.stack) > maxDepth {
			t.Errorf("of %d bytes: room for a text of %d, %d values, a line of %d, %d aggregates", came, room, cap(d.values), cap(d.line), len(d.stack))
		}
	}
	return values, err
}

// weigh counts values, with those in them, and the bytes of their texts.
func weigh(values []Value) (elements, text int) {
	for _, v := range values {
		n, size := weigh(v.List)
		elements, text = elements+1+n, text+len(v.Text)+size
	}
	return elements, text
}

// appendValue appends a value as a server sends it.
func appendValue(b []byte, v Value) []byte {
	switch v.Kind {
	case Bulk:
		return AppendArg(b, v.Text)
	case Error: // which may have been a BulkError
		return append(append(appendNumber(b, BulkError, len(v.Text)), v.Text...), "\r\n"...)
	case Verbatim:
		return append(append(appendNumber(b, Verbatim, len(v.Text)+4), "txt:"+v.Text...), "\r\n"...)
	case Array, Map, Set, Push:
		n := len(v.List)
		if v.Kind == Map {
			n /= 2
		}
		b = append(strconv.AppendInt(append(b, byte(v.Kind)), int64(n), 10), "\r\n"...)
		for _, element := range v.List {
			b = appendValue(b, element)
		}
		return b
	}
	return append(append(append(b, byte(v.Kind)), v.Text...), "\r\n"...)
}
