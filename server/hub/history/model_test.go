package history

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/hub"
)

var seed = flag.Uint64("seed", 0, "of what is random; 0 for one of the moment")

// How much there is of everything in a run of the model.
const (
	modelRooms      = 4
	modelPublishers = 4
	modelReaders    = 8
	modelEvents     = 400 // of each publisher
)

// A model runs publishers and readers side by side, and afterwards knows what each reader had
// to get on each of its connections: what is published is noted by an observer that is in all
// rooms, and what is said of every connection of every reader is compared with that.
type model struct {
	t    *testing.T
	hub  *hub.Hub
	log  *Log
	seed uint64
	done atomic.Bool // the publishers are through

	unions bool // some are published to two rooms, but for who is elsewhere

	truth []published // by number, from 1 on
}

// A published is a publication as the observer saw it.
type published struct {
	text     string
	room     string
	everyone bool
	except   string
	rooms    []string // with a union; the room is none then
}

// isFor reports whether it is for one who is in the rooms of a life.
func (p *published) isFor(l *life) bool {
	if p.rooms != nil && p.except == "elsewhere" && len(l.before) > 0 {
		return false
	}
	return p.everyone || slices.ContainsFunc(p.rooms, func(room string) bool { return slices.Contains(l.rooms, room) }) ||
		slices.Contains(l.rooms, p.room)
}

// A life is a connection of a reader, with what it asked for and what came of it.
type life struct {
	id     string
	rooms  []string
	before []string // rooms that it joined plainly before it asked
	after  hub.Position
	last   int
	back   bool // it came back in one step, by [hub.Hub.Return]
	again  bool // it asked the same once more
	small  bool // it said that what it missed does not fit

	registered, head uint64 // the position when it was there, and that of the answer
	told             hub.Recovery
	fresh            bool // it was not who it was, and began anew
	seen             []string
	until            uint64 // all up to that had been handed to it when it left
	knows            int    // how many of seen its client got before the connection was cut
}

func TestModel(t *testing.T) {
	for name, cfg := range map[string]Config{
		"all is kept":          {Events: 100_000, Bytes: 1 << 30},
		"few of a room":        {Events: 20, Bytes: 1 << 30},
		"few bytes":            {Events: 100_000, Bytes: 64 << 10},
		"for a little while":   {Events: 100_000, Bytes: 1 << 30, Age: 20 * time.Millisecond},
		"unions":               {Events: 100_000, Bytes: 1 << 30},
		"unions, few kept":     {Events: 20, Bytes: 64 << 10},
		"next to nothing, all": {Events: 1, Bytes: 4 << 10, Age: 5 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			m := &model{t: t, seed: *seed, unions: strings.HasPrefix(name, "unions")}
			if m.seed == 0 {
				m.seed = uint64(time.Now().UnixNano())
			}
			t.Logf("again: go test ./server/hub/history -run '%s' -seed %d", t.Name(), m.seed)
			m.hub, m.log = site(t, cfg)
			m.run(name == "all is kept" || name == "unions")
		})
	}
}

// dice are those of one goroutine.
func (m *model) dice(who int) *rand.Rand { return rand.New(rand.NewPCG(m.seed, uint64(who))) }

