package handover

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// A file begins with a line that a person can read, "Poosh handover <version> <state>". With
// the state "left" there follow the parts, one behind the other; an index of them: when it
// was written in Unix nanoseconds, how many they are, and of each its name, where it begins
// and its size, as a [Writer] writes them; in eight bytes where the index begins; and the
// SHA-256 of all before. With the state "runs" there follows who runs, and nothing else.
const (
	magic   = "Poosh handover "
	version = 2

	stateLeft = "left"
	stateRuns = "runs"

	maxHead  = 80
	tailSize = 8 + sha256.Size
)

// A Part is one thing of many in the file: its name, and who writes it.
type Part struct {
	Name  string
	Write func(*Writer)
}

// What there may be at a path.
type found int

const (
	foundNothing found = iota
	foundEmpty
	foundForeign // a file of something else
	foundLater   // of a version that is not known here
	foundRuns    // the mark of a process
	foundLeft    // what a process left, or began to
)

// look says what there is at a path, by how it begins. who is whose mark it is.
func look(path string) (what found, who string, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return foundNothing, "", nil
	case err != nil:
		return 0, "", err
	case !info.Mode().IsRegular(): // which might make who opens it wait
		return 0, "", fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	b := make([]byte, maxHead)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, "", err
	}
	what, who = headOf(b[:n])
	return what, who, nil
}

// Foreign reports whether there is a file of something else at a path: nothing is read from it or
// left there.
func Foreign(path string) bool {
	what, _, err := look(path)
	return err == nil && what == foundForeign
}

// headOf reads how a file begins.
func headOf(b []byte) (what found, who string) {
	switch {
	case len(b) == 0:
		return foundEmpty, ""
	case len(b) < len(magic) && strings.HasPrefix(magic, string(b)):
		return foundLeft, "" // cut off
	case !bytes.HasPrefix(b, []byte(magic)):
		return foundForeign, ""
	}
	line, _, _ := strings.Cut(string(b[len(magic):]), "\n")
	words := strings.Split(line, " ")
	if n, err := strconv.Atoi(words[0]); err == nil && n != version && len(words) > 1 {
		return foundLater, ""
	}
	if len(words) == 3 && words[1] == stateRuns {
		return foundRuns, words[2]
	}
	return foundLeft, ""
}

func headLine(state string) []byte {
	return []byte(magic + strconv.Itoa(version) + " " + state + "\n")
}

// write writes the parts, as of a moment.
func (w *Writer) write(parts []Part, now time.Time) error {
	w.raw(headLine(stateLeft))
	type place struct{ begin, size uint64 }
	places := make([]place, len(parts))
	for i, p := range parts {
		begin := w.at
		p.Write(w)
		places[i] = place{begin, w.at - begin}
	}
	index := w.at
	w.Uint(uint64(now.UnixNano()))
	w.Uint(uint64(len(parts)))
	for i, p := range parts {
		w.Text(p.Name)
		w.Uint(places[i].begin)
		w.Uint(places[i].size)
	}
	var tail [8]byte
	binary.BigEndian.PutUint64(tail[:], index)
	w.raw(tail[:])
	if err := w.Flush(); err != nil {
		return err
	}
	w.raw(w.to.sum.Sum(nil))
	return w.Flush()
}

// A contents is what is in a file, once all of it has been looked at.
type contents struct {
	written time.Time
	parts   map[string]*io.SectionReader
}

// read looks whether a file is whole, and finds its parts.
func read(f io.ReaderAt, size int64) (*contents, error) {
	head := headLine(stateLeft)
	least := int64(len(head) + tailSize)
	begin := make([]byte, len(head))
	if size < least {
		return nil, fmt.Errorf("%w: it ends too early", ErrBroken)
	}
	if _, err := f.ReadAt(begin, 0); err != nil {
		return nil, err
	}
	if !bytes.Equal(begin, head) {
		return nil, fmt.Errorf("%w: it begins as none does", ErrBroken)
	}
	if err := checkSum(f, size); err != nil {
		return nil, err
	}
	return index(f, size)
}

// checkSum looks whether a file is as it was written.
func checkSum(f io.ReaderAt, size int64) error {
	sum, end := sha256.New(), size-sha256.Size
	if _, err := io.CopyBuffer(sum, io.NewSectionReader(f, 0, end), make([]byte, 256<<10)); err != nil {
		return err
	}
	want := make([]byte, sha256.Size)
	if _, err := f.ReadAt(want, end); err != nil {
		return err
	}
	if !bytes.Equal(want, sum.Sum(nil)) {
		return fmt.Errorf("%w: its sum is another one, so it is not what was written", ErrBroken)
	}
	return nil
}

// index finds the parts in a file. It believes nothing that the file says.
func index(f io.ReaderAt, size int64) (*contents, error) {
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], size-tailSize); err != nil {
		return nil, err
	}
	at, end := binary.BigEndian.Uint64(tail[:]), uint64(size-tailSize)
	if at > end {
		return nil, fmt.Errorf("%w: its index is outside of it", ErrBroken)
	}
	r := NewReader(io.NewSectionReader(f, int64(at), int64(end-at)), int64(end-at))
	c := &contents{time.Unix(0, int64(r.Uint())), make(map[string]*io.SectionReader)}
	for range r.Count(3) {
		name, begin, length := r.Text(), r.Uint(), r.Uint()
		switch {
		case r.Err() != nil:
		case begin > at || length > at-begin:
			r.Fail("a part is outside of it")
		case c.parts[name] != nil:
			r.Fail("a part is there twice")
		default:
			c.parts[name] = io.NewSectionReader(f, int64(begin), int64(length))
		}
	}
	return c, r.End()
}
