package migration

import (
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

// maxNested bounds paths: what is below is one value, which no rule takes.
const maxNested = 64

// flatten lists the values of a tree with their paths, in order. A list without maps and
// lists in it is one value, and so is what is empty.
func flatten(path []string, value any) []entry {
	var list []entry
	if len(path) >= maxNested {
		return []entry{{name: strings.Join(path, "."), path: path, value: expression{}}}
	}
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			list = append(list, flatten(child(path, name), v[name])...)
		}
	case []any:
		if slices.ContainsFunc(v, isInner) {
			for i, item := range v {
				list = append(list, flatten(child(path, strconv.Itoa(i)), item)...)
			}
		}
	}
	if list == nil && len(path) > 0 {
		list = []entry{{name: strings.Join(path, "."), path: path, value: value}}
	}
	return list
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
