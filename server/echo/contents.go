package echo

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"poosh/server/hub"
)

// A list of all channels is asked for page by page. The names of this process are found and sorted for
// the first one, and kept for the others: to do that for each of them would cost as much as all channels
// there are, times the pages of a list.
const (
	contentsFor = 10 * time.Second // since a page was asked for
	maxContents = 8                // lists at once; one more costs the page of another one what the first cost
)

// A contents are the names of the channels that there were, in order, as far as they begin with a
// prefix. It is never changed but for used.
type contents struct {
	prefix string
	names  []string
	used   time.Time
}

// A shelf has the contents of lists that are being read.
type shelf struct {
	mu   sync.Mutex // guards what follows
	all  []*contents
	tidy *time.Timer // throws away what nobody reads any more; nil while there is nothing
}

// behind are names that come behind one, which may have gone meanwhile: of the contents that there are, or of
// those that make finds. Those of a list begin behind none.
func (s *shelf) behind(prefix, after string, find func() []string) []string {
	names, ok := s.find(prefix)
	if !ok || after == "" {
		names = find()
		s.put(prefix, names)
	}
	i, there := slices.BinarySearch(names, after)
	if there {
		i++
	}
	return names[i:]
}

func (s *shelf) find(prefix string) (names []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		if c.prefix == prefix {
			c.used = time.Now()
			return c.names, true
		}
	}
	return nil, false
}

// put keeps the contents of a list, in the place of what there is of the same prefix or, where there
// are too many, of what nobody has read for longest.
func (s *shelf) put(prefix string, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(c *contents) bool { return c.prefix == prefix })
	if len(s.all) == maxContents {
		oldest := slices.MinFunc(s.all, func(a, b *contents) int { return a.used.Compare(b.used) })
		s.all = slices.DeleteFunc(s.all, func(c *contents) bool { return c == oldest })
	}
	s.all = append(s.all, &contents{prefix, names, time.Now()})
	if s.tidy == nil {
		s.tidy = time.AfterFunc(contentsFor, s.throwAway)
	}
}

// throwAway throws away what nobody reads any more.
func (s *shelf) throwAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(c *contents) bool { return time.Since(c.used) >= contentsFor })
	if s.tidy = nil; len(s.all) > 0 {
		s.tidy = time.AfterFunc(contentsFor, s.throwAway)
	}
}

// page is what this process answers to a question for a page: as many channels as one answer may have, with
// the connections of this moment.
func (d *Dialect) page(q countQuestion) (a countAnswer) {
	names := d.contents.behind(q.Prefix, q.After, func() []string { return namesOf(d.named(q.Prefix)) })
	a.page(func(yield func(hub.RoomCount) bool) {
		for _, name := range names {
			n, _ := d.hub.Count(App, name)
			if n > 0 && !yield(hub.RoomCount{Room: name, Connections: n}) { // others have gone since
				return
			}
		}
	})
	return a
}

// page takes as many channels as one answer may have.
func (a *countAnswer) page(rooms iter.Seq[hub.RoomCount]) {
	size := 0
	for room := range rooms {
		if size += len(room.Room) + 8; size > pageBytes && len(a.Names) > 0 {
			a.More = true
			return
		}
		a.Names, a.Counts = append(a.Names, room.Room), append(a.Counts, room.Connections)
	}
}

// named are the channels of this process whose names begin with a prefix, in the order of their names.
func (d *Dialect) named(prefix string) (list []hub.RoomCount) {
	for room := range d.hub.Rooms(App) {
		if strings.HasPrefix(room.Room, prefix) {
			list = append(list, room)
		}
	}
	slices.SortFunc(list, func(a, b hub.RoomCount) int { return strings.Compare(a.Room, b.Room) })
	return list
}

func namesOf(rooms []hub.RoomCount) []string {
	names := make([]string, len(rooms))
	for i := range rooms {
		names[i] = rooms[i].Room
	}
	return names
}
