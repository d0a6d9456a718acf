package handover

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A Writer writes numbers and texts one behind the other. It writes nothing more once
// something has failed, or there is no time left; [Writer.Flush] tells that. One
// goroutine uses it at a time.
type Writer struct {
	out *bufio.Writer
	to  *summing
	at  uint64 // how many bytes were written
}

// A summing writes as long as there is time, and knows the sum of what it has written.
type summing struct {
	ctx context.Context
	out io.Writer
	sum hash.Hash
}

func (s *summing) Write(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	s.sum.Write(b) // never fails
	return s.out.Write(b)
}

// NewWriter returns a Writer that writes to out until ctx ends.
func NewWriter(ctx context.Context, out io.Writer) *Writer {
	to := &summing{ctx, out, sha256.New()}
	return &Writer{out: bufio.NewWriterSize(to, 256<<10), to: to}
}

// Flush ends the writing, and returns what has failed.
func (w *Writer) Flush() error {
	return w.out.Flush() // with any error before
}

// raw writes bytes as they are.
func (w *Writer) raw(b []byte) {
	_, _ = w.out.Write(b) // Flush returns its error
	w.at += uint64(len(b))
}

// Uint writes a number; small ones take less.
func (w *Writer) Uint(n uint64) {
	var b [binary.MaxVarintLen64]byte
	w.raw(b[:binary.PutUvarint(b[:], n)])
}

// Bytes writes bytes, and how many they are.
func (w *Writer) Bytes(b []byte) {
	w.Uint(uint64(len(b)))
	w.raw(b)
}

// Text writes a text.
func (w *Writer) Text(s string) {
	w.Uint(uint64(len(s)))
	_, _ = w.out.WriteString(s)
	w.at += uint64(len(s))
}

// maxBytes bounds one text: several times as much as any request's body may be.
const maxBytes = 256 << 20

// ErrBroken is what [Reader.Err] returns where a part ends too early or says what it cannot.
var ErrBroken = errors.New("it is broken")

// A Reader reads what a [Writer] wrote, in the same order. It takes no more memory than the
// part has bytes. Once something is wrong it returns zeros. One goroutine uses it at a time.
type Reader struct {
	in   *bufio.Reader
	left int64 // bytes of the part
	err  error
}

// NewReader reads a part of so many bytes.
func NewReader(r io.Reader, size int64) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), left: size}
}

// Fail notes that something that was read is wrong; what says so is for a person.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, args...))
	}
}

// Uint reads a number.
func (r *Reader) Uint() (n uint64) {
	for shift := 0; ; shift += 7 {
		if r.err == nil && r.left < 1 {
			r.Fail("a part ends too early")
		}
		if r.err != nil {
			return 0
		}
		var b byte
		if b, r.err = r.in.ReadByte(); r.err != nil {
			return 0
		}
		r.left--
		if shift == 63 && b > 1 {
			r.Fail("a number is too large")
			return 0
		}
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
}

// Count reads how many things follow, each of which takes so many bytes at the least.
func (r *Reader) Count(least int) int {
	n := r.Uint()
	if r.err == nil && n > uint64(r.left)/uint64(least) {
		r.Fail("it counts more than there is")
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// Bytes reads what [Writer.Bytes] wrote.
func (r *Reader) Bytes() []byte {
	n := r.Count(1)
	if n > maxBytes {
		r.Fail("a text is too long")
	}
	if r.err != nil || n == 0 {
		return nil
	}
	b := make([]byte, n)
	if _, r.err = io.ReadFull(r.in, b); r.err != nil {
		return nil
	}
	r.left -= int64(n)
	return b
}

// Text reads a text.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Err returns what has been wrong so far.
func (r *Reader) Err() error { return r.err }

// End returns what was wrong, or that there is more than was read.
func (r *Reader) End() error {
	if r.left > 0 {
		r.Fail("there is more in it than there should be")
	}
	return r.err
}
