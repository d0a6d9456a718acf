//go:build unix

package cluster

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// A letter is an event that was sent once to a room. Its text is the room's name and a number.
type letter struct {
	text   string
	except string // the seat's id that is left out
	began  int64  // by the clock of the chronicle
	ended  int64  // when its sender knew; 0 until then
	fate   fate
	old    bool   // it is of the round before, and nobody knows what became of it
	of     string // the user who whispers it; empty for what is no whisper. No history has one, and nobody is told what becomes of it
}

// A fate is what the sender of a letter was told.
type fate int

const (
	unsure  fate = iota // nobody knows, or not yet
	taken               // it reaches everybody
	refused             // it reaches nobody
)

// A seat is the time of one connection in a room, and what it got there since the last quiet moment.
type seat struct {
	who   string
	id    string // that letters are kept from
	since int64  // from when on it misses nothing; 0 until that is known
	back  int64  // from when on it misses no whisper, for one that was cut off and went on
	over  bool   // it has left, or its connection has ended
	got   []string
}

// A space is a room, or what is one to the chronicle: the id of a client, a device.
type space struct {
	alone   bool // a letter reaches one of its seats
	number  int
	letters map[string]*letter
	seats   []*seat
}

// A chronicle is the truth about all rooms. Its methods may be called from any goroutine.
type chronicle struct {
	mu     sync.Mutex // guards all that it holds, seats and letters too
	clock  int64
	spaces map[string]*space
	strays []string // texts that nobody sent
}

func (c *chronicle) space(room string) *space {
	s := c.spaces[room]
	if s == nil {
		s = &space{letters: make(map[string]*letter), alone: strings.HasPrefix(room, "id-")}
		c.spaces[room] = s
	}
	return s
}

// write makes a letter that is about to be sent.
func (c *chronicle) write(room, except string) *letter { return c.whisper(room, except, "") }

// whisper makes one that a user whispers; empty for what is no whisper.
func (c *chronicle) whisper(room, except, of string) *letter {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.space(room)
	s.number++
	c.clock++
	l := &letter{text: fmt.Sprintf("%s#%06d", room, s.number), except: except, began: c.clock, of: of}
	s.letters[l.text] = l
	return l
}

// answered notes what the sender of letters was told.
func (c *chronicle) answered(f fate, letters ...*letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	for _, l := range letters {
		l.ended, l.fate = c.clock, f
	}
}

// sit gives a connection a seat, at which it may miss something as yet.
func (c *chronicle) sit(room, who, id string) *seat {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &seat{who: who, id: id}
	of := c.space(room)
	of.seats = append(of.seats, s)
	return s
}

// cut notes that a seat's connection has ended, and that its client is to go on where it was. It returns what
// [chronicle.rise] does.
func (c *chronicle) cut(s *seat) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.back = math.MaxInt64
	return s.from()
}

// from is since when it misses nothing: later than ever for one that may have. mu of the chronicle is held.
func (s *seat) from() int64 {
	if s.since == 0 {
		return math.MaxInt64
	}
	return s.since
}

// goOn notes that a seat has all that was kept while it was cut off.
func (c *chronicle) goOn(s *seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	s.back = c.clock
}

// whispered is the user who whispered a text; empty for what is no whisper, or is not known.
func (c *chronicle) whispered(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.space(roomOf(text)).letters[text]; l != nil {
		return l.of
	}
	return ""
}

// confirm notes that a seat misses nothing that is sent from now on.
func (c *chronicle) confirm(s *seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	if s.since == 0 {
		s.since = c.clock
	}
}

// rise ends a seat, and returns since when it missed nothing: later than ever for one that may have.
func (c *chronicle) rise(s *seat) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.over = true
	return s.from()
}

// satSince reports whether a seat has missed nothing since some time.
func (c *chronicle) satSince(s *seat, at int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !s.over && s.since > 0 && s.since < at
}

// now is the chronicle's clock.
func (c *chronicle) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock
}

// tick is a moment of its own by that clock.
func (c *chronicle) tick() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	return c.clock
}

// roomOf is the room that a text was sent to.
func roomOf(text string) string {
	room, _, _ := strings.Cut(text, "#")
	return room
}

// heard notes that a connection with a seat got a text. Who has got one misses nothing from then on, and what one
// has of what was whispered the others are to have too.
func (c *chronicle) heard(s *seat, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	if s.since == 0 {
		s.since = c.clock
	}
	s.got = append(s.got, text)
	if l := c.space(roomOf(text)).letters[text]; l != nil && l.of != "" && l.fate == unsure {
		l.fate, l.ended = taken, c.clock
	}
}

// stray notes what a connection should not have got at all.
func (c *chronicle) stray(who, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strays = append(c.strays, who+" got "+text)
}

// lacking names who is in a room and has not got a letter yet.
func (c *chronicle) lacking(l *letter) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.space(roomOf(l.text)).seats {
		if !s.over && !slices.Contains(s.got, l.text) {
			names = append(names, s.who)
		}
	}
	return names
}

