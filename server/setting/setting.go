// Package setting describes what an operator may choose, reads it from the
// environment, and says of all mistakes at once what would be right.
//
// A setting stands in one place: a [Setting] in the package that uses it, with its
// name, its default, a line of help, and the field that it fills. Documentation, the
// defaults of a value made by hand ([Fill]) and what is read ([Read]) follow from
// that.
//
// Why our own: caarlos0/env says of a mistake which field of Go it is about, knows
// neither bounds nor a line of help, and finds no names that are a pattern; go-units
// takes 1KiB for 1,000 bytes.
package setting

import (
	"errors"
	"strings"
)

// A Setting is one name of the environment: what a person is told of it, and where
// it goes.
type Setting struct {
	Name    string // or a pattern, which the group's Gather looks for
	Default string // as one would write it; empty means none
	Help    string // one line
	Value   Value  // nil for a pattern

	// Show returns what people are shown of a text of it, when that may have a secret in it;
	// nil for one that is shown as it is, or not at all.
	Show func(text string) string

	Secret     bool // what it is set to is shown nowhere, and blanks belong to it
	EmptyWrong bool // set but empty is a mistake, not the same as unset

	Changes Change // when another value counts; the zero Change is what no code must be written for
}

// A Change says when another value of a setting counts.
type Change uint8

const (
	OnRestart   Change = iota // not while the server runs
	OnReload                  // when the settings are read again
	OnReloadSet               // the same, but setting and unsetting it needs a restart
)

// A Group is the settings that stand under one heading, in the order in which a
// person wants to read them.
type Group struct {
	Title    string
	Settings []Setting

	// Gather fills what stands under names that are patterns; nil without any.
	Gather func(Environment, *Mistakes)
	// Check says what is wrong between settings that are each right, and makes what
	// follows from several. It runs when all defaults are in place; nil when there is
	// nothing to do.
	Check func(*Mistakes)
	// Warn returns what is taken but not wise, one line each and no secret in it;
	// nil when nothing can be.
	Warn func() []string

	// On reports whether the settings ask for what the group is about; nil where that is
	// always there. Turning it on and off needs a restart, whatever is set in it.
	On func() bool
	// Parts are what the settings name beside their own values; nil for none. They are
	// there once Check has run.
	Parts func() []Part

	Within  []Bound  // what cannot be had in full
	Origins []string // names of settings that are lists of pages
	Files   []File
}

// A Bound says that what a setting allows cannot be had, since another one is met
// before. Whoever knows all settings warns of it.
type Bound struct {
	Name string       // of the setting
	Of   string       // of the one that is met before: INPUT_BYTES and ROOM_BYTES by the share of one address
	Each func() int64 // bytes of ROOM_BYTES that one costs; nil for others
	Sent bool         // of INPUT_BYTES, as it is on a port that has senders alone
	Why  string       // and what to do
}

// OfInput is why what comes whole has no more room than an address has of INPUT_BYTES.
const OfInput = "one address may have so much of INPUT_BYTES at once: raise INPUT_BYTES"

// A File is a setting that is the path of a file with secrets in it.
type File struct {
	Name string // of the setting
	Kept bool   // the server makes it and writes it
	// IsNone reports whether a text is no path but names something that is no file; nil where
	// every text is one.
	IsNone func(text string) bool
	// Replaced says that it is written by putting another file in its place, for which the
	// directory must be writable.
	Replaced bool
}

// A Part is one thing that a setting names beside its own value: what is in a file, or
// stands under one of many names. Parts of the same name are compared when settings are
// read again.
type Part struct {
	Setting string // that names it
	Name    string // what a person calls it; no secret
	Is      any    // compared with [reflect.DeepEqual], and shown to nobody
}

// An Environment is where settings come from.
type Environment struct {
	Lookup func(name string) (value string, ok bool)
	Names  []string // all that are set, for patterns
}

// Read fills the settings of groups from env, without defaults. An empty value
// counts as unset, save for those with EmptyWrong; a name that no setting has is not
// looked at.
func Read(groups []*Group, env Environment, m *Mistakes) {
	for _, g := range groups {
		for i := range g.Settings {
			if s := &g.Settings[i]; s.Value != nil {
				s.read(env, m)
			}
		}
	}
	for _, g := range groups {
		if g.Gather != nil {
			g.Gather(env, m)
		}
	}
}

func (s *Setting) read(env Environment, m *Mistakes) {
	raw, ok := env.Lookup(s.Name)
	text := strings.TrimSpace(raw)
	switch {
	case s.Secret && raw != "":
		if err := s.Value.Set(raw); err != nil {
			m.Add(s.Name, "%w", err)
		}
	case text != "":
		if err := s.Value.Set(text); err != nil {
			m.Add(s.Name, "is %s: %w", Shown(s.shown(text)), err)
		}
	case ok && s.EmptyWrong:
		err := s.Value.Set(text)
		if err == nil {
			err = errors.New("want a value")
		}
		m.Add(s.Name, "is set but empty: %w; unset, it is %s", err, s.Default)
	}
}

func (s *Setting) shown(text string) string {
	if s.Show == nil {
		return text
	}
	return s.Show(text)
}

// Shown returns what people are shown of what a setting is: its value, or what [Setting].Show
// leaves of it. It is not for secrets.
func (s *Setting) Shown() any {
	value := s.Value.Get()
	if text, ok := value.(string); ok {
		return s.shown(text)
	}
	return value
}

// ShownText is Shown for a text that somebody has written.
func (s *Setting) ShownText(text string) string { return Shown(s.shown(text)) }

// Fill gives each setting that is not set its default. It panics for a default that
// is none, so a test of each group sees it.
func Fill(list []Setting) {
	for _, s := range list {
		if s.Default == "" || s.Value == nil || !s.Value.IsZero() {
			continue
		}
		if err := s.Value.Set(s.Default); err != nil {
			panic(s.Name + ": " + err.Error())
		}
	}
}

// Check runs the checks of groups, in order.
func Check(groups []*Group, m *Mistakes) {
	for _, g := range groups {
		if g.Check != nil {
			g.Check(m)
		}
	}
}
