package server

import (
	"log/slog"
	"slices"

	"poosh/server/admin"
	"poosh/server/certificate"
	"poosh/server/cluster"
	"poosh/server/dialect"
	"poosh/server/hub/history"
	"poosh/server/idempotency"
	"poosh/server/network"
	"poosh/server/setting"
	"poosh/server/socketio"
)

// A Config is everything that an operator may choose. [FromEnv] makes one. What its
// fields hold when [New] gets it is what counts; it must not change afterwards.
type Config struct {
	LogLevel  slog.Level // records below it are not written
	LogFormat string     // "text" or "json"

	// Version is the release that the program is, for operators; no setting. Empty for what
	// its build says.
	Version string

	Network  network.Config  // what the ports of all dialects share
	SocketIO socketio.Config // what all dialects over Socket.IO share
	Admin    admin.Config    // the operators' port
	TLS      certificate.Config
	History  history.Config // what is kept for clients that come back

	Idempotency idempotency.Config // what is remembered of sends with a key
	Cluster     cluster.Config     // other processes that act as one with this one

	spoken  []*dialect.Dialect
	noticed func() []string  // looks how the settings are written down; see notices. nil for nobody who does
	groups  []*setting.Group // all settings, in the order in which a person wants to read them

	level *slog.LevelVar // LogLevel, for who logs; a reload changes it

	env   setting.Environment // what was read, as it was then
	again func() source       // where it is read again; nil for a Config made by hand
}

// A source is where settings come from, and who looks how they are written down there.
type source struct {
	env     setting.Environment
	noticed func() []string // see notices; nil for nobody
	err     error           // why there are none
}

// newConfig returns a Config in which nothing is set, not even a default.
func newConfig() *Config {
	c := &Config{level: new(slog.LevelVar)}
	c.spoken = c.dialects()
	for _, d := range c.spoken {
		d.Settings.On = d.On
		c.groups = append(c.groups, d.Settings)
	}
	c.groups = append(c.groups, c.SocketIO.Settings(), c.History.Settings(), c.Idempotency.Settings(), c.Cluster.Settings(), c.Network.Settings(), c.TLS.Settings(), c.Admin.Settings(), c.logSettings())
	return c
}

func (c *Config) logSettings() *setting.Group {
	return &setting.Group{Title: "Log", Settings: []setting.Setting{
		{Name: "LOG_LEVEL", Default: "info", Changes: setting.OnReload, Help: "debug (a line for each send and connection), info, warn or error",
			Value: setting.Choice(&c.LogLevel, []string{"debug", "info", "warn", "error"},
				[]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError})},
		{Name: "LOG_FORMAT", Default: "text", Help: "text or json, written to standard error",
			Value: setting.Choice(&c.LogFormat, []string{"text", "json"}, []string{"text", "json"})},
	}}
}

// A Setting describes one name of the environment to the person who may set it.
type Setting struct {
	Group   string // heading it stands under
	Name    string
	Default string // as one would write it; empty means none
	Help    string // one line
	Reloads bool   // another value counts once the settings are read again; else after a restart
	Secret  bool   // what it is set to is shown nowhere
}

// Settings lists every setting in the order in which a person wants to read them.
func Settings() []Setting {
	var list []Setting
	for _, g := range newConfig().groups {
		for _, s := range g.Settings {
			list = append(list, Setting{g.Title, s.Name, s.Default, s.Help, s.Changes != setting.OnRestart, s.Secret})
		}
	}
	return list
}

// Commands lists what the program's command line can do beside serving.
func Commands() []dialect.Command {
	list := []dialect.Command{healthCommand()}
	for _, d := range newConfig().spoken {
		list = append(list, d.Commands...)
	}
	return list
}

// FromEnv makes a Config of the settings that lookup finds, with every default in
// place. Nobody else reads the environment. An empty value counts as unset, save
// for the ports, where the Node server refused it too; a name that no setting has
// is not looked at.
//
// The error has one line for each mistake, all of them: the setting, its value
// unless that is a secret, and what would be right. There is no Config then.
//
// names are those that are set, for the settings whose name is a pattern; see
// [Names].
func FromEnv(lookup func(name string) (string, bool), names ...string) (*Config, error) {
	return readFrom(func() source { return source{env: setting.Environment{Lookup: lookup, Names: names}} })
}

// readFrom makes a Config of what is read somewhere, now and whenever it is reloaded.
func readFrom(from func() source) (*Config, error) {
	src := from()
	if src.err != nil {
		return nil, src.err
	}
	c, err := newConfig().read(src.env)
	if err == nil {
		c.again, c.noticed = from, src.noticed
	}
	return c, err
}

