package handover

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/logtest"
)

// begin begins at a path, and returns what the log was told.
func begin(t *testing.T, path string) (*File, *Left, string) {
	t.Helper()
	var b logtest.Buffer
	f, left, err := Begin(path, slog.New(slog.NewTextHandler(&b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return f, left, b.String()
}

// leave writes one part with a text.
func leave(t *testing.T, f *File, text string) bool {
	t.Helper()
	left, err := f.Write(t.Context(), Part{"a", func(w *Writer) { w.Text(text); w.Uint(1 << 63) }}, Part{"b", func(*Writer) {}})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// goesOn begins with what another process has left, which is that text.
func goesOn(t *testing.T, path, text string) *File {
	t.Helper()
	f, left, said := begin(t, path)
	if left == nil {
		t.Fatalf("goes on with nothing: %s", said)
	}
	r := left.Part("a")
	if got, n := r.Text(), r.Uint(); got != text || n != 1<<63 || r.End() != nil {
		t.Errorf("%q, %d, %v; want %q", got, n, r.End(), text)
	}
	if b := left.Part("b"); b == nil || b.End() != nil || left.Part("c") != nil {
		t.Error("there are other parts")
	}
	if age := time.Since(left.Written()); age < 0 || age > time.Minute {
		t.Errorf("it is %v old", age)
	}
	left.Close()
	return f
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		list = append(list, e.Name())
	}
	return list
}

// What one process leaves the next goes on with, once: killed, it leaves nothing to go on
// with, and that is told.
func TestOneAfterTheOther(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	f, left, said := begin(t, path)
	if left != nil || said != "" {
		t.Fatalf("the first goes on with something: %s", said)
	}
	for _, text := range []string{"", "one", strings.Repeat("two", 1<<20)} {
		if !leave(t, f, text) {
			t.Fatal("it is not left")
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		f = goesOn(t, path, text)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() > maxHead {
			t.Errorf("the mark: %v of %d, %v", info.Mode(), info.Size(), err)
		}
	}
	// That one is killed.
	if _, left, said := begin(t, path); left != nil || !strings.Contains(said, "did not end in order") {
		t.Errorf("goes on behind one that was killed: %s", said)
	}
	if list := names(t, dir); !slices.Equal(list, []string{"file"}) {
		t.Errorf("there are %q", list)
	}
}

// Of two with the same path the first leaves nothing while the second runs; then the last end
// counts.
func TestTwoAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	first, _, _ := begin(t, path)
	second, _, _ := begin(t, path)
	if leave(t, first, "first") {
		t.Error("the first leaves something, while the second runs")
	}
	if !leave(t, second, "second") {
		t.Error("the second leaves nothing")
	}
	goesOn(t, path, "second")

	first, _, _ = begin(t, path)
	second, _, _ = begin(t, path)
	// What the second has left is old as soon as the first does anything behind its end.
	if !leave(t, second, "second") || !leave(t, first, "first") {
		t.Error("nothing is left")
	}
	goesOn(t, path, "first")
}

// A file with anything in it that was not written is put aside, or left alone if it is of
// something else; the log is told in one line, and the end leaves what it has.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	f, _, _ := begin(t, path)
	leave(t, f, "some text")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, i int, data []byte, want string) {
		t.Helper()
		_ = os.Remove(path + refusedEnd)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, left, said := begin(t, path)
		if left != nil || strings.Count(said, "\n") != 1 || !strings.Contains(said, want) {
			t.Errorf("%s %d: taken %v, told %q, want %q", what, i, left != nil, said, want)
		}
		if f.foreign {
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) || leave(t, f, "over it") || len(names(t, dir)) != 1 {
				t.Errorf("%s %d: it does not stay as it was: %q, %v", what, i, got, err)
			}
			return
		}
		if got, err := os.ReadFile(path + refusedEnd); want != "not end" && (err != nil || !bytes.Equal(got, data)) {
			t.Errorf("%s %d: put aside is %q, %v", what, i, got, err)
		}
		if i%16 > 0 { // each waits for the disk
			return
		}
		if !leave(t, f, "anew") {
			t.Errorf("%s %d: nothing is left", what, i)
		}
		goesOn(t, path, "anew")
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x41
		want := "of no use"
		if i < len(magic) {
			want = "no file that Poosh has left"
		}
		try("byte", i, bad, want)
		if i > 0 {
			try("cut at", i, good[:i], "of no use")
		}
	}
	try("more", 0, append(slices.Clone(good), 0), "of no use")
	try("another's", 0, []byte("root:x:0:0:root:/root:/bin/bash\n"), "no file that Poosh has left")
	try("a later version", 0, []byte("Poosh handover 3 left\nin a way that is not known yet"), "of another version")
	try("an earlier version", 0, []byte("Poosh handover 1 left\nin a way that is not known any more"), "of another version")
	try("its mark", 0, []byte("Poosh handover 2 runs abc\n"), "not end")
}

// An empty file is none.
func TestEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f, left, said := begin(t, path)
	if left != nil || said != "" || !leave(t, f, "text") {
		t.Errorf("told %q", said)
	}
	goesOn(t, path, "text")
}

