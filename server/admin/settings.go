package admin

import (
	"errors"
	"net/netip"
	"strings"

	"poosh/server/setting"
)

// A Config is what an operator may choose of the operators' port.
type Config struct {
	Port  int    // 0 for none
	Host  string // where it is listened on; loopback unless there is a token
	Token string // who comes must show it; empty for nobody must, on loopback alone
	Pprof bool   // serves profiles one by one
}

// On reports whether the settings ask for the port.
func (c *Config) On() bool { return c.Port != 0 }

// Settings describes the settings that fill c.
func (c *Config) Settings() *setting.Group {
	return &setting.Group{Title: "Operators", Check: c.check, Settings: []setting.Setting{
		{Name: "ADMIN_PORT", Help: "Port for who operates the server: health, metrics, sends as they happen and what an incident needs; unset, there is none",
			Value: setting.Port(&c.Port)},
		{Name: "ADMIN_HOST", Default: "127.0.0.1", Help: "Address or host name that ADMIN_PORT is listened on; one that other machines reach needs ADMIN_TOKEN",
			Value: setting.Host(&c.Host)},
		{Name: "ADMIN_TOKEN", Changes: setting.OnReloadSet, Help: "What who comes to ADMIN_PORT must show, as bearer token or as password of any user: at least 16 characters; unset, everybody on this machine may come",
			Value: setting.Of(&c.Token, parseToken), Secret: true},
		{Name: "ADMIN_PPROF", Default: "off", Help: "on has ADMIN_PORT serve the profiles of the Go runtime under /debug/pprof/",
			Value: setting.Switch(&c.Pprof)},
	}}
}

// leastToken is the length below which a token could be guessed.
const leastToken = 16

func parseToken(text string) (string, error) {
	if len(text) < leastToken || strings.TrimSpace(text) != text {
		return "", errors.New("is not good: want at least 16 characters, without blanks around them, such as `openssl rand -hex 32` prints")
	}
	return text, nil
}

func (c *Config) check(m *setting.Mistakes) {
	if c.On() && c.Token == "" && !isLoopback(c.Host) && !m.Has("ADMIN_HOST", "ADMIN_TOKEN") {
		m.Add("ADMIN_TOKEN", "is not set, and ADMIN_HOST is %s, which others may reach: set a token of at least 16 characters, such as `openssl rand -hex 32` prints, or ADMIN_HOST to 127.0.0.1", setting.Shown(c.Host))
	}
}

// isLoopback reports whether nobody but this machine reaches a host.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