func (m *model) run(whole bool) {
	observer := connect(m.hub, "observer")
	var rooms []string
	for i := range modelRooms {
		rooms = append(rooms, strconv.Itoa(i))
	}
	observer.ask(m.t, m.hub, &hub.Ask{Rooms: rooms})
	var publishers, readers sync.WaitGroup
	for i := range modelPublishers {
		publishers.Go(func() { m.publish(i) })
	}
	lives := make([][]*life, modelReaders)
	for i := range modelReaders {
		readers.Go(func() { lives[i] = m.read(i) }) // ends a connection after the publishers
	}
	publishers.Wait()
	m.done.Store(true)
	readers.Wait()
	m.learn(observer.take())
	told := 0
	for i, list := range lives {
		for n, l := range list {
			if !l.told.Whole || l.fresh && l.back {
				told++
			}
			if text := m.wrong(l); text != "" {
				m.t.Errorf("connection %d of reader %d: %s\n%s", n, i, text, l)
				break
			}
			if whole && !l.told.Whole && !l.small && l.last == 0 {
				m.t.Errorf("connection %d of reader %d was told %+v\n%s", n, i, l.told, l)
			}
		}
		if text := m.missed(list); text != "" {
			m.t.Errorf("reader %d: %s", i, text)
		}
	}
	m.log.check(m.t)
	if err := m.hub.Check(); err != nil {
		m.t.Error(err)
	}
	m.t.Logf("%d events, %d connections, %d of them told that they may miss something", len(m.truth)-1, len(slices.Concat(lives...)), told)
}

// publish publishes events of one publisher, numbered, to any room and to everyone.
func (m *model) publish(who int) {
	d := m.dice(who)
	for n := range modelEvents {
		p := &hub.Publication{Room: strconv.Itoa(d.IntN(modelRooms)), Everyone: d.IntN(8) == 0}
		if d.IntN(8) == 0 {
			p.Except = fmt.Sprint("reader-", d.IntN(modelReaders))
		}
		var union *hub.Union
		if other := strconv.Itoa(d.IntN(modelRooms)); m.unions && d.IntN(2) == 0 && other != p.Room {
			union = &hub.Union{Rooms: []string{p.Room, other}}
			if p.Room, p.Everyone, p.Except = p.Room+"+"+other, false, ""; d.IntN(2) == 0 {
				p.Except = "elsewhere"
			}
		}
		p.Event = fmt.Sprintf("%d.%d|%s|%t|%s", who, n, p.Room, p.Everyone, p.Except)
		if union != nil {
			if p.Except != "" {
				union.Except = []string{p.Except}
			}
			p.Narrow(*union)
		}
		p.Data = make([]byte, d.IntN(200))
		m.hub.Publish(p)
		if d.IntN(4) == 0 {
			time.Sleep(time.Duration(d.IntN(300)) * time.Microsecond)
		}
	}
}

// learn notes what was published, and that each publisher's events came in its order.
func (m *model) learn(frames []string) {
	m.truth = make([]published, 1)
	next := make(map[string]int)
	for _, frame := range frames {
		text, at := placed(frame)
		if at != uint64(len(m.truth)) {
			m.t.Fatalf("the observer saw %q as number %d", frame, len(m.truth))
		}
		field := strings.Split(text, "|")
		who, n, _ := strings.Cut(field[0], ".")
		if n != strconv.Itoa(next[who]) {
			m.t.Errorf("%q is number %d of its publisher", text, next[who])
		}
		next[who]++
		p := published{text: text, room: field[1], everyone: field[2] == "true", except: field[3]}
		if one, other, both := strings.Cut(p.room, "+"); both {
			p.rooms, p.room = []string{one, other}, "of a union"
		}
		m.truth = append(m.truth, p)
	}
	if len(m.truth) != modelPublishers*modelEvents+1 {
		m.t.Fatalf("%d were published", len(m.truth)-1)
	}
}

// placed is a frame's event and number; 0 for one without a position.
func placed(frame string) (text string, number uint64) {
	text, position, found := strings.Cut(frame, " ")
	if !found {
		return text, 0
	}
	at, ok := hub.ParsePosition(position)
	if !ok {
		panic("a frame with the position " + position)
	}
	return text, at.Number
}

