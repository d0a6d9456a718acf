package cluster

import (
	"fmt"
	"slices"
)

// goneAtOnce is of how many ids one command asks.
const goneAtOnce = 512

// An ownedID is what a node believes to have, for the engine to say whether it does.
type ownedID struct{ what, number, stamp, made string }

// owned lists what is in the book.
func (h *holdings) owned() []ownedID {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]ownedID, 0, len(h.book))
	for what, b := range h.book {
		list = append(list, ownedID{what, b.number, b.stamp, number(b.claim.Made)})
	}
	return list
}

// gone asks which ids of this node others have taken or barred while it was cut off, and returns what would have
// told it so: to be handed out in front of what it missed, of which some is for the successors.
func (l *link) gone() (told []string, err error) {
	for list := range slices.Chunk(l.p.holds.owned(), goneAtOnce) {
		args := []string{string(l.p.tag), l.p.c.name}
		for _, o := range list {
			args = append(args, o.what, o.number, o.stamp, o.made)
		}
		ctx, cancel := l.context()
		said, err := goneScript.on(ctx, l.line.wire, []string{l.p.tag.state()}, args).AsStrSlice()
		cancel()
		if err != nil {
			return nil, fmt.Errorf("whose ids are: %w", err)
		}
		if len(said) != len(list) {
			return nil, fmt.Errorf("whose ids are: %w", errNotAnswer)
		}
		for i, why := range said {
			if why != "" {
				told = append(told, string(letterLost)+netstring(why)+netstring(list[i].what)+netstring(list[i].number))
			}
		}
	}
	return told, nil
}
