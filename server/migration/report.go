package migration

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Report says what became of a configuration. Of what was read it shows names of keys,
// of apps and of variables, numbers, switches, the address to listen on, the prefix of
// paths, types of events, origins that became others, and of a result that does not start
// the values that a start would show. It holds no secret, and no address or header of a
// webhook.
type Report struct {
	Source  string   `json:"source"`          // as --from has it
	Product string   `json:"product"`         // as people say it
	Known   string   `json:"known"`           // the release whose keys are known
	File    string   `json:"file"`            // what was read
	Look    bool     `json:"look"`            // a person must look at something
	Keys    []Key    `json:"keys"`            // each key that was found, once for each place
	Added   []Added  `json:"added"`           // what their server has without being told
	Notes   []string `json:"notes"`           // what is said of no single key
	Others  []string `json:"other_variables"` // variables of an environment that are other programs'
	Files   []string `json:"files"`           // where the result is; without --out their names
}

// A Key is one that was found.
type Key struct {
	Key     string `json:"key"`
	Becomes string `json:"becomes,omitempty"`
	Says    string `json:"says,omitempty"`
	Unknown bool   `json:"unknown,omitempty"` // their server has no such key
	Look    bool   `json:"look,omitempty"`

	later []string // settings that it is part of, until they are set
}

// An Added is a setting that was made of nothing that was found.
type Added struct {
	Setting string `json:"setting"`
	Why     string `json:"why"`
}

func (r *Report) add(k Key) {
	k.Key = shown(k.Key)
	r.Keys = append(r.Keys, k)
	r.Look = r.Look || k.Look
}

// note adds a line to the report.
func (d *draft) note(format string, args ...any) {
	d.report.Notes = append(d.report.Notes, fmt.Sprintf(format, args...))
}

// complete fills what is known at the end: where the files are.
func (r *Report) complete(files []file, dir string) {
	for _, f := range files {
		r.Files = append(r.Files, f.in(dir))
	}
	for _, list := range []*[]string{&r.Notes, &r.Others, &r.Files} {
		if *list == nil {
			*list = []string{} // JSON has a list, not null
		}
	}
	if r.Added == nil {
		r.Added = []Added{}
	}
	if r.Keys == nil {
		r.Keys = []Key{}
	}
}

func (r *Report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// write prints the report for a person, what must be looked at first.
func (r *Report) write(w io.Writer) error {
	var b strings.Builder
	looks := slices.DeleteFunc(slices.Clone(r.Keys), func(k Key) bool { return !k.Look })
	mapped := slices.DeleteFunc(slices.Clone(r.Keys), func(k Key) bool { return k.Look || k.Becomes == "" })
	instead := slices.DeleteFunc(slices.Clone(r.Keys), func(k Key) bool { return k.Look || k.Becomes != "" })
	fmt.Fprintf(&b, "%s is read as %s, whose keys are known as of %s: %d found\n", shown(r.File), r.Product, r.Known, len(r.Keys))
	section(&b, "Needs a look", looks)
	section(&b, "Mapped", mapped)
	section(&b, "Without a counterpart", instead)
	if len(r.Added) > 0 {
		b.WriteString("\nSet though nothing that was found says so:\n")
		for _, a := range r.Added {
			fmt.Fprintf(&b, "  %s: %s\n", a.Setting, a.Why)
		}
	}
	if len(r.Others) > 0 {
		fmt.Fprintf(&b, "\nVariables of other programs, not looked at: %s\n", strings.Join(r.Others, ", "))
	}
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, n := range r.Notes {
		fmt.Fprintln(&b, n)
	}
	if len(r.Files) > 0 {
		fmt.Fprintf(&b, "\nFiles: %s\n", strings.Join(r.Files, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// section prints keys, those together of which the same is said.
func section(b *strings.Builder, title string, keys []Key) {
	if len(keys) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	together := make(map[string][]string)
	for _, k := range keys {
		if k.Becomes == "" {
			together[k.Says] = append(together[k.Says], k.Key)
		}
	}
	for _, k := range keys {
		switch names := together[k.Says]; {
		case k.Becomes != "":
			fmt.Fprintf(b, "  %s\n", join(k.Key+" -> "+k.Becomes, k.Says, ": "))
		case names != nil:
			fmt.Fprintf(b, "  %s\n", join(strings.Join(names, ", "), k.Says, ": "))
			delete(together, k.Says)
		}
	}
}

// longestShown bounds what a report shows of a name, in runes.
const longestShown = 120

// shown is a name that cannot act on a terminal.
func shown(name string) string {
	if runes := []rune(name); len(runes) > longestShown {
		name = string(runes[:longestShown]) + "..."
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}
