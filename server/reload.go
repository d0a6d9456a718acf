package server

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"poosh/server/dialect"
	"poosh/server/network"
	"poosh/server/setting"
)

// A Reloaded is what came of reading the settings again. Its lines never have a secret.
type Reloaded struct {
	DryRun  bool      `json:"dry_run"`       // nothing was changed, whatever Changed says
	Changed []Finding `json:"changed"`       // what is in force from now on
	Restart []Finding `json:"needs_restart"` // what is not: the value before stays
	// Errors are what is wrong. With one of them nothing was changed.
	Errors   []Finding `json:"errors"`
	Warnings []Finding `json:"warnings"` // as the start has them
}

var (
	errEnding    = errors.New("the server is ending: the next one reads the settings")
	errNotReread = errors.New("these settings were not read from anywhere")
)

// Reload reads the settings again, from where they were read at the start, and has those
// count that can change while the server runs; what can not is named and stays as it was.
// Settings with a mistake, or with a file that is of no use, change nothing at all. Dry
// changes nothing in any case, and says what would be. It may be called from any
// goroutine; one reload follows the other. The error says why nothing was read.
func (s *Server) Reload(dry bool) (*Reloaded, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	now := s.config()
	switch {
	case s.health.Draining():
		return nil, errEnding // and looked at once more before anything changes
	case now.again == nil:
		return nil, errNotReread
	}
	r := newReloaded(dry)
	next := now.next(r)
	if len(r.Errors) == 0 {
		commit, err := s.prepare(next, r)
		if r.add(&r.Errors, err); err == nil && !dry && !s.unlessEnding(commit) {
			return nil, errEnding
		}
	}
	if len(r.Errors) > 0 {
		r.Changed, r.Restart = []Finding{}, []Finding{} // of settings that are not what somebody wants
	}
	return r, nil
}

func newReloaded(dry bool) *Reloaded {
	return &Reloaded{DryRun: dry, Changed: []Finding{}, Restart: []Finding{}, Errors: []Finding{}, Warnings: []Finding{}}
}

// Mistaken is what comes of settings with mistakes, as [Load] returns them: nothing.
func Mistaken(mistakes error, dry bool) *Reloaded {
	r := newReloaded(dry)
	r.add(&r.Errors, mistakes)
	return r
}

// unlessEnding does something that must not happen once the end has begun, nor while it
// begins, and reports whether it did.
func (s *Server) unlessEnding(do func()) bool {
	s.committing.Lock()
	defer s.committing.Unlock()
	if s.health.Draining() {
		return false
	}
	do()
	return true
}

// beginEnd has the process not be ready any more, and returns how long the end may take:
// what counts now, counts until it is over.
func (s *Server) beginEnd() (within time.Duration) {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.health.Drain()
	return s.network().ShutdownTimeout
}

func (r *Reloaded) add(to *[]Finding, err error) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		*to = append(*to, finding(strings.TrimSuffix(line, "\n")))
	}
}

// next is what counts once the settings are read again: what they are now, but for what
// needs a restart.
func (c *Config) next(r *Reloaded) *Config {
	src := c.again()
	if src.err != nil {
		r.add(&r.Errors, src.err)
		return nil
	}
	wanted := newConfig()
	var m setting.Mistakes
	wanted.readAll(src.env, &m)
	if r.add(&r.Errors, m.Err()); len(r.Errors) > 0 {
		return nil
	}
	keeps := c.keeps(wanted)
	next := newConfig()
	var together setting.Mistakes
	next.readAll(keeps.over(c.env, src.env), &together)
	if err := together.Err(); err != nil {
		for line := range strings.Lines(err.Error()) {
			r.add(&r.Errors, fmt.Errorf("%s (beside what needs a restart and stays as it is)", strings.TrimSuffix(line, "\n")))
		}
		return nil
	}
	next.again, next.noticed, next.Version, next.level = c.again, src.noticed, c.Version, c.level
	for _, line := range c.differences(wanted, keeps.has) {
		r.Restart = append(r.Restart, finding(line+": needs a restart, and stays as it was"))
	}
	for _, line := range c.differences(next, func(string) bool { return true }) {
		r.Changed = append(r.Changed, finding(line))
	}
	for _, line := range next.Warnings() {
		r.Warnings = append(r.Warnings, finding(line))
	}
	return next
}

// A kept says which settings stay as they are until a restart.
type kept struct {
	names    map[string]bool
	patterns []string // how the names end that are patterns
}

// keeps finds them: those that need a restart, and whatever turns a dialect on or off.
func (c *Config) keeps(wanted *Config) *kept {
	k := &kept{names: make(map[string]bool)}
	for i, g := range c.groups {
		turned := g.On != nil && g.On() != wanted.groups[i].On()
		for j := range g.Settings {
			was, is := &g.Settings[j], &wanted.groups[i].Settings[j]
			set := was.Value != nil && was.Changes == setting.OnReloadSet && c.isSet(was) != wanted.isSet(is)
			switch {
			case !turned && was.Changes != setting.OnRestart && !set:
			case was.Value == nil:
				k.patterns = append(k.patterns, strings.TrimPrefix(was.Name, "NAME"))
				fallthrough
			default:
				k.names[was.Name] = true
			}
		}
	}
	return k
}

