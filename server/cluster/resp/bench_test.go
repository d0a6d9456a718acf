package resp

import (
	"strings"
	"testing"
)

// BenchmarkDecoder measures a read of what a connection to the engine has most: messages of a channel.
func BenchmarkDecoder(b *testing.B) {
	push := func(channel string) string {
		return string(append([]byte(">3\r\n"), AppendCommand(nil, "smessage", channel, strings.Repeat("p", 200))[len("*3\r\n"):]...))
	}
	channel := strings.Repeat("c", 39)
	for _, kind := range []struct {
		name, one string
		values    int // in one
	}{
		{"pushes", push(channel + "1"), 1},
		{"pushes of two channels", push(channel+"1") + push(channel+"2"), 2},
		{"answers", "+OK\r\n", 1},
		{"texts", "$5\r\nabcde\r\n", 1},
		{"arrays of 10", "*10\r\n" + strings.Repeat("$5\r\nabcde\r\n", 10), 1},
	} {
		const size = 64 << 10
		n := size / len(kind.one)
		for name, cut := range map[string]int{"whole": 0, "cut": len(kind.one) / 3} { // of which reads end in the middle of one
			b.Run(kind.name+", "+name, func(b *testing.B) {
				data := []byte(kind.one[cut:] + strings.Repeat(kind.one, n-1) + kind.one[:cut])
				var d Decoder
				told := 0
				each := func(Value) { told++ }
				if err := d.Feed([]byte(kind.one[:cut]), each); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if err := d.Feed(data, each); err != nil {
						b.Fatal(err)
					}
				}
				if told != b.N*n*kind.values {
					b.Errorf("%d values told of %d", told, b.N*n*kind.values)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(told), "ns/value")
			})
		}
	}
}

func BenchmarkAppendCommand(b *testing.B) {
	payload, buffer := strings.Repeat("p", 200), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendCommand(buffer[:0], "SPUBLISH", "poosh:{a}:channel", payload)
	}
}
