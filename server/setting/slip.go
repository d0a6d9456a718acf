package setting

// Nearest returns the name of a list that takes the fewest edits to become the wanted
// one, if these are no more than most; of several the first. Any goroutine may call it.
func Nearest(wanted string, names []string, most int) (best string, found bool) {
	for _, name := range names {
		if apart := len(wanted) - len(name); apart > most || -apart > most {
			continue // at least so many edits
		}
		if n := Distance(wanted, name); n <= most {
			best, found, most = name, true, n-1
		}
	}
	return best, found
}

// LongestName bounds the names that are compared, in bytes.
const LongestName = 200

// Distance is how many bytes must be inserted, removed, changed or swapped with their
// neighbour to make b of a (the restricted Damerau-Levenshtein distance). It looks at the
// first LongestName bytes of each alone. Any goroutine may call it.
func Distance(a, b string) int {
	a, b = a[:min(len(a), LongestName)], b[:min(len(b), LongestName)]
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
