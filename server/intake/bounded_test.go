package intake

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is a connection that says something.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }

func boundedOf(r io.Reader, most int) *bounded {
	return &bounded{Conn: stream{Reader: r}, most: most, buf: make([]byte, 64)}
}

func TestBounded(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, c := range []struct{ in, want string }{
		{"+OK\r\n:5\r\n$-1\r\n$0\r\n\r\n", "+OK\r\n:5\r\n$-1\r\n$0\r\n\r\n"},
		{">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n$9\r\n\r\n+x\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n$9\r\n\r\n+x\r\n"}, // a text that looks like a length
		{"$1000\r\n" + long + "\r\n+x\r\n", "$26\r\n" + absent + "\r\n+x\r\n"},
		{"$100\r\n" + long[:100] + "\r\n", "$100\r\n" + long[:100] + "\r\n"},
	} {
		for _, how := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader, iotest.HalfReader} {
			got, err := io.ReadAll(bufio.NewReaderSize(boundedOf(how(strings.NewReader(c.in)), 100), 16))
			if err != nil || string(got) != c.want {
				t.Errorf("%.60q is %.80q, %v", c.in, got, err)
			}
		}
	}
	for _, in := range []string{"*5000\r\n", "+" + strings.Repeat("x", mostText+1), "$99999999999999999\r\n"} {
		if _, err := io.ReadAll(boundedOf(strings.NewReader(in), 100)); !errors.Is(err, errTooMuch) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
}

// FuzzBounded: what comes does not hang on how it was cut, and no text in it is too large.
func FuzzBounded(f *testing.F) {
	f.Add([]byte(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$200\r\n" + strings.Repeat("x", 200) + "\r\n+x\r\n"))
	f.Add([]byte("$\r\n$-1\r\n=3\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := io.ReadAll(boundedOf(bytes.NewReader(in), 100))
		parts, again := io.ReadAll(boundedOf(iotest.OneByteReader(bytes.NewReader(in)), 100))
		if !bytes.Equal(whole, parts) || (err == nil) != (again == nil) {
			t.Fatalf("%q, %v is in parts %q, %v", whole, err, parts, again)
		}
		if len(whole) > len(in)+64*bytes.Count(in, []byte("\n")) {
			t.Fatalf("%d bytes of %d", len(whole), len(in))
		}
	})
}
