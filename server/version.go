package server

import (
	"cmp"
	"runtime/debug"
	"sync"
)

// built is the release that the build is of, which is read once: the text that has it names
// every module.
var built = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return info.Main.Version
})

// version names the release that the program is.
func (c *Config) version() string {
	return cmp.Or(c.Version, built(), "unknown")
}
