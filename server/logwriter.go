package server

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
)

// LogBuffer is how many bytes of lines a [LogWriter] made with 0 holds.
const LogBuffer = 1 << 20

// ErrLogStuck says that lines were left when a [LogWriter] was closed, because what
// it writes to took nothing.
var ErrLogStuck = errors.New("log: nobody takes the last lines")

// A LogWriter stands between those who log and a pipe or file that may take nothing
// for a while, or not at all any more: nobody ever waits for it. It holds a bounded
// number of bytes; a line that finds no room is dropped, and a line behind those that
// waited says how many were. Lines that could not be written count as dropped too.
//
// Its goroutine writes what waits, oldest first, in one Write. It ends with
// [LogWriter.Close], or with the process where a Write never returns.
type LogWriter struct {
	out   io.Writer // set once; used by run alone
	limit int       // set once; bytes
	note  slogNote  // set once

	mu      sync.Mutex // guards what follows; never held during a write
	more    *sync.Cond // there is something for run to do
	waiting []byte     // whole lines, oldest first
	writing int        // bytes that run is writing now
	dropped int        // lines, since a note last said so
	told    int        // lines that the notes in waiting tell of
	notes   int        // those notes
	closed  bool
	ended   chan struct{} // closed when run ended
}

// slogNote makes a line that says that some were dropped.
type slogNote func(dropped int) []byte

// NewLogWriter starts a LogWriter in front of out that holds so many bytes; 0 means
// [LogBuffer]. Its own lines are in the format of [NewLogger].
func NewLogWriter(out io.Writer, format string, limit int) *LogWriter {
	if limit == 0 {
		limit = LogBuffer
	}
	w := &LogWriter{out: out, limit: limit, ended: make(chan struct{})}
	w.more = sync.NewCond(&w.mu)
	w.note = func(dropped int) []byte {
		var line bytes.Buffer
		NewLogger(&line, slog.LevelWarn, format).Warn("log lines dropped", "count", dropped)
		return line.Bytes()
	}
	go w.run() // ends with Close
	return w
}

// Write takes a whole line, or drops it. It never blocks and never fails; it may be
// called from any goroutine. After Close every line is dropped.
func (w *LogWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var note []byte
	if w.dropped > 0 {
		note = w.note(w.dropped)
	}
	if w.closed || len(w.waiting)+w.writing+len(note)+len(line) > w.limit {
		w.dropped++
		return len(line), nil
	}
	if note != nil {
		w.tell(note)
	}
	w.waiting = append(w.waiting, line...)
	w.more.Signal()
	return len(line), nil
}

// tell queues a note of all that was dropped. w.mu is held.
func (w *LogWriter) tell(note []byte) {
	w.waiting = append(w.waiting, note...)
	w.told += w.dropped
	w.dropped = 0
	w.notes++
}

// run writes until Close, and then what still waits.
func (w *LogWriter) run() {
	defer close(w.ended)
	var batch []byte // taken in turns with w.waiting, so that nothing is allocated
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.waiting) == 0 && !w.closed {
			w.more.Wait()
		}
		if w.closed && w.dropped > 0 {
			w.tell(w.note(w.dropped))
		}
		if len(w.waiting) == 0 {
			return
		}
		batch, w.waiting = w.waiting, batch[:0]
		w.writing = len(batch)
		told := w.told - w.notes
		w.told, w.notes = 0, 0
		w.mu.Unlock()
		n, err := w.out.Write(batch)
		w.mu.Lock()
		w.writing = 0
		if err != nil {
			// A note that was lost told of lines that nobody has heard of yet.
			w.dropped += max(0, bytes.Count(batch[n:], []byte("\n"))+told)
			if w.closed {
				return // there is nobody to tell
			}
		}
	}
}

// Close takes no line any more and waits until those that wait are written, at most
// for a time: then it returns [ErrLogStuck], and leaves its goroutine behind. Call it
// once, at the end of the program.
func (w *LogWriter) Close(within time.Duration) error {
	w.mu.Lock()
	w.closed = true
	w.more.Signal()
	w.mu.Unlock()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-w.ended:
		return nil
	case <-late.C:
		return ErrLogStuck
	}
}
