package server

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A pipe takes nothing while it is full, or fails.
type pipe struct {
	mu     sync.Mutex // guards what follows
	cond   *sync.Cond
	full   bool
	broken error
	got    bytes.Buffer
}

func newPipe() *pipe {
	p := new(pipe)
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.full {
		p.cond.Wait()
	}
	if p.broken != nil {
		return 0, p.broken
	}
	return p.got.Write(b)
}

func (p *pipe) set(full bool, broken error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full, p.broken = full, broken
	p.cond.Broadcast()
}

func (p *pipe) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got.String()
}

func TestLogWriterKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		w := NewLogWriter(p, "text", 0)
		var want strings.Builder
		for i := range 1000 {
			fmt.Fprintln(&want, i)
			fmt.Fprintln(w, i)
		}
		if err := w.Close(time.Second); err != nil || p.String() != want.String() {
			t.Errorf("%v, %d bytes of %d", err, len(p.String()), want.Len())
		}
		fmt.Fprintln(w, "too late")
		if strings.Contains(p.String(), "too late") {
			t.Error("written after Close")
		}
	})
}

// A pipe that nobody reads costs a bounded number of bytes and nobody's time, and
// what was dropped is told in its place.
func TestLogWriterDropsAndCounts(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPipe()
			p.set(true, nil)
			w := NewLogWriter(p, format, 1000)
			line := strings.Repeat("x", 99) + "\n"
			for range 50 {
				fmt.Fprint(w, line)
				synctest.Wait() // the first is being written, and counts
			}
			if held := len(w.waiting) + w.writing; held != 1000 || cap(w.waiting) > 2000 {
				t.Errorf("%d bytes are held in %d", held, cap(w.waiting))
			}
			p.set(false, nil)
			synctest.Wait()
			fmt.Fprint(w, "next\n")
			synctest.Wait()
			before, after, _ := strings.Cut(p.String(), strings.Repeat(line, 10))
			if before != "" || !strings.Contains(after, "log lines dropped") || !strings.Contains(after, "40") || !strings.HasSuffix(after, "\nnext\n") || strings.Count(after, "\n") != 2 {
				t.Errorf("%q", after)
			}
			if err := w.Close(time.Second); err != nil {
				t.Error(err)
			}
		})
	}
}

// What was dropped last is told at the end.
func TestLogWriterTellsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		p.set(true, nil)
		w := NewLogWriter(p, "text", 300)
		for range 10 {
			fmt.Fprint(w, strings.Repeat("x", 99)+"\n")
		}
		time.AfterFunc(time.Second, func() { p.set(false, nil) })
		if err := w.Close(2 * time.Second); err != nil || !strings.HasSuffix(p.String(), "count=7\n") {
			t.Errorf("%v: %q", err, p.String())
		}
	})
}

func TestLogWriterStuckAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		p.set(true, nil)
		w := NewLogWriter(p, "text", 0)
		fmt.Fprintln(w, "last words")
		began := time.Now()
		if err := w.Close(3 * time.Second); !errors.Is(err, ErrLogStuck) || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		p.set(false, nil) // so that the goroutine ends with the test
	})
}

// A disk that is full for a while: the lines of that time are counted.
func TestLogWriterAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		w := NewLogWriter(p, "text", 0)
		p.set(false, errors.New("no space left on device"))
		for range 3 {
			fmt.Fprintln(w, "lost")
			synctest.Wait()
		}
		p.set(false, nil)
		fmt.Fprintln(w, "kept")
		synctest.Wait()
		if got := p.String(); !strings.HasSuffix(got, "count=3\nkept\n") {
			t.Errorf("%q", got)
		}
		p.set(false, errors.New("gone"))
		fmt.Fprintln(w, "lost")
		if err := w.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}
