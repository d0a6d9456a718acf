package pusher_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kinds of events: 'a' goes to the public channel, 'b' to the private one, 'p' to the one with
// members, and 'x' to the public one too, but not to one connection.
const eventKinds = "abpx"

// channelOf is where each kind goes.
var channelOf = map[byte]string{'a': "a", 'b': "private-b", 'p': "presence-p", 'x': "a"}

// channels are all of them.
var channels = []string{channelOf['a'], channelOf['b'], channelOf['p']}

// clocks is how far those of a page and of the test may be apart, which are of one machine.
const clocks = 50 * time.Millisecond

// A course is what was published of each kind.
type course struct {
	sent   map[byte]*sent
	except map[int]string // of the kind 'x', by number, the socket id that was left out
}

// sent is what was sent of one kind. It belongs to who sends that.
type sent struct {
	begun  []time.Time    // when it was begun to send each number
	done   []time.Time    // when that was over
	unsure map[int]string // why nobody knows of some whether they were accepted
}

func newCourse() *course {
	c := &course{sent: make(map[byte]*sent), except: make(map[int]string)}
	for _, kind := range []byte(eventKinds) {
		c.sent[kind] = &sent{unsure: make(map[int]string)}
	}
	return c
}

// A witness follows what one page saw that resumes, and says what was wrong with it: an event
// twice, out of order, or none of one that it was not told of.
type witness struct {
	*course
	own  map[string]time.Time // socket ids that it has had, and when it had another one
	id   string               // the last of them
	next map[byte]int         // the next event that is due of each kind, once one has come
	from map[byte]time.Time   // before that: what was begun to send later is due
	told int                  // times that it was told that something is missing
	bad  map[string]bool      // what was wrong, once each

	members map[string]bool // of the channel that has such, by the user's id; nil while it is not in it
	me      string          // which of them it is itself
}

// see follows the reports of a page.
func (c *course) see(reports []report) *witness {
	w := &witness{course: c, own: make(map[string]time.Time), next: make(map[byte]int), from: make(map[byte]time.Time), bad: make(map[string]bool)}
	for _, r := range reports {
		switch {
		case r.Saw == "connected":
			if w.id != "" {
				w.own[w.id] = r.at()
			}
			w.id, w.own[r.Name], w.members = r.Name, time.Time{}, nil
		case r.Saw == "event" && r.Name == "bait":
			w.wrong("an event of a channel that it is not in came")
		case r.Name == "pusher:subscription_succeeded":
			w.begin(r)
		case r.Name == "pusher:resume_failed":
			w.told++
			w.forget(r.Channel)
			w.begin(r)
		case r.Saw == "channel" && r.Name == "e":
			w.event(r)
		case r.Saw == "members" || r.Name == "pusher:member_added" || r.Name == "pusher:member_removed":
			w.member(r)
		}
	}
	return w
}

// member is told who the members are, or of one that comes or leaves.
func (w *witness) member(r report) {
	var all struct {
		Me    string
		Count int
		IDs   [][]any
	}
	var one struct{ ID string }
	switch {
	case r.Saw == "members" && json.Unmarshal([]byte(r.Text), &all) == nil:
		w.me, w.members = all.Me, make(map[string]bool)
		for _, member := range all.IDs {
			w.members[fmt.Sprint(member[0])] = true
		}
		if len(w.members) != all.Count || !w.members[w.me] {
			w.wrong("the members are %s", r.Text)
		}
	case r.Saw == "members" || json.Unmarshal([]byte(r.Text), &one) != nil:
		w.wrong("%s %s", r.Name, r.Text)
	case w.members == nil:
		w.wrong("%s %s came before it was in the channel", r.Name, one.ID)
	case w.members[one.ID] == (r.Name == "pusher:member_added") || one.ID == w.me:
		w.wrong("%s %s came, where the members were %s", r.Name, one.ID, slices.Sorted(maps.Keys(w.members)))
	case r.Name == "pusher:member_added":
		w.members[one.ID] = true
	default:
		delete(w.members, one.ID)
	}
}

