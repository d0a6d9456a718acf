package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"poosh/server/cluster"
	"poosh/server/dialect"
	"poosh/server/setting"
)

// A Finding is one thing about the settings that a person should know, and what to do.
type Finding struct {
	Setting string `json:"setting,omitempty"` // that it is about, if it is about one
	Text    string `json:"text"`              // one line, with the setting's name, and never a secret
}

// Findings are what [Check] has found.
type Findings struct {
	Errors   []Finding `json:"errors"`   // a server would not start
	Warnings []Finding `json:"warnings"` // it would, and should not run like this
}

// Check looks for everything that is wrong with settings, as a server that is started with
// them would read them: from lookup and names of the environment, and from the file at
// path. With ports it also looks whether they can be listened on, which they cannot while
// the server runs, and whether other servers that dialects need can be reached. It opens
// nothing else and changes nothing.
func Check(path string, lookup func(string) (string, bool), environ []string, ports bool) Findings {
	found := Findings{Errors: []Finding{}, Warnings: []Finding{}}
	both, err := WithDotEnv(path, lookup)
	if err != nil {
		found.err(err)
		return found
	}
	c := newConfig()
	var m setting.Mistakes
	c.readAll(setting.Environment{Lookup: both, Names: Names(path, environ)}, &m)
	found.err(m.Err())
	if ports {
		found.err(c.tryPorts(&m))
	}
	found.err(c.tryFiles(&m))
	doubts, err := c.tryReach(&m)
	found.err(err)
	for _, line := range slices.Concat(c.Warnings(), doubts, notices(path, environ), c.fewFiles(&m), c.foreignHistory(&m), c.TLS.Expiring(time.Now())) {
		f := finding(line)
		if f.Setting == "" || !slices.ContainsFunc(found.Errors, func(e Finding) bool { return e.Setting == f.Setting }) {
			found.Warnings = append(found.Warnings, f) // what it seems to be is not what the person wrote
		}
	}
	return found
}

func (f *Findings) err(err error) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		f.Errors = append(f.Errors, finding(strings.TrimSuffix(line, "\n")))
	}
}

func finding(line string) Finding {
	name, _, _ := strings.Cut(line, " ")
	name = strings.TrimSuffix(name, ":")
	if name != strings.ToUpper(name) || strings.Trim(name, settingChars) != "" {
		name = ""
	}
	return Finding{name, line}
}

const settingChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// allPorts yields the ports that a server of these settings opens, at once or for a while,
// with where they are listened on.
func (c *Config) allPorts(yield func(p dialect.Port, host string) bool) {
	for _, d := range c.on() {
		for _, p := range d.Ports {
			if !yield(p, c.Network.Host) {
				return
			}
		}
	}
	if c.Admin.On() && !yield(dialect.Port{Setting: "ADMIN_PORT", Number: &c.Admin.Port}, c.Admin.Host) {
		return
	}
	if len(c.TLS.Domains) > 0 {
		yield(c.challengePort(), c.Network.Host)
	}
}

// tryPorts listens on each port for a moment.
func (c *Config) tryPorts(m *setting.Mistakes) error {
	var wrong []error
	for p, host := range c.allPorts {
		if *p.Number == setting.AnyPort || m.Has(p.Setting, "HOST", "ADMIN_HOST") {
			continue
		}
		ln, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(*p.Number)))
		if err == nil {
			err = ln.Close()
		}
		if err != nil {
			do := "end what uses it"
			if errors.Is(err, fs.ErrPermission) {
				do = "let the user of the server have it (CAP_NET_BIND_SERVICE)"
			}
			wrong = append(wrong, fmt.Errorf("%s is %d, which cannot be listened on: %w; %s, or choose another port", p.Setting, *p.Number, lastWord(err), do))
		}
	}
	if addr := c.Cluster.Addr; c.Cluster.On() && addr != "" && !m.Has("CLUSTER_ADDR") {
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			err = ln.Close()
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("CLUSTER_ADDR is %s, which cannot be listened on: %w; want an address of this machine and a port that is free", addr, lastWord(err)))
		}
	}
	return errors.Join(wrong...)
}

// reachPatience is how long each server has to answer that dialects or the cluster need.
const reachPatience = 10 * time.Second

// tryReach looks whether what dialects and the cluster need of other servers is there, and returns what
// is to be warned of.
func (c *Config) tryReach(m *setting.Mistakes) (warnings []string, err error) {
	if m.Err() != nil {
		return nil, nil // where it would be looked may be wrong
	}
	var wrong []error
	try := func(reach func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), reachPatience)
		defer cancel()
		wrong = append(wrong, reach(ctx))
	}
	for _, d := range c.on() {
		if d.Reach != nil {
			try(d.Reach)
		}
	}
	if c.Cluster.On() {
		try(func(ctx context.Context) (err error) {
			warnings, err = cluster.Try(ctx, c.Cluster, c.keptApps())
			return err
		})
	}
	return warnings, errors.Join(wrong...)
}

// Reach looks whether what a dialect needs of other servers is there, such as "echo", within ctx. It
// changes nothing there. nil for a dialect that is off or needs nothing.
func (c *Config) Reach(ctx context.Context, of string) error {
	for _, d := range c.on() {
		if d.Name == of && d.Reach != nil {
			return d.Reach(ctx)
		}
	}
	return nil
}

// lastWord is what the system says, without what was tried.
func lastWord(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err
}

// fewFiles says which bounds are lowered as there are fewer open files than connections may
// be; a server that starts says so itself.
func (c *Config) fewFiles(m *setting.Mistakes) (lines []string) {
	if m.Has("MAX_CONNECTIONS", "MAX_SENDER_CONNECTIONS") {
		return nil
	}
	_, less := fitted(&c.Network, c.Admin.On())
	for _, l := range less {
		lines = append(lines, l.String())
	}
	return lines
}
