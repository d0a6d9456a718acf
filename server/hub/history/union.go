package history

import "bytes"

// A common is what the entries of one publication share: its texts and its payload.
type common struct {
	cost    int64
	holders int // entries that are in the list
}

// addEach adds a copy of an entry for each of its rooms. Texts and payload are those of all, and count
// once, until the last copy goes. mu is held.
func (a *app) addEach(e *entry, rooms []string) {
	all := &common{cost: e.cost - entryCost}
	done := make(map[string]bool)
	for _, room := range rooms {
		if done[room] {
			continue
		}
		done[room] = true
		c := &entry{cost: int64(entryCost + len(room)), common: all}
		c.Publication, c.At, c.Entered = e.Publication, e.At, e.Entered
		c.Room, c.Everyone = room, false
		a.add(c)
	}
}

// share has an entry of a publication for several rooms have in common with the one before it what these
// are of the same publication.
func (e *entry) share(before *entry) {
	if !e.Narrowed || e.Everyone {
		return
	}
	own := int64(entryCost + len(e.Room))
	e.common, e.cost = &common{cost: e.cost - own}, own
	if before != nil && before.common != nil && before.At == e.At && before.Event == e.Event && before.Meta == e.Meta &&
		before.Except == e.Except && bytes.Equal(before.Data, e.Data) {
		e.common, e.Event, e.Meta, e.Except, e.Data = before.common, before.Event, before.Meta, before.Except, before.Data
	}
}