// owed are the letters that somebody in a room is to get yet.
func (c *chronicle) owed(room string) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.space(room)
	for _, who := range s.seats {
		if missing := s.missing(who); len(missing) > 0 {
			list = append(list, fmt.Sprintf("%s lacks %d: %s", who.who, len(missing), missing[:min(5, len(missing))]))
		}
	}
	return list
}

// missing are the letters that a seat is to have and has not, in their order. mu is held.
func (s *space) missing(at *seat) (list []string) {
	if at.over || at.since == 0 {
		return nil
	}
	has := make(map[string]bool, len(at.got))
	for _, text := range at.got {
		has[text] = true
	}
	for text, l := range s.letters {
		if l.fate == taken && l.began > at.since && (l.of == "" || l.began > at.back) && (l.except == "" || l.except != at.id) && !has[text] {
			list = append(list, text)
		}
	}
	slices.Sort(list)
	return list
}

// rooms are the names of all, sorted.
func (c *chronicle) rooms() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.spaces))
}

// judge reports all that is wrong with what everybody got, at a quiet moment, and begins anew. While Redis had
// forgotten whose an id is, two clients may have had it.
func (c *chronicle) judge(forgot bool) (faults []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	faults, c.strays = c.strays, nil
	for room, s := range c.spaces {
		for _, f := range s.judge(forgot) {
			faults = append(faults, room+": "+f)
		}
		for text, l := range s.letters {
			if l.fate != unsure || l.old { // it may come yet
				delete(s.letters, text)
			}
			l.old = true
		}
		s.seats = slices.DeleteFunc(s.seats, func(at *seat) bool { return at.over })
		for _, at := range s.seats {
			at.got = nil
		}
	}
	return faults
}

// judge is that of one room. mu is held.
func (s *space) judge(forgot bool) (faults []string) {
	var longest *seat
	for _, at := range s.seats {
		faults = append(faults, s.alike(at)...)
		if longest == nil || len(at.got) > len(longest.got) {
			longest = at
		}
	}
	whose := make(map[string]string)
	for _, at := range s.seats {
		if missing := s.missing(at); len(missing) > 0 {
			faults = append(faults, fmt.Sprintf("%s misses %d: %s", at.who, len(missing), missing[:min(5, len(missing))]))
		}
		if s.alone {
			for _, text := range at.got {
				if other := whose[text]; other != "" && other != at.who && !forgot {
					faults = append(faults, fmt.Sprintf("%s and %s have %s", other, at.who, text))
				}
				whose[text] = at.who
			}
		} else if why := s.differ(longest, at); why != "" {
			faults = append(faults, fmt.Sprintf("%s and %s have other orders, or one has a gap: %s", longest.who, at.who, why))
		}
	}
	return faults
}

// alike reports what is wrong with what one seat got, without a look at others. mu is held.
func (s *space) alike(at *seat) (faults []string) {
	seen := make(map[string]bool, len(at.got))
	var latest int64 // the latest beginning of what came so far
	for _, text := range at.got {
		l := s.letters[text]
		switch {
		case seen[text]:
			faults = append(faults, at.who+" has "+text+" twice")
		case l == nil:
			faults = append(faults, at.who+" has "+text+", which nobody sent since the last quiet moment")
			continue
		case l.fate == refused:
			faults = append(faults, at.who+" has "+text+", whose sender was told that it was not sent")
		case l.except != "" && l.except == at.id:
			faults = append(faults, at.who+" has "+text+", which it was left out of")
		case l.fate == taken && l.ended < latest:
			faults = append(faults, at.who+" has "+text+" behind what was sent when it had been taken")
		}
		seen[text] = true
		latest = max(latest, l.began)
	}
	return faults
}

// differ compares what two seats got: each has a part of one order without a gap, so from where both
// have something they have the same. What an unsure sender sent, one may have gone without. mu is held.
func (s *space) differ(a, b *seat) string {
	own := func(at, other *seat) (list []string) {
		for _, text := range at.got {
			l := s.letters[text]
			if l != nil && (l.except == "" || l.except != at.id && l.except != other.id) && (l.fate == taken && l.of == "" || slices.Contains(other.got, text)) {
				list = append(list, text)
			}
		}
		return list
	}
	x, y := own(a, b), own(b, a)
	if both, too := shared(x, y), shared(y, x); !slices.Equal(both, too) {
		return difference(both, too)
	}
	if len(x) == 0 || len(y) == 0 {
		return ""
	}
	if i := slices.Index(x, y[0]); i >= 0 {
		x = x[i:]
	} else if j := slices.Index(y, x[0]); j >= 0 {
		y = y[j:]
	} else {
		return ""
	}
	n := min(len(x), len(y))
	if slices.Equal(x[:n], y[:n]) {
		return ""
	}
	return difference(x[:n], y[:n])
}

// shared are those of a list that another one has too.
func shared(list, other []string) (both []string) {
	has := make(map[string]bool, len(other))
	for _, text := range other {
		has[text] = true
	}
	for _, text := range list {
		if has[text] {
			both = append(both, text)
		}
	}
	return both
}

// unconfirmed reports whether somebody in a room may miss something yet.
func (c *chronicle) unconfirmed(room string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.space(room).seats, func(s *seat) bool { return !s.over && s.since == 0 })
}
