// Package handover is the file in which a process that ends leaves what the next one is to
// go on with, whatever that is: parts with names, which their owners write and read. It
// starts no goroutine.
//
// # Why
//
// What such a file says was true when its process ended, and of no other moment: a process
// that goes on with one which has become old in the meantime would take for known what it
// never had. So a file is good once. Who begins takes it away before reading it, and puts
// its own mark in its place; who ends replaces that mark by what it leaves, unless another
// process has put its own there since. Killed, it leaves the mark, which says that there is
// nothing to go on with. Of two processes with the same path the first leaves nothing while
// the second runs; behind that, what counts is what the one left that ended last.
//
// All of it is seen on the disk before anything follows from it, where the system has a way
// to do that (Windows has none for the names in a directory).
package handover

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How files are called that stand beside the one at the path, for a while or for a person
// to look at.
const (
	takenEnd   = ".taken"   // what is being read
	refusedEnd = ".refused" // what could not be
	writtenEnd = ".new-"    // what is being written
)

// large is how many bytes take long enough to read that a line in the log says so before.
const large = 64 << 20

// A File is the place where a process leaves something. Make one with [Begin]; what it says
// goes to the log.
type File struct {
	path    string
	mark    string // names this process in the file
	foreign bool   // there is something else at the path, which stays there
	log     *slog.Logger
}

// Begin takes what the last process left at a path, and makes the path that of this one. A
// file that is broken, or of a later version, is put aside under its name with ".refused"; one
// of something else is left alone, and nothing is written there; of both the log has a line.
// left is nil where there is nothing to go on with. A path that is a link is that of the file
// where the link leads.
//
// The error says why there cannot be a file at the path at all.
func Begin(path string, log *slog.Logger) (f *File, left *Left, err error) {
	path = Place(path) // what is good once is the file, by each of its names
	var id [10]byte
	_, _ = rand.Read(id[:]) // never fails
	f = &File{path: path, mark: hex.EncodeToString(id[:]), log: log.With("file", path)}
	what, _, err := look(path)
	if err != nil {
		return nil, nil, err
	}
	if what == foundForeign {
		f.foreign = true
		f.log.Error("this is no file that Poosh has left: it stays as it is, and nothing will be left at the end; move it away, or name another one")
		return f, nil, nil
	}
	f.sweep()
	taken, err := f.take(what)
	if err == nil {
		err = f.claim(taken)
	}
	if err != nil {
		return nil, nil, err
	}
	if taken {
		left = f.open(what)
	}
	return f, left, nil
}

// Place is where a path leads over links, whether there is a file yet or not. A link to a
// directory that is not there leads nowhere: then it is the path itself.
func Place(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	to, err := os.Readlink(path)
	if err != nil {
		return path
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(path), to)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(to))
	if err != nil {
		return path
	}
	return filepath.Join(dir, filepath.Base(to))
}

// sweep removes what others began to write here and did not finish.
func (f *File) sweep() {
	dir, begin := filepath.Dir(f.path), filepath.Base(f.path)+writtenEnd
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		if strings.HasPrefix(e.Name(), begin) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// take takes away what is at the path.
func (f *File) take(what found) (taken bool, err error) {
	if what == foundNothing {
		return false, nil
	}
	err = os.Rename(f.path, f.path+takenEnd)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // another process was quicker
	}
	return err == nil, err
}

// claim puts the mark of this process at the path. On a disk that is full there is none, and
// what was taken is gone from there all the same.
func (f *File) claim(taken bool) error {
	err := f.replace(func(out *os.File) error {
		_, err := out.Write(headLine(stateRuns + " " + f.mark))
		return err
	})
	if isFull(err) {
		f.log.Error("nothing can be written", "err", err)
		err = syncDir(filepath.Dir(f.path))
	}
	if err != nil && taken {
		_ = os.Rename(f.path+takenEnd, f.path)
	}
	return err
}