func (w *witness) wrong(format string, args ...any) {
	if len(w.bad) < 5 {
		w.bad[fmt.Sprintf(format, args...)] = true
	}
}

// begin is told that the page is in a channel. What that has had before goes on.
func (w *witness) begin(r report) {
	for kind, channel := range channelOf {
		_, had := w.next[kind]
		_, began := w.from[kind]
		if channel == r.Channel && !had && !began {
			w.from[kind] = r.at()
		}
	}
}

// forget is told that something of a channel is missing.
func (w *witness) forget(name string) {
	for kind, channel := range channelOf {
		if channel == name {
			delete(w.next, kind)
			delete(w.from, kind)
		}
	}
}

// mayCome reports whether an event may come that was not for a connection of the page's: one
// that may have been taken when it had another one.
func (w *witness) mayCome(n int) bool {
	until, had := w.own[w.except[n]]
	return !had || !until.IsZero() && until.Before(w.sent['x'].done[n].Add(clocks))
}

// free reports whether an event need not come.
func (w *witness) free(kind byte, n int) bool {
	_, own := w.own[w.except[n]]
	return w.sent[kind].unsure[n] != "" || kind == 'x' && own
}

// event takes an event.
func (w *witness) event(r report) {
	text := strings.Trim(r.Text, `"`)
	var n int
	if text == "" || channelOf[text[0]] != r.Channel {
		w.wrong("%s came in %s", r.Text, r.Channel)
		return
	}
	kind := text[0]
	if _, err := fmt.Sscanf(text[1:], "%d", &n); err != nil || n >= len(w.sent[kind].begun) {
		w.wrong("%s came in %s", r.Text, r.Channel)
		return
	}
	if kind == 'x' && !w.mayCome(n) {
		w.wrong("%s came, which is its own", text)
	}
	due, had := w.next[kind]
	for ; had && due < n && w.free(kind, due); due++ {
	}
	switch {
	case had && due != n:
		w.wrong("%s came where %c%d was due", text, kind, due)
	case !had:
		before := n - 1
		for ; before >= 0 && w.free(kind, before); before-- {
		}
		if from, in := w.from[kind]; !in {
			w.wrong("%s came before it was in the channel", text)
		} else if before >= 0 && w.sent[kind].begun[before].After(from.Add(clocks)) {
			w.wrong("%s is the first that came, though %c%d was sent when it was in the channel", text, kind, before)
		}
	}
	w.next[kind] = n + 1
}

// bare is the name of a channel as Echo takes it.
func bare(channel string) string {
	return strings.TrimPrefix(strings.TrimPrefix(channel, "private-"), "presence-")
}

// listened compares what came to Echo with what came to the channels under it.
func (w *witness) listened(reports []report) {
	came := make(map[string]string)
	for _, r := range reports {
		switch {
		case r.Saw == "channel" && r.Name == "e":
			came[r.Channel] += " " + r.Text
		case r.Saw == "echo" && r.Name == ".e":
			came["echo of "+r.Channel] += " " + r.Text
		}
	}
	for _, channel := range channelOf {
		if echo := came["echo of "+bare(channel)]; echo != came[channel] {
			w.wrong("to Echo came in %s%.2000s, and to the channel%.2000s", channel, echo, came[channel])
		}
	}
}

// end is asked when everything has come, and all users are there.
func (w *witness) end(users map[string]bool) {
	if !maps.Equal(w.members, users) {
		w.wrong("the members are %s at the end, and there are %s", slices.Sorted(maps.Keys(w.members)), slices.Sorted(maps.Keys(users)))
	}
	for _, kind := range []byte(eventKinds) {
		n, had := w.next[kind]
		for ; had && n < len(w.sent[kind].begun) && w.free(kind, n); n++ {
		}
		if all := len(w.sent[kind].begun); !had || n != all {
			w.wrong("%c%d is the next that is due, and there were %d (%v)", kind, n, all, had)
		}
	}
}

func (w *witness) faults() string {
	return strings.Join(slices.Sorted(maps.Keys(w.bad)), "\n  ")
}