func (c *Config) read(env setting.Environment) (*Config, error) {
	var m setting.Mistakes
	c.readAll(env, &m)
	if err := m.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// readAll reads what it can, and gathers the mistakes.
func (c *Config) readAll(env setting.Environment, m *setting.Mistakes) {
	c.env = c.copied(env)
	setting.Read(c.groups, c.env, m)
	if len(c.on()) == 0 {
		for _, d := range c.spoken {
			if d.Missing != nil {
				d.Missing(m)
			}
		}
	}
	c.fill()
	c.checkPorts(m)
	setting.Check(c.groups, m)
	c.checkBridges(m)
	c.checkHistory(m)
	c.checkCluster(m)
	c.checkPaths(m)
	c.level.Set(c.LogLevel)
}

// copied is an environment as it is now: that of a reload is compared with it.
func (c *Config) copied(env setting.Environment) setting.Environment {
	type text struct {
		value string
		is    bool
	}
	texts := make(map[string]text)
	note := func(name string) {
		value, is := env.Lookup(name)
		texts[name] = text{value, is}
	}
	for _, name := range env.Names {
		note(name)
	}
	for _, g := range c.groups {
		for _, s := range g.Settings {
			note(s.Name)
		}
	}
	return setting.Environment{Names: slices.Clone(env.Names), Lookup: func(name string) (string, bool) {
		return texts[name].value, texts[name].is
	}}
}

// Level is LOG_LEVEL for a logger, for which it changes when the settings are read again.
func (c *Config) Level() slog.Leveler { return c.level }

// on returns the dialects that the settings ask for.
func (c *Config) on() []*dialect.Dialect {
	var list []*dialect.Dialect
	for _, d := range c.spoken {
		if d.On() {
			list = append(list, d)
		}
	}
	return list
}

// fill gives what is not set its default.
func (c *Config) fill() {
	unset := c.Network.OutboxBytes == 0
	for _, g := range c.groups {
		setting.Fill(g.Settings)
	}
	if !unset {
		return
	}
	for _, d := range c.spoken { // the largest event must fit, also when it grows on its way
		if d.Outbox != nil {
			c.Network.OutboxBytes = max(c.Network.OutboxBytes, d.Outbox())
		}
	}
}

// checkPorts finds ports that two settings name.
func (c *Config) checkPorts(m *setting.Mistakes) {
	var before []dialect.Port
	check := func(ports ...dialect.Port) {
		for _, p := range ports {
			for _, other := range before {
				if *p.Number == *other.Number && *p.Number != setting.AnyPort && !m.Has(p.Setting, other.Setting) {
					m.Add(p.Setting, "is %d: want another port than %s", *p.Number, other.Setting)
				}
			}
			before = append(before, p)
		}
	}
	for _, d := range c.on() {
		check(d.Ports...)
	}
	if c.Admin.On() {
		check(dialect.Port{Setting: "ADMIN_PORT", Number: &c.Admin.Port})
	}
	if len(c.TLS.Domains) > 0 {
		check(c.challengePort())
	}
}

// challengePort is where an authority asks with HTTP-01, which is listened on while it does.
func (c *Config) challengePort() dialect.Port {
	return dialect.Port{Setting: "ACME_HTTP_PORT", Number: &c.TLS.HTTPPort}
}

// bridges returns the sides of what joins dialects.
func (c *Config) bridges() []*dialect.Bridge {
	var sides []*dialect.Bridge
	for _, d := range c.spoken {
		if d.Bridge == nil {
			continue
		}
		if side := d.Bridge(); side != nil {
			sides = append(sides, side)
		}
	}
	return sides
}

// checkBridges finds bridges that lead nowhere.
func (c *Config) checkBridges(m *setting.Mistakes) {
	sides := c.bridges()
	for _, side := range sides {
		if side.Setting != "" && len(sides) < 2 {
			m.Add(side.Setting, "%s", side.Alone)
		}
	}
}

// Warnings says what the settings have that is not wise, one line each: for the log
// at the start. No line shows a secret.
func (c *Config) Warnings() []string {
	var lines []string
	for _, g := range c.groups {
		if g.Warn != nil {
			lines = append(lines, g.Warn()...)
		}
	}
	lines = append(append(append(lines, c.doubts()...), c.limits()...), c.readByAll()...)
	if c.noticed != nil {
		lines = append(lines, c.noticed()...)
	}
	return lines
}

// Values returns what each setting is set to, by its name; of a secret only whether
// there is one.
func (c *Config) Values() map[string]any {
	values := make(map[string]any)
	for _, g := range c.groups {
		for _, s := range g.Settings {
			switch {
			case s.Value == nil:
			case s.Secret:
				values[s.Name] = !s.Value.IsZero()
			default:
				values[s.Name] = s.Shown()
			}
		}
	}
	return values
}
