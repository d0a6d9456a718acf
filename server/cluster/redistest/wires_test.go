package redistest

import (
	"bytes"
	"strings"
	"testing"
)

// What servers say of addresses, in all the forms that they have, comes by the names of wires, wherever it is cut;
// all else comes as it is, and at once.
func TestRenamer(t *testing.T) {
	var pairs []string
	for _, before := range beforePort {
		pairs = append(pairs, before+"10001", before+"40001", before+"10002", before+"40002")
	}
	n := &names{pairs: pairs, all: strings.NewReplacer(pairs...)}
	const said = "*3\r\n$9\r\n127.0.0.1\r\n:10001\r\n$4\r\nport\r\n:10002\r\n-MOVED 7 127.0.0.1:10001\r\n" +
		"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n10002\r\n$4\r\nport\r\n$5\r\n10001\r\n+switch-master main 127.0.0.1 10001 127.0.0.1 10002\r\n" +
		":10001\r\n$5\r\n10002\r\n127.0.0.1:10003\r\n"
	const want = "*3\r\n$9\r\n127.0.0.1\r\n:40001\r\n$4\r\nport\r\n:40002\r\n-MOVED 7 127.0.0.1:40001\r\n" +
		"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n40002\r\n$4\r\nport\r\n$5\r\n40001\r\n+switch-master main 127.0.0.1 40001 127.0.0.1 40002\r\n" +
		":10001\r\n$5\r\n10002\r\n127.0.0.1:10003\r\n"
	for size := 1; size <= len(said); size++ {
		var got bytes.Buffer
		r := &renamer{to: &got, names: n}
		for at := 0; at < len(said); at += size {
			part := said[at:min(at+size, len(said))]
			if written, err := r.Write([]byte(part)); err != nil || written != len(part) {
				t.Fatal(written, err)
			}
		}
		if got.String() != want {
			t.Fatalf("in parts of %d it is %q", size, got.String())
		}
	}
}
