package migration

import (
	"maps"
	"slices"
	"strings"
)

// A rule says what becomes of some keys of a server.
type rule struct {
	// keys are paths with blanks between; a line "a.b: c d" stands for a.b.c and a.b.d.
	// In a path * is any one name or number, and ** at the end everything below.
	keys string
	take taker          // nil where there is no counterpart
	says string         // what happens instead, or what is different
	look func(any) bool // whether a person must look at it, by the value; nil for never
	same string         // what is said in place of says where look has nothing against the value
}

// A taker gives a draft what an entry says.
type taker func(d *draft, e *entry) taken

// taken is what became of an entry.
type taken struct {
	as   string // such as PUSHER_PORT=6001; empty where nothing did
	says string
	look bool

	later []string // settings that it will be part of
}

// set has a person look at a key that is set to something.
func set(v any) bool { return !isEmpty(v) }

// on has a person look at a switch that is on, or that nobody can tell of.
func on(v any) bool {
	b, ok := boolOf(v)
	return !isEmpty(v) && (b || !ok)
}

// other has a person look at a value that is none of these.
func other(usual ...string) func(any) bool {
	return func(v any) bool {
		text, ok := textOf(v)
		return !isEmpty(v) && (!ok || !slices.Contains(usual, strings.ToLower(text)))
	}
}

// A table finds the rule of a path.
type table struct{ root *branch }

type branch struct {
	below map[string]*branch
	rule  *rule
}

func newTable(rules []rule) *table {
	t := &table{&branch{}}
	for i := range rules {
		for _, path := range expand(rules[i].keys) {
			t.add(dotted(path), &rules[i])
		}
	}
	return t
}

// expand lists the paths that the keys of a rule stand for.
func expand(keys string) []string {
	var list []string
	for line := range strings.Lines(keys) {
		prefix, names, found := strings.Cut(line, ":")
		if !found {
			prefix, names = "", line
		}
		for _, name := range strings.Fields(names) {
			if found {
				name = strings.TrimSpace(prefix) + "." + name
			}
			list = append(list, name)
		}
	}
	return list
}

func (t *table) add(path []string, r *rule) {
	b := t.root
	for _, name := range path {
		if b.below == nil {
			b.below = make(map[string]*branch)
		}
		if b.below[name] == nil {
			b.below[name] = &branch{}
		}
		b = b.below[name]
	}
	if b.rule != nil {
		panic("two rules for " + strings.Join(path, "."))
	}
	b.rule = r
}

// find returns the rule of a path, or nil. inner says that there are keys below it.
func (t *table) find(path []string) (r *rule, inner bool) { return t.root.find(path) }

func (b *branch) find(path []string) (r *rule, inner bool) {
	if len(path) == 0 {
		return b.rule, b.below != nil
	}
	for _, name := range []string{path[0], "*"} {
		if next := b.below[name]; next != nil {
			if r, inner := next.find(path[1:]); r != nil || inner {
				return r, inner
			}
		}
	}
	if rest := b.below["**"]; rest != nil {
		return rest.rule, false
	}
	return nil, false
}

// paths lists all that have a rule, in order.
func (t *table) paths() []string { return t.root.paths("") }

func (b *branch) paths(prefix string) []string {
	var list []string
	if b.rule != nil {
		list = append(list, prefix)
	}
	if prefix != "" {
		prefix += "."
	}
	for _, name := range slices.Sorted(maps.Keys(b.below)) {
		list = append(list, b.below[name].paths(prefix+name)...)
	}
	return list
}
