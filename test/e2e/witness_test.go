package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A course is what was published, in the order of the log: as one client saw it that was
// never cut off.
type course struct {
	ids    []string // of the events, which sort as they were published
	kinds  []byte   // of each
	count  map[byte]int
	except map[int]string // of the kind 'x', by number, the connection that was left out
}

// eventKinds: 'a' and 'b' go to the two rooms, '*' to everyone, and 'x' to the first room
// too, but to one connection.
const eventKinds = "ab*x"

// bait goes to a room that no client is in.
const bait = 'c'

// newCourse reads what that client saw, and is told whom events were not for.
func newCourse(reports []report, except map[int]string) (*course, error) {
	c := &course{count: make(map[byte]int), except: except}
	for _, r := range reports {
		if r.Saw != "event" {
			continue
		}
		kind, n, id, err := readEvent(r.Text)
		if err != nil {
			return nil, err
		}
		if !strings.ContainsRune(eventKinds, rune(kind)) || n != c.count[kind] || len(c.ids) > 0 && id <= c.ids[len(c.ids)-1] {
			return nil, fmt.Errorf("who is never cut off saw %s behind %d of them", r.Text, c.count[kind])
		}
		c.ids, c.kinds = append(c.ids, id), append(c.kinds, kind)
		c.count[kind]++
	}
	return c, nil
}

// behind is the number of the first event of a kind behind a position.
func (c *course) behind(kind byte, id string) (n int) {
	at, found := slices.BinarySearch(c.ids, id)
	if found {
		at++
	}
	for _, k := range c.kinds[:at] {
		if k == kind {
			n++
		}
	}
	return n
}

// readEvent reads the arguments of an event: its kind and number, and its id if it has one.
func readEvent(text string) (kind byte, n int, id string, err error) {
	var args []string
	if err = json.Unmarshal([]byte(text), &args); err != nil || len(args) == 0 || len(args) > 2 || args[0] == "" {
		return 0, 0, "", fmt.Errorf("an event has the arguments %s: %v", text, err)
	}
	if _, err = fmt.Sscanf(args[0][1:], "%d", &n); err != nil {
		return 0, 0, "", fmt.Errorf("an event has the arguments %s: %v", text, err)
	}
	if len(args) == 2 {
		id = args[1]
	}
	return args[0][0], n, id, nil
}

// A witness follows what a client saw, and says what was wrong with it: an event twice, out
// of order, or none of one that it was not told of.
type witness struct {
	course *course
	state  bool // it comes back by connection state recovery

	sid   string          // of its connection; empty as long as it does not know that
	sids  map[string]bool // that it ever had
	next  map[byte]int    // the next event that is due of each kind, if it was promised that
	last  string          // the position that it asks from
	bare  map[int]bool    // numbers of those to everyone that came without an id on this connection
	ever  map[int]bool    // and on all
	lives int             // connections
	told  int             // times that it was told that something is missing
	known bool            // it has something to come back to
	bad   map[string]bool // what was wrong, once each
}

func newWitness(c *course, state bool) *witness {
	return &witness{course: c, state: state, sids: make(map[string]bool), next: make(map[byte]int), bare: make(map[int]bool), ever: make(map[int]bool), bad: make(map[string]bool)}
}

func (w *witness) wrong(format string, args ...any) {
	if len(w.bad) < 5 {
		w.bad[fmt.Sprintf("connection %d: ", w.lives)+fmt.Sprintf(format, args...)] = true
	}
}

// see takes a report.
func (w *witness) see(r report) {
	switch r.Saw {
	case "state":
		w.lives++
		w.sid = ""
		w.settle()
		clear(w.bare)
		if w.state {
			w.back(r.Text == "true")
		}
	case "connect":
		w.sid = r.SID
		w.sids[r.SID] = true
	case "joined", "recovered":
		w.answered(r.Text)
	case "event":
		w.event(r.Text)
	}
}

// back is told whether the client is who it was.
func (w *witness) back(recovered bool) {
	if !recovered {
		if w.known {
			w.told++
		}
		clear(w.next)
	}
	w.known = true
}

// due is the next event of a kind that it has to get before the one of a number, if it was
// promised any. One that was not for a connection of it may be given to another, or not.
func (w *witness) due(kind byte, before int) (n int, promised bool) {
	for n, promised = w.next[kind]; promised && kind == 'x' && n < before && w.sids[w.course.except[n]]; n++ {
	}
	return n, promised
}

// settle counts the events to everyone that came without an id, as far as the client knows a
// later position: it does not ask for these again.
func (w *witness) settle() {
	for {
		n, promised := w.next['*']
		if !promised || !w.bare[n] || n >= w.course.behind('*', w.last) {
			return
		}
		w.next['*'] = n + 1
	}
}

// answered takes the answer to a join.
func (w *witness) answered(text string) {
	var one struct {
		ID        string
		Recovered *bool
	}
	if json.Unmarshal([]byte(text), &one) != nil || one.ID == "" {
		w.wrong("a join was answered %s", text)
		return
	}
	if one.Recovered != nil && !*one.Recovered {
		w.told++
		clear(w.next)
	}
	if one.ID < w.last {
		w.wrong("a join was answered %s behind %s", text, w.last)
	}
	if !w.state { // whose offset is that of its last event, whatever it was answered
		w.last = one.ID
	}
	w.settle()
	for _, kind := range []byte(eventKinds) {
		behind := w.course.behind(kind, one.ID)
		due, promised := w.due(kind, behind)
		switch {
		case !promised:
			w.next[kind] = behind
		case due < behind:
			w.wrong("the answer %s covers %c%d, and %c%d is due", text, kind, behind-1, kind, due)
			w.next[kind] = behind
		}
	}
}

// event takes an event.
func (w *witness) event(text string) {
	kind, n, id, err := readEvent(text)
	if err != nil {
		w.wrong("%v", err)
		return
	}
	if kind == bait {
		w.wrong("%s came, of a room that it is not in", text)
		return
	}
	if kind == 'x' && w.sid != "" && w.course.except[n] == w.sid {
		w.wrong("%s came, which was for all others", text)
	}
	if id == "" {
		if kind != '*' || w.state || w.ever[n] || n < w.next['*'] {
			w.wrong("%s came without an id, or once more", text)
		}
		w.bare[n], w.ever[n] = true, true
		return
	}
	if id <= w.last {
		w.wrong("%s came behind %s", text, w.last)
		return
	}
	if at, found := slices.BinarySearch(w.course.ids, id); !found || w.course.kinds[at] != kind || w.course.behind(kind, id) != n+1 {
		w.wrong("%s has the id of another", text)
	}
	w.last = id
	if w.bare[n] && kind == '*' {
		w.wrong("%s came twice on a connection", text)
	}
	w.settle()
	due, promised := w.due(kind, n)
	if promised && n != due {
		w.wrong("%s came where %c%d was due", text, kind, due)
	}
	w.next[kind] = n + 1
}

// end is asked when everything has come.
func (w *witness) end() {
	w.settle()
	for kind, all := range w.course.count {
		if n, promised := w.due(kind, all); !promised || n != all {
			w.wrong("%c%d is the next that is due, and there were %d (%v)", kind, n, all, promised)
		}
	}
}

func (w *witness) faults() string {
	var list []string
	for text := range w.bad {
		list = append(list, text)
	}
	slices.Sort(list)
	return strings.Join(list, "\n  ")
}