// read connects a reader, again and again, each time cut off at some point.
func (m *model) read(who int) (lives []*life) {
	d := m.dice(100 + who)
	id := fmt.Sprint("reader-", who)
	var last hub.Position // that the client knows
	for final := false; ; {
		over := m.done.Load()
		l := m.chosen(d, id, last)
		if m.live(l, d); over { // nothing is lost of the last one
			l.knows, final = len(l.seen), true
		}
		if l.knows == len(l.seen) { // it got the answer too
			last = hub.Position{Epoch: l.told.Head.Epoch, Number: l.head}
		}
		for _, frame := range l.seen[:l.knows] {
			if _, n := placed(frame); n > last.Number {
				last.Number = n
			}
		}
		if last.Number > 0 {
			last.Epoch = m.log.apps[""].epoch
		}
		lives = append(lives, l)
		if final {
			return lives
		}
	}
}

// chosen is what a connection of a reader will be like.
func (m *model) chosen(d *rand.Rand, id string, last hub.Position) *life {
	l := &life{id: id, after: last, rooms: []string{strconv.Itoa(d.IntN(modelRooms))}}
	if other := strconv.Itoa(d.IntN(modelRooms)); other != l.rooms[0] {
		l.rooms = append(l.rooms, other)
	}
	switch d.IntN(6) {
	case 0:
		l.before = []string{l.rooms[0], "elsewhere"}
	case 1, 2:
		l.back = !last.IsZero()
	case 3:
		l.last, l.after = []int{-1, 1, 3, 50}[d.IntN(4)], hub.Position{}
	}
	l.small = d.IntN(10) == 0
	return l
}

// live has a connection begin, go on for a while, and end.
func (m *model) live(l *life, d *rand.Rand) {
	c := new(client)
	ask := &hub.Ask{Rooms: l.rooms, After: l.after, Last: l.last, Encoder: numbered{}}
	if l.small {
		ask.Fits = func(int, int) bool { return false }
	}
	ask.Answer = func(r hub.Recovery) { l.told, l.head = r, r.Head.Number }
	if l.back {
		c.sub = m.hub.Return("", l.id, 100, &c.page, &c.trail, ask)
		l.fresh, l.registered = c.sub == nil, l.head
	}
	if c.sub == nil {
		var at hub.Position
		c.sub, at = m.hub.RegisterKept("", l.id, 100, plain{}, &c.page, &c.trail)
		l.registered = at.Number
		for _, room := range l.before {
			if err := m.hub.JoinKept(c.sub, &c.trail, room); err != nil {
				m.t.Error(err)
			}
		}
		if l.fresh {
			ask.After = hub.Position{}
		}
		if d.IntN(3) == 0 {
			runtime.Gosched()
		}
		if _, err := m.hub.Recover(c.sub, &c.trail, ask); err != nil {
			m.t.Error(err)
		}
	}
	time.Sleep(time.Duration(d.IntN(500)) * time.Microsecond)
	if l.again = l.last == 0 && l.told.Whole && d.IntN(3) == 0; l.again { // which gives nothing twice
		if _, err := m.hub.Recover(c.sub, &c.trail, &hub.Ask{Rooms: l.rooms, After: ask.After, Encoder: numbered{}}); err != nil {
			m.t.Error(err)
		}
	}
	m.log.Hold("", func(at hub.Position, _ hub.Reader) { // nothing is taken from here on
		l.until = at.Number
		c.mu.Lock()
		defer c.mu.Unlock()
		c.full = true
	})
	m.hub.Unregister(c.sub)
	l.seen = c.take()
	l.knows = d.IntN(len(l.seen) + 1)
}

