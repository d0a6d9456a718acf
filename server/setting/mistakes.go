package setting

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Mistakes gather what is wrong with the settings, one line each and no more than
// one for a setting. The zero value is ready.
type Mistakes struct {
	lines []error
	names []string
}

// Add says of a setting what is wrong, and what would be right. The first word about
// a setting is the last.
func (m *Mistakes) Add(name, format string, args ...any) {
	if slices.Contains(m.names, name) {
		return
	}
	m.names = append(m.names, name)
	m.lines = append(m.lines, fmt.Errorf("%s "+format, append([]any{name}, args...)...))
}

// Has reports whether one of the settings is known to be wrong, so that what it
// seems to be is not what the person wrote.
func (m *Mistakes) Has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(m.names, n) })
}

// Err returns all mistakes, a line each, or nil.
func (m *Mistakes) Err() error { return errors.Join(m.lines...) }

// Shown quotes a value for a message: on one line and not endless.
func Shown(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "..."
	}
	return strconv.Quote(text)
}
