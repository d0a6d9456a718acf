package closed

// Select returns up to n of those that ended last and that wanted picks, the last one
// first. wanted is called with the book locked: it must neither wait nor call the book.
func (b *Book) Select(n int, wanted func(*Connection) bool) []Connection { return b.find(n, wanted) }

// Named returns the reason that has a name.
func Named(name string) (Reason, bool) {
	for r := range Reasons {
		if names[r] == name {
			return r, true
		}
	}
	return None, false
}
