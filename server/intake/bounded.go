package intake

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
)

// What one element of what Redis says may have beside payloads, at the most: lines and names of channels.
const (
	mostText    = 1 << 20
	mostParts   = 1 << 12
	mostSkipped = 1 << 40 // what is told of a text that is too large, for arithmetic
)

// errTooMuch ends a connection whose other side says what no Redis does.
var errTooMuch = errors.New("not what Redis says to a subscriber")

// absent is what stands in the place of a text that is too large: random, so that nobody sends it.
var absent = rand.Text()

// tooLarge reports that a text stands for one that was not kept.
func tooLarge(text string) bool { return text == absent }

// A bounded is a connection from which texts that are too large do not come: rueidis would take the memory
// for any length that it is told. It reads RESP, of which it has to know the lines alone: one that begins
// with $ is followed by so many bytes.
type bounded struct {
	net.Conn
	most int // bytes of a text

	// Owned by who reads.
	raw  []byte // was read and is not looked at yet; a part of buf
	buf  []byte
	line []byte // a line that has begun
	out  []byte // what stands in the place of something, to be handed on
	pass int    // bytes of a text that are handed on as they are
	skip int    // bytes of a text that are not
}

// dialBounded is how rueidis reaches a Redis.
func dialBounded(most int) dialer {
	return func(ctx context.Context, address string, d *net.Dialer, secure *tls.Config) (net.Conn, error) {
		var conn net.Conn
		var err error
		if secure != nil {
			conn, err = (&tls.Dialer{NetDialer: d, Config: secure}).DialContext(ctx, "tcp", address)
		} else {
			conn, err = d.DialContext(ctx, "tcp", address)
		}
		if err != nil {
			return nil, err
		}
		return &bounded{Conn: conn, most: max(most, mostText), buf: make([]byte, 16<<10)}, nil
	}
}

// Read implements [net.Conn].
func (b *bounded) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(b.out) > 0 {
			n := copy(p, b.out)
			b.out = b.out[n:]
			return n, nil
		}
		if len(b.raw) == 0 {
			n, err := b.Conn.Read(b.buf)
			b.raw = b.buf[:n]
			if n == 0 {
				return 0, err
			} // an error beside something comes again
		}
		switch {
		case b.skip > 0:
			n := min(b.skip, len(b.raw))
			b.skip, b.raw = b.skip-n, b.raw[n:]
		case b.pass > 0:
			n := copy(p, b.raw[:min(b.pass, len(b.raw))])
			b.pass, b.raw = b.pass-n, b.raw[n:]
			return n, nil
		default:
			if err := b.look(); err != nil {
				return 0, err
			}
		}
	}
}

// look takes a line, or what there is of it.
func (b *bounded) look() error {
	end := bytes.IndexByte(b.raw, '\n') + 1
	if end == 0 {
		end = len(b.raw)
	}
	b.line, b.raw = append(b.line, b.raw[:end]...), b.raw[end:]
	if len(b.line) > mostText {
		return errTooMuch
	}
	if b.line[len(b.line)-1] != '\n' {
		return nil
	}
	line := b.line
	b.line = nil
	n, err := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	switch c := line[0]; {
	case err != nil || n < 0: // a text that is none
	case (c == '*' || c == '>' || c == '%' || c == '~' || c == '|') && n > mostParts, n > mostSkipped:
		return errTooMuch
	case c == '$' || c == '=' || c == '!':
		if n > b.most {
			b.skip = n + 2
			line = []byte("$" + strconv.Itoa(len(absent)) + "\r\n" + absent + "\r\n")
		} else {
			b.pass = n + 2
		}
	}
	b.out = line
	return nil
}
