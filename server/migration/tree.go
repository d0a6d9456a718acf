package migration

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"poosh/server/migration/php"
)

// A tree is what a reader makes of a file: nil, bool, string, json.Number, int64,
// float64, []any, map[string]any, and these two, which only PHP has.
type (
	expression = php.Expression
	unset      = php.Unset
)

// An entry is one value of a configuration.
type entry struct {
	name  string   // of the key, as its file writes it
	path  []string // of the key in its server's own tree
	value any
	over  string // why it does not count; empty if it does
}

func (e *entry) key() string { return joined(e.path) }

// joined is a path as one text, for maps.
func joined(path []string) string { return strings.Join(path, "\x00") }

// dotted splits a path that has no dots in its names.
func dotted(path string) []string { return strings.Split(path, ".") }

// What is below a path that is longer than these, in names and in bytes, is one value,
// which no rule takes: each entry holds its whole path.
const (
	maxNested   = 32
	longestPath = 1000
)

// maxKeys bounds the entries of a configuration.
const maxKeys = 50_000

// errKeys is said of a file with more.
var errKeys = fmt.Errorf("more than %d keys: want a file of settings", maxKeys)

// flatten lists the values of a tree with their paths, in order, and one too many where
// there are more than maxKeys. A list without maps and lists in it is one value, and so
// is what is empty.
func flatten(path []string, value any) []entry {
	var f flattened
	f.add(path, len(strings.Join(path, ".")), value)
	return f.list
}

type flattened struct{ list []entry }

// add lists what is at a path whose name has a length in bytes.
func (f *flattened) add(path []string, length int, value any) {
	if len(f.list) > maxKeys {
		return
	}
	before := len(f.list)
	v, isMap := value.(map[string]any)
	list, _ := value.([]any)
	switch {
	case len(path) >= maxNested || length > longestPath:
		value = expression{}
	case isMap:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			f.add(child(path, name), length+1+len(name), v[name])
		}
	case slices.ContainsFunc(list, isInner):
		for i, item := range list {
			name := strconv.Itoa(i)
			f.add(child(path, name), length+1+len(name), item)
		}
	}
	if len(f.list) == before && len(path) > 0 {
		f.list = append(f.list, entry{name: strings.Join(path, "."), path: path, value: value})
	}
}

func isInner(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func child(path []string, name string) []string { return append(slices.Clip(path), name) }

// isEmpty reports whether a value says nothing.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil, unset:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}
