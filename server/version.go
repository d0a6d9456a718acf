package server

import (
	"cmp"
	"runtime/debug"
)

// version names the release that the program is.
func (c *Config) version() string {
	built := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		built = info.Main.Version
	}
	return cmp.Or(c.Version, built, "unknown")
}
