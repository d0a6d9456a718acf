package server

import (
	"fmt"
	"os"

	"poosh/server/dialect"
	"poosh/server/setting"
)

// DotEnv is where settings are looked for that the environment does not have.
const DotEnv = ".env"

// Load reads the settings of this process: from the environment, and from [DotEnv] in
// the working directory. The error has one line for each mistake.
func Load() (*Config, error) { return readFrom(loaded) }

// loaded reads this process's environment and [DotEnv].
func loaded() source {
	lookup, err := WithDotEnv(DotEnv, os.LookupEnv)
	if err != nil {
		return source{err: err}
	}
	return source{env: setting.Environment{Lookup: lookup, Names: Names(DotEnv, os.Environ())},
		noticed: func() []string { return notices(DotEnv, os.Environ()) }}
}

// Value returns what a setting is set to, a secret too: it is for who acts with that, and
// not for who shows it, who has [Config.Values]. It is nil for a name that is no setting.
func (c *Config) Value(name string) any {
	for _, g := range c.groups {
		for _, s := range g.Settings {
			if s.Name == name && s.Value != nil {
				return s.Value.Get()
			}
		}
	}
	return nil
}

// Opens reports whether a server of these settings opens a port, which the setting names
// that is for it.
func (c *Config) Opens(port string) bool {
	for p := range c.allPorts {
		if p.Setting == port {
			return true
		}
	}
	return false
}

// Applications are those of a dialect that the settings name, such as "pusher"; none if it
// is not on. They have their secrets in them.
func (c *Config) Applications(of string) []dialect.Application {
	for _, d := range c.on() {
		if d.Name == of && d.Applications != nil {
			return d.Applications()
		}
	}
	return nil
}

// Near is where a port is reached from this machine, as host and number; an error if no
// server of these settings opens it. port is the setting that names it, such as
// SERVER_PORT.
func (c *Config) Near(port string) (string, error) {
	if port == "ADMIN_PORT" {
		if !c.Admin.On() {
			return "", fmt.Errorf("ADMIN_PORT is not set: a server of these settings has no port for operators")
		}
		return near(c.Admin.Host, port, c.Admin.Port)
	}
	for _, d := range c.on() {
		for _, p := range d.Ports {
			if p.Setting == port {
				return near(c.Network.Host, port, *p.Number)
			}
		}
	}
	return "", fmt.Errorf("%s is not open with these settings: what it is for is off", port)
}
