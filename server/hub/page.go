package hub

// A Page is a part of what an app's log has of one room; see [Hub.Page].
type Page struct {
	// Head is the position of the app's last publication at that moment, whichever room it
	// is of.
	Head Position
	List []*Kept // oldest first; shared, so nothing of it may be changed

	Whole bool // nothing is missing that was asked for
	More  bool // what came behind the last of the list is kept too
}

// A PageAsk is what is wanted of one room of an app that is kept.
type PageAsk struct {
	Room     string
	Everyone bool // what reached all subscribers of the app, in place of a room

	Limit int // publications, at the most; more than 0

	// Since asks for what came behind After, the oldest of it first. Where After is of
	// another log it is for all that is kept, which is not whole then. Otherwise the newest
	// are wanted.
	Since bool
	After Position // the zero position for what is kept from the first on
}

// Page returns a part of what is kept of a room of an app for which [Hub.Keeps] is true, of
// one moment. It may be called from any goroutine; publications of the app wait meanwhile
// for as long as it takes to find Limit of them.
func (h *Hub) Page(app string, ask PageAsk) (p Page) {
	h.Hold(app, func(head Position, read Reader) {
		p.Head = head
		span, known := ask.span(head)
		x := read([]Span{span}, func(bool, int, int) bool { return true })
		// Of the newest, more are older.
		p.List, p.Whole, p.More = x.List, x.Whole && known, ask.Since && x.More
	})
	return p
}

// span is what is read for it. known says that After is a position of the log.
func (a *PageAsk) span(head Position) (s Span, known bool) {
	s = Span{Room: a.Room, Everyone: a.Everyone, UpTo: head.Number}
	if !a.Since {
		s.Last = a.Limit
		return s, true
	}
	s.First = a.Limit
	known = a.After.IsZero() || a.After.Epoch == head.Epoch && a.After.Number <= head.Number
	if known {
		s.After = a.After.Number
	}
	return s, known
}
