package migration

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"poosh/server/migration/php"
	"poosh/server/setting"
)

// A source is a server whose configuration can be read.
type source struct {
	name    string // as --from has it
	product string // as people say it
	version string // the release whose keys are known
	asked   bool   // it is read as this one only where a person says so
	formats []format
	rules   []rule

	// variables are names of the environment, each with the path that it stands for; or
	// alone where there is a rule of its name.
	variables string
	// ours reports whether a variable is this server's even where it is not known.
	ours func(name string) bool
	// value is what the text of a variable stands for; nil for itself.
	value func(text string) any
	// jsonValues says that a variable may hold JSON.
	jsonValues bool
	// spell makes the path that rules know of one that a file has; nil for the same.
	spell func(path []string) []string
	// choose says whether a variable is looked at among others; nil for all.
	choose func(name string, env map[string]string) bool
	// merge marks what does not count of a file and of the environment together; nil
	// where of two values the environment's counts and that is all.
	merge func(file, env []entry)
	// expand puts variables into a text before it is read; nil for none.
	expand func(text string, env map[string]string) (string, error)
	// laravel says that a .env is Laravel's, see readEnv.
	laravel bool
	// read reads variables where their form is not the usual one.
	read func(text string) (map[string]string, error)
	// finish makes what follows from several keys.
	finish func(*draft)

	once   sync.Once
	rooted *table
	env    map[string]string // path by variable
	paths  []string
}

// sources are all that can be read. Each call has them anew.
func sources() []*source {
	return []*source{soketi(), sockudo(), reverb(), laravelWebsockets(), echoServer(), echoServerPusher(), original()}
}

func (s *source) build() {
	s.once.Do(func() {
		s.env = make(map[string]string)
		for line := range strings.Lines(s.variables) {
			if name, path, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				s.env[name] = strings.TrimSpace(path)
			}
		}
		s.rooted = newTable(s.rules)
		s.paths = s.rooted.paths()
		for _, name := range s.paths {
			if !strings.Contains(name, ".") && name == strings.ToUpper(name) {
				s.env[name] = name
			}
		}
	})
}

func (s *source) table() *table { s.build(); return s.rooted }

// variable returns the path that a variable stands for.
func (s *source) variable(name string) (path string, ok bool) {
	s.build()
	path, ok = s.env[name]
	return path, ok
}

// nearest returns the known key that is the most like one that is not: a variable for a
// variable, a path for a path.
func (s *source) nearest(name, path string) string {
	s.build()
	names := s.paths
	if name == strings.ToUpper(name) {
		names, path = s.variableNames(), name
	}
	best, _ := setting.Nearest(path, names, setting.LongestName)
	return best
}