// A path that is a link is that of the file where the link leads: that is good once too,
// whichever of its names it is asked for by, and the link stays.
func TestLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(elsewhere, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f, _, _ := begin(t, path)
	if !leave(t, f, "one") {
		t.Fatal("it is not left")
	}
	f = goesOn(t, link, "one")
	if _, left, said := begin(t, path); left != nil || !strings.Contains(said, "did not end in order") {
		t.Fatalf("it is good twice: %q", said)
	}
	if leave(t, f, "two") {
		t.Error("it is left, though another process has begun with the file")
	}
	f, _, _ = begin(t, link)
	if !leave(t, f, "three") {
		t.Fatal("it is not left")
	}
	if to, err := os.Readlink(link); err != nil || to != path {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	for in, want := range map[string]string{dir: "file", elsewhere: "link"} {
		if list := names(t, in); !slices.Equal(list, []string{want}) {
			t.Errorf("there are %q", list)
		}
	}
	goesOn(t, path, "three")
}

// A link may be there before there is a file where it leads.
func TestLinkBeforeTheFirstStart(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	relative, err := filepath.Rel(elsewhere, dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []string{filepath.Join(dir, "file0"), filepath.Join(relative, "file1")} {
		link := filepath.Join(elsewhere, fmt.Sprint("link", i))
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		f, _, _ := begin(t, link)
		if !leave(t, f, "one") {
			t.Fatal("it is not left")
		}
		if got, err := os.Readlink(link); err != nil || got != to {
			t.Errorf("the link leads to %q, %v", got, err)
		}
		goesOn(t, filepath.Join(dir, fmt.Sprint("file", i)), "one")
	}
	if list := names(t, elsewhere); !slices.Equal(list, []string{"link0", "link1"}) {
		t.Errorf("there are %q", list)
	}
	nowhere := filepath.Join(elsewhere, "nowhere")
	if err := os.Symlink(filepath.Join(dir, "none", "file"), nowhere); err != nil {
		t.Fatal(err)
	}
	if got := Place(nowhere); got != nowhere {
		t.Errorf("it leads to %q", got)
	}
}

// What takes long to read has a line in the log before: nobody is served until then.
func TestLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, headLine(stateLeft), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, large+1); err != nil {
		t.Fatal(err)
	}
	_, left, said := begin(t, path)
	reads, of := strings.Index(said, "is large"), strings.Index(said, "of no use")
	if left != nil || reads < 0 || of < reads || !strings.Contains(said, "level=INFO") {
		t.Errorf("taken %v, told %q", left != nil, said)
	}
}

// A text that nobody has written is refused before there is room for it.
func TestTextThatIsTooLong(t *testing.T) {
	b := binary.AppendUvarint(nil, maxBytes+1)
	r := NewReader(bytes.NewReader(b), 1<<40)
	if got := r.Text(); got != "" || !errors.Is(r.Err(), ErrBroken) || !strings.Contains(r.Err().Error(), "too long") {
		t.Errorf("%d bytes, %v", len(got), r.Err())
	}
}

// A file from the future says that the clock was set back: its age is not known.
func TestFuture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, _, _ := begin(t, path)
	err := f.replace(func(out *os.File) error {
		b := new(bytes.Buffer)
		err := NewWriter(context.Background(), b).write([]Part{{"a", func(*Writer) {}}}, time.Now().Add(time.Hour))
		_, _ = out.Write(b.Bytes())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, left, said := begin(t, path); left != nil || !strings.Contains(said, "clock") {
		t.Errorf("taken %v, told %q", left != nil, said)
	}
}

// Where there cannot be a file the error says so, and what is there stays.
func TestNoPlace(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Begin(filepath.Join(dir, "missing", "file"), slog.New(slog.DiscardHandler)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, _, err := Begin(dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a directory is taken for a file")
	}
}

// A writer without time leaves the mark and nothing beside it; then a later process is told.
func TestNoTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	f, _, _ := begin(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	left, err := f.Write(ctx, Part{"a", func(w *Writer) {
		w.Text("text")
		cancel()
		w.Text("text")
	}})
	if left || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", left, err)
	}
	if list := names(t, dir); !slices.Equal(list, []string{"file"}) {
		t.Errorf("there are %q", list)
	}
	// What is left of one that was killed as it wrote goes with the next start.
	if err := os.WriteFile(path+writtenEnd+"123", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, left, said := begin(t, path); left != nil || !strings.Contains(said, "did not end in order") || len(names(t, dir)) != 1 {
		t.Errorf("%q, %q", said, names(t, dir))
	}
}

// FuzzRead has any bytes behind the head of a file whose sum is right: it is refused, or its
// parts are in it and can be read to their end.
func FuzzRead(f *testing.F) {
	b := new(bytes.Buffer)
	if err := NewWriter(context.Background(), b).write([]Part{{"a", func(w *Writer) { w.Text("text") }}, {"b", func(w *Writer) { w.Uint(300) }}}, time.Now()); err != nil {
		f.Fatal(err)
	}
	head := headLine(stateLeft)
	f.Add(b.Bytes()[len(head) : b.Len()-sha256.Size])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		data = slices.Concat(head, data)
		sum := sha256.Sum256(data)
		data = append(data, sum[:]...)
		c, err := read(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			if !errors.Is(err, ErrBroken) {
				t.Error(err)
			}
			return
		}
		for _, p := range c.parts {
			r := NewReader(p, p.Size())
			for r.Err() == nil && r.left > 0 {
				r.Text()
				r.Uint()
			}
		}
	})
}