// isSet reports whether somebody has set a setting.
func (c *Config) isSet(s *setting.Setting) bool {
	text, _ := c.env.Lookup(s.Name)
	return strings.TrimSpace(text) != ""
}

func (k *kept) has(name string) bool {
	if k.names[name] {
		return true
	}
	for _, end := range k.patterns {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// over is an environment with what is kept of the one before.
func (k *kept) over(before, now setting.Environment) setting.Environment {
	env := setting.Environment{Lookup: func(name string) (string, bool) {
		if k.has(name) {
			return before.Lookup(name)
		}
		return now.Lookup(name)
	}}
	for _, of := range []struct {
		names []string
		kept  bool
	}{{before.Names, true}, {now.Names, false}} {
		for _, name := range of.names {
			if k.has(name) == of.kept {
				env.Names = append(env.Names, name)
			}
		}
	}
	return env
}

// differences says what is otherwise in another configuration, of the settings that which
// names, a line each.
func (c *Config) differences(other *Config, which func(name string) bool) (lines []string) {
	for i, g := range c.groups {
		for j := range g.Settings {
			was, is := &g.Settings[j], &other.groups[i].Settings[j]
			if was.Value != nil && which(was.Name) && !reflect.DeepEqual(was.Value.Get(), is.Value.Get()) {
				lines = append(lines, c.difference(was, other, is))
			}
		}
		if g.Parts != nil {
			lines = append(lines, differentParts(g.Parts(), other.groups[i].Parts(), which)...)
		}
	}
	return lines
}

// difference says how a setting has changed.
func (c *Config) difference(was *setting.Setting, other *Config, is *setting.Setting) string {
	before, after := c.isSet(was), other.isSet(is)
	switch {
	case was.Secret && before && after:
		return was.Name + " is another one"
	case was.Secret && after:
		return was.Name + " is set now"
	case was.Secret:
		return was.Name + " is not set any more"
	}
	from, to := c.written(was), other.written(is)
	if was.Show != nil && from == to { // what is otherwise is not shown
		return was.Name + " is another one"
	}
	if from == to { // what follows from others
		from, to = fmt.Sprint(was.Shown()), fmt.Sprint(is.Shown())
	}
	return fmt.Sprintf("%s is %s, was %s", was.Name, to, from)
}

// written is what a setting is set to, as somebody has written it.
func (c *Config) written(s *setting.Setting) string {
	text, _ := c.env.Lookup(s.Name)
	if text = strings.TrimSpace(text); text != "" {
		return s.ShownText(text)
	}
	return cmp.Or(s.Default, "unset")
}

func differentParts(before, after []setting.Part, which func(string) bool) (lines []string) {
	find := func(list []setting.Part, name string) *setting.Part {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
		return nil
	}
	for _, p := range before {
		switch now := find(after, p.Name); {
		case !which(p.Setting):
		case now == nil:
			lines = append(lines, p.Name+" is gone")
		case !reflect.DeepEqual(p.Is, now.Is):
			lines = append(lines, p.Name+" is another one")
		}
	}
	for _, p := range after {
		if which(p.Setting) && find(before, p.Name) == nil {
			lines = append(lines, p.Name+" is new")
		}
	}
	return lines
}

// prepare makes ready what follows from a configuration. commit has all of it count, one
// part at once after the other.
func (s *Server) prepare(next *Config, r *Reloaded) (commit func(), err error) {
	fitted, less := fitted(&next.Network, next.Admin.On())
	for _, l := range less {
		r.Warnings = append(r.Warnings, finding(l.String()))
	}
	var commits []func()
	var wrong []error
	for i, d := range s.running() {
		if d.Reload == nil {
			continue
		}
		do, err := d.Reload(next.on()[i].Options, fitted)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		commits = append(commits, do)
	}
	do, err := s.recertify(&next.TLS)
	if err != nil {
		wrong = append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return func() {
		s.roomFor(&fitted)
		for _, do := range append(commits, do) {
			do()
		}
		s.rebound(next, fitted)
	}, nil
}

// running are the running dialects, in the order of [Config.on].
func (s *Server) running() []*dialect.Running {
	var list []*dialect.Running
	for _, d := range s.dialects {
		list = append(list, d.Running)
	}
	return list
}

// roomFor has what may wait for connections grow, before something larger can come.
func (s *Server) roomFor(fitted *network.Config) {
	if now := s.network(); fitted.OutboxBytes > now.OutboxBytes {
		s.loop.SetOutbox(fitted.OutboxBytes)
		for _, p := range s.ports {
			p.server.SetMaxAnswer(maxAnswer(fitted))
		}
	}
}

// rebound has the bounds count that dialects share.
func (s *Server) rebound(next *Config, fitted network.Config) {
	s.limit.rebound(fitted)
	s.clientInput.Resize(fitted.InputBytes)
	s.senderInput.Resize(fitted.InputBytes / 4 * 3)
	s.senderRest.Resize(fitted.InputBytes / 4)
	s.rooms.Resize(fitted.RoomBytes)
	s.keys.Change(next.Idempotency)
	s.loop.SetOutbox(fitted.OutboxBytes)
	for _, p := range s.ports {
		p.server.SetMaxAnswer(maxAnswer(&fitted))
	}
	s.learnApps()
	if s.admin != nil {
		s.admin.SetToken(next.Admin.Token)
	}
	next.level.Set(next.LogLevel)
	s.now.Store(&inForce{next, fitted})
}