func (s *source) variableNames() []string {
	s.build()
	names := make([]string, 0, len(s.env))
	for name := range s.env {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// A reading is a text that is looked at as one of each source.
type reading struct {
	path, text string
	format     format
	beside     string            // the text of the variables beside it, and its path
	besidePath string            // empty for none
	env        map[string]string // of beside, as the source that it is read as has it
}

// tell returns the source that knows the most of what a text holds. One that a person
// named is taken in any case.
func (r *reading) tell(candidates []*source, named bool) (*input, error) {
	var best []*input
	most, fault := 0, error(nil)
	for _, s := range candidates {
		if !slices.Contains(s.formats, r.format) {
			continue
		}
		in, err := r.as(s)
		if err != nil {
			fault = err
			continue
		}
		switch n := in.known(); {
		case n > most || named:
			best, most = []*input{in}, n
		case n == most && n > 0:
			best = append(best, in)
		}
	}
	switch {
	case len(best) == 1:
		return best[0], nil
	case len(best) > 1:
		var names []string
		for _, in := range best {
			names = append(names, in.source.name)
		}
		return nil, fmt.Errorf("%s could be of %s: say which with --from", shown(r.path), strings.Join(names, " or "))
	case fault != nil:
		return nil, fmt.Errorf("%s: %w", shown(r.path), fault)
	case named:
		return nil, fmt.Errorf("%s is written as %s, and %s has its configuration as %s", shown(r.path), r.format, candidates[0].product, candidates[0].formatNames())
	}
	return nil, fmt.Errorf("%s: %w", shown(r.path), errNothing)
}

func (s *source) formatNames() string {
	var names []string
	for _, f := range s.formats {
		names = append(names, string(f))
	}
	return strings.Join(names, " or ")
}

// ownName is how much more a variable tells that bears the server's name.
const ownName = 10

// known weighs the entries that have a rule.
func (in *input) known() int {
	n := 0
	for i := range in.entries {
		e := &in.entries[i]
		if r, _ := in.source.table().find(e.path); r == nil {
			continue
		}
		if n++; in.source.ours(e.name) {
			n += ownName
		}
	}
	return n
}

// as reads the text as the configuration of a source.
func (r *reading) as(s *source) (*input, error) {
	in := &input{source: s}
	r.env = nil
	if r.besidePath != "" {
		var err error
		if r.env, err = s.readVariables(r.beside); err != nil {
			return nil, fmt.Errorf("%s: %w", shown(r.besidePath), err)
		}
	}
	var env []entry
	if r.format == formatEnv || r.format != formatPHP && r.env != nil {
		read := r.env
		if r.format == formatEnv {
			var err error
			if read, err = s.readVariables(r.text); err != nil {
				return nil, err
			}
			maps.Copy(read, r.env)
		}
		env, in.others = s.variableEntries(read)
	}
	var file []entry
	if r.format != formatEnv {
		tree, asked, err := r.tree(s)
		if err != nil {
			return nil, err
		}
		file = s.spelled(flatten(nil, tree))
		for _, name := range slices.Sorted(maps.Keys(r.env)) {
			if asked != nil && s.ours(name) && !asked[name] {
				in.notes = append(in.notes, "The file does not ask for the variable "+shown(name)+".")
			}
		}
	}
	if s.merge != nil {
		s.merge(file, env)
	}
	if in.entries = overridden(file, env); len(in.entries) > maxKeys {
		return nil, errKeys
	}
	return in, nil
}

func (s *source) readVariables(text string) (map[string]string, error) {
	if s.read != nil {
		return s.read(text)
	}
	return readEnv(text, s.laravel)
}

// tree reads a text that is no list of variables. asked are those that it asks for, nil
// for a format that cannot.
func (r *reading) tree(s *source) (tree any, asked map[string]bool, err error) {
	text := r.text
	if s.expand != nil {
		if text, err = s.expand(text, r.env); err != nil {
			return nil, nil, err
		}
	}
	switch r.format {
	case formatJSON:
		tree, err = readJSON(text)
	case formatTOML:
		tree, err = readTOML(text)
	default:
		return php.Parse(text, r.env)
	}
	return tree, nil, err
}

// spelled gives entries the paths that rules know.
func (s *source) spelled(list []entry) []entry {
	if s.spell != nil {
		for i := range list {
			list[i].path = s.spell(list[i].path)
		}
	}
	return list
}

// likely is how many edits make a variable of another program one of this server's.
const likely = 2

// variableEntries makes entries of variables, and lists those of other programs.
func (s *source) variableEntries(env map[string]string) (list []entry, others []string) {
	known := s.variableNames()
	if s.choose != nil {
		known = slices.DeleteFunc(known, func(name string) bool { return !s.choose(name, env) })
	}
	foreign := 0
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if len(list) > maxKeys {
			break // which is an error, and one is enough
		}
		if slices.Contains(known, name) {
			path, _ := s.variable(name)
			list = append(list, s.variableValue(name, path, env[name])...)
			continue
		}
		ours := s.ours(name)
		if !ours && len(name) > 3*likely {
			if foreign++; foreign <= manyUnknown {
				_, ours = setting.Nearest(name, known, likely)
			}
		}
		if ours {
			list = append(list, entry{name: name, path: []string{name}, value: env[name]})
		} else {
			others = append(others, shown(name))
		}
	}
	return list, others
}

// variableValue is what a variable says: JSON where that has several values.
func (s *source) variableValue(name, path, text string) []entry {
	var tree any
	if s.jsonValues && json.Unmarshal([]byte(text), &tree) == nil && isInner(tree) {
		list := s.spelled(flatten(dotted(path), tree))
		for i := range list {
			list[i].name = name + strings.TrimPrefix(list[i].name, path)
		}
		return list
	}
	tree = text
	if s.value != nil {
		tree = s.value(text)
	}
	return []entry{{name: name, path: dotted(path), value: tree}}
}

// overridden is what a file and the environment say together: of two values the
// environment's counts.
func overridden(file, env []entry) []entry {
	by := make(map[string]string)
	for _, e := range env {
		if e.over == "" {
			by[e.key()] = e.name
		}
	}
	for i := range file {
		if name := by[file[i].key()]; name != "" {
			file[i].over = "is overridden by " + name
		}
	}
	return append(file, env...)
}
