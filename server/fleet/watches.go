package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"poosh/server/passing"
	"poosh/server/respond"
	"poosh/server/sends"
)

const (
	// holdTail is how long a question for sends waits for one, at the other node.
	holdTail = 3 * time.Second
	// idleTail is how long a watcher of another node that does not ask is kept. It asks again at once,
	// unless whoever watches there does not read, who is given up in that time.
	idleTail = 30 * time.Second
)

// A tailed answer is the sends since the one before.
type tailed struct {
	Sends   []json.RawMessage `json:"sends,omitempty"`
	Dropped uint64            `json:"dropped,omitempty"` // that found no room
	Over    string            `json:"over,omitempty"`    // why nothing more will come
}

// text is the answer; the lines are JSON already.
func (t *tailed) text() []byte {
	size := 64 + len(t.Over)
	for _, s := range t.Sends {
		size += len(s) + 1
	}
	b := append(make([]byte, 0, size), `{"dropped":`...)
	b = strconv.AppendUint(b, t.Dropped, 10)
	if t.Over != "" {
		over, _ := json.Marshal(t.Over) // of a text, which never fails
		b = append(append(b, `,"over":`...), over...)
	}
	for i, s := range t.Sends {
		if i == 0 {
			b = append(b, `,"sends":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, s...)
	}
	if len(t.Sends) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// watches are the watchers of other nodes.
type watches struct {
	mu   sync.Mutex // guards what follows
	of   map[string]*watch
	over bool
}

// A watch is one of them, by the node that asks and an id of that.
type watch struct {
	*sends.Watcher        // set once
	key            string // set once

	// Guarded by the lock of watches.
	idle  *time.Timer // ends it while nobody asks
	busy  bool        // somebody does
	ended bool        // whoever asks still is the last
	turn  uint64      // counts who asks
	uncut func() bool // no more looks at the link over which it was asked for last
}

func (ws *watches) init() { ws.of = make(map[string]*watch) }

var (
	errTwice   = errors.New("two ask for the same sends")
	errNotHere = errors.New("the watching has ended, begin anew")
)

// take returns the watch that a question is about, which nobody else has until [watches.put], unless it
// ends. begin is for one who does not know whether there is one: it goes on where nobody asks for it, and
// is made anew otherwise. The watch ends with link, over which the question came.
func (ws *watches) take(key string, link context.Context, begin func() (*sends.Watcher, error)) (w *watch, err error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.over {
		return nil, sends.ErrClosed
	}
	w = ws.of[key]
	if w != nil && w.busy {
		if begin == nil {
			return nil, errTwice
		}
		ws.drop(w) // its answer reaches nobody: there is one who asks for each
		w = nil
	}
	if w == nil {
		if begin == nil {
			return nil, errNotHere
		}
		watcher, err := begin() // of which there are only so many
		if err != nil {
			return nil, err
		}
		w = &watch{Watcher: watcher, key: key, uncut: func() bool { return true }}
		w.idle = time.AfterFunc(idleTail, func() { ws.expire(w) })
		ws.of[key] = w
	}
	w.idle.Stop()
	w.uncut()
	w.busy = true
	w.turn++
	turn := w.turn
	w.uncut = context.AfterFunc(link, func() { ws.cut(w, turn) })
	return w, nil
}

// cut ends a watch whose link is cut, unless it was asked for over another one since.
func (ws *watches) cut(w *watch, turn uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w.turn == turn {
		ws.drop(w)
	}
}

// put has others ask, or ends the watch.
func (ws *watches) put(w *watch, over bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w.busy = false
	switch {
	case w.ended:
	case over:
		ws.drop(w)
	default:
		w.idle.Reset(idleTail)
	}
}

// expire ends a watch for which nobody has asked.
func (ws *watches) expire(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !w.busy {
		ws.drop(w)
	}
}

// end ends a watch, if it is there. Whoever still waits for it is told that it is over.
func (ws *watches) end(key string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w := ws.of[key]; w != nil {
		ws.drop(w)
	}
}

// drop ends a watch. mu is held.
func (ws *watches) drop(w *watch) {
	w.ended = true
	w.idle.Stop()
	w.uncut()
	w.Stop()
	if ws.of[w.key] == w {
		delete(ws.of, w.key)
	}
}

// close ends all.
func (ws *watches) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.over = true
	for _, w := range ws.of {
		ws.drop(w) // whoever waits for it is told that it is over
	}
}

// answerTail answers with the sends since the last question: at once where there are some, and to one who
// begins, who knows from then on that nothing is missed.
func (f *Fleet) answerTail(q *passing.Question) []byte {
	id := q.Query.Get("watch")
	if id == "" || len(id) > 64 {
		return respond.Go.Body(refused{"watch is missing"})
	}
	if q.Query.Get("end") == "1" {
		f.watches.end(q.From + "/" + id)
		return (&tailed{}).text()
	}
	var begin func() (*sends.Watcher, error)
	if q.Query.Get("begin") == "1" {
		begin = func() (*sends.Watcher, error) { return f.cfg.Feed.Watch(sends.FilterOf(q.Query)) }
	}
	w, err := f.watches.take(q.From+"/"+id, q.Link(), begin)
	if err != nil {
		return respond.Go.Body(refused{fmt.Sprint("does not tell of sends: ", err)})
	}
	var t tailed
	if begin == nil {
		t.Over = wait(w.Watcher, q)
	}
	lines, dropped := w.Lines(true) // who asks there has shown a token
	for _, l := range lines {
		t.Sends = append(t.Sends, l)
	}
	t.Dropped = dropped
	// What an answer had that did not arrive is lost: whoever comes again begins, and its watcher is told.
	f.watches.put(w, t.Over != "" || q.Context().Err() != nil)
	return t.text()
}

// wait waits for sends, for a while, and says why no more will come.
func wait(w *sends.Watcher, q *passing.Question) (over string) {
	hold := time.NewTimer(holdTail)
	defer hold.Stop()
	select {
	case <-w.More():
	case <-w.Over():
		return sends.ErrClosed.Error()
	case <-q.Context().Done():
	case <-hold.C:
	}
	return ""
}