// wrong compares what was handed to a connection with what had to be.
func (m *model) wrong(l *life) string {
	// What came before it asked has no number: each at most once, of what it was in by then.
	bare := make(map[string]bool)
	var numbers []uint64
	for _, frame := range l.seen {
		text, n := placed(frame)
		switch {
		case n == 0 && bare[text]:
			return "twice: " + text
		case n == 0:
			bare[text] = true
		case n >= uint64(len(m.truth)) || m.truth[n].text != text:
			return fmt.Sprintf("%q has the number of another", frame)
		default:
			numbers = append(numbers, n)
		}
	}
	from := l.after.Number
	switch {
	case l.last != 0 && l.told.Missed > 0 && m.unions:
		return "" // by which of its rooms one came is not known
	case l.last != 0 && l.told.Missed > 0:
		return m.wrongLast(l, numbers, bare)
	case l.after.IsZero() || l.fresh || !l.told.Whole:
		from = l.head // nothing of what was before
		if l.told.Missed != 0 {
			return "it was given what it did not ask for"
		}
	}
	return m.compare(l, numbers, bare, func(n uint64) bool { return n > from })
}

// compare wants the numbers to be those that are due: of the rooms and to everyone, but for
// what it was left out of, and what came without a number.
func (m *model) compare(l *life, numbers []uint64, bare map[string]bool, due func(uint64) bool) string {
	var i int
	until := l.until
	if len(numbers) > 0 {
		until = max(until, numbers[len(numbers)-1])
	}
	for n := uint64(1); n < uint64(len(m.truth)); n++ {
		p := &m.truth[n]
		comes := i < len(numbers) && numbers[i] == n
		if comes {
			i++
		}
		if p.everyone && n > l.registered && n <= l.head && p.except != l.id && !bare[p.text] {
			return fmt.Sprintf("%q, number %d, did not come before the answer", p.text, n)
		}
		wanted := due(n) && p.isFor(l) && p.except != l.id && !bare[p.text]
		if comes && !wanted {
			return fmt.Sprintf("%q, number %d, is not for it, or came before", p.text, n)
		}
		if !comes && wanted && n <= until {
			return fmt.Sprintf("%q, number %d, did not come, or not in its place", p.text, n)
		}
	}
	if i < len(numbers) {
		return fmt.Sprintf("number %d is out of order", numbers[i])
	}
	return ""
}

// wrongLast compares what was handed to a connection that asked for the last of each room:
// what is kept of these may be less, which it is told, but it is the newest.
func (m *model) wrongLast(l *life, numbers []uint64, bare map[string]bool) string {
	oldest := make(map[string]uint64) // of each room, that came of what was before
	count := make(map[string]int)
	for _, n := range numbers[:l.told.Missed] {
		room := m.truth[n].room
		if m.truth[n].everyone || n > l.head {
			return fmt.Sprintf("number %d is not of what it asked for", n)
		}
		if count[room]++; oldest[room] == 0 {
			oldest[room] = n
		}
		if l.last > 0 && count[room] > l.last {
			return fmt.Sprintf("more than %d of room %s", l.last, room)
		}
	}
	return m.compare(l, numbers, bare, func(n uint64) bool {
		if n > l.head || m.truth[n].everyone {
			return n > l.head
		}
		return oldest[m.truth[n].room] != 0 && n >= oldest[m.truth[n].room]
	})
}

// missed follows what the client of a reader knows, from connection to connection: of each
// that asked for what came behind a position and was told that this is all, it knows no
// position before that.
func (m *model) missed(lives []*life) string {
	var known uint64
	for n, l := range lives {
		if l.last == 0 && !l.after.IsZero() && l.after.Number < known {
			return fmt.Sprintf("connection %d asked for number %d behind %d", n, l.after.Number, known)
		}
		for _, frame := range l.seen[:l.knows] {
			if _, at := placed(frame); at > 0 {
				if l.last == 0 && at <= known {
					return fmt.Sprintf("connection %d handled %q behind number %d", n, frame, known)
				}
				known = max(known, at)
			}
		}
	}
	return ""
}

func (l *life) String() string {
	return fmt.Sprintf("%s asked for %v (before: %v) after %d, last %d, in one step %t, small %t; registered at %d, answered %+v, handed all up to %d, anew %t, saw %q",
		l.id, l.rooms, l.before, l.after.Number, l.last, l.back, l.small, l.registered, l.told, l.until, l.fresh, l.seen)
}