// open opens what was taken away, or says why there is nothing in it.
func (f *File) open(what found) *Left {
	l := &Left{path: f.path + takenEnd, kept: f.path + refusedEnd, log: f.log}
	switch what {
	case foundRuns:
		f.log.Warn("the last process did not end in order, or still runs: what it knew is lost")
		l.Close()
		return nil
	case foundLater:
		l.Refuse(errors.New("it is of another version of Poosh"))
		return nil
	case foundEmpty:
		l.Close()
		return nil
	}
	var info os.FileInfo
	var err error
	if l.file, err = os.Open(l.path); err == nil {
		info, err = l.file.Stat()
	}
	if err == nil {
		if info.Size() > large {
			f.log.Info("what the last process left is large: nobody is served before it is read", "bytes", info.Size())
		}
		l.contents, err = read(l.file, info.Size())
	}
	if err == nil && time.Until(l.written) > time.Minute {
		err = errors.New("it is of a time that is still to come: the clock has been set back, and nobody can say how old it is")
	}
	if err != nil {
		l.Refuse(err)
		return nil
	}
	return l
}

// Left is what the last process left. Read its parts, and then close or refuse it.
type Left struct {
	*contents
	path, kept string
	file       *os.File // nil for none
	log        *slog.Logger
}

// Written is when it was written.
func (l *Left) Written() time.Time { return l.written }

// Part returns a part by its name; nil if there is none of that name. Each is read once.
func (l *Left) Part(name string) *Reader {
	s := l.parts[name]
	if s == nil {
		return nil
	}
	return NewReader(s, s.Size())
}

// Close removes what was read.
func (l *Left) Close() {
	if l.file != nil {
		_ = l.file.Close()
	}
	_ = os.Remove(l.path)
}

// Refuse puts aside what could not be read, and says so in the log.
func (l *Left) Refuse(why error) {
	if l.file != nil {
		_ = l.file.Close()
	}
	aside := l.kept
	if err := os.Rename(l.path, l.kept); err != nil {
		aside = l.path
	}
	l.log.Warn("what the last process left is of no use, and is put aside", "err", why, "aside", aside)
}

// Write leaves parts for the next process: the file is there whole, for its owner alone to
// read, or as it was. It does not when this is not the process any more that may: the log has
// a line then, and the error is nil. Nothing that the parts tell of may change any more.
func (f *File) Write(ctx context.Context, parts ...Part) (left bool, err error) {
	if f.foreign {
		return false, nil
	}
	err = f.replace(func(out *os.File) error {
		return NewWriter(ctx, out).write(parts, time.Now())
	}, ctx.Err, f.mine)
	if errors.Is(err, errNotMine) {
		f.log.Error("nothing is left at the end", "err", err)
		return false, nil
	}
	return err == nil, err
}

var errNotMine = errors.New("the place is not this process's any more")

// mine reports whether the place is still that of this process: one that began later has put
// its own mark there. What has been left there meanwhile is older than this process's end.
func (f *File) mine() error {
	switch what, who, err := look(f.path); {
	case err != nil:
		return err
	case what == foundForeign, what == foundLater:
		return fmt.Errorf("%w: there is a file of something else", errNotMine)
	case what == foundRuns && who != f.mark:
		return fmt.Errorf("%w: another process has begun with it", errNotMine)
	}
	return nil
}

// replace writes a file beside the path, and then puts it there in one step, if all before
// agree.
func (f *File) replace(write func(*os.File) error, before ...func() error) (err error) {
	dir := filepath.Dir(f.path)
	out, err := os.CreateTemp(dir, filepath.Base(f.path)+writtenEnd+"*") // for its owner alone
	if err != nil {
		return err
	}
	err = write(out)
	if err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	for _, agrees := range before {
		if err == nil {
			err = agrees()
		}
	}
	if err == nil {
		err = os.Rename(out.Name(), f.path)
	}
	if err != nil {
		_ = os.Remove(out.Name())
		return err
	}
	return syncDir(dir)
}
