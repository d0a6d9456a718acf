package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"poosh/server/admin"
	"poosh/server/closed"
	"poosh/server/health"
	"poosh/server/incident"
	"poosh/server/metric"
)

// operators prepares the operators' port with what the parts of the server have for it;
// nil when the settings ask for none.
func (s *Server) operators() *admin.Server {
	if !s.cfg.Admin.On() {
		return nil
	}
	s.hub.Remember() // who left: explanations of sends tell
	s.incidents = incident.New(incident.Config{
		Readings: s.numbers,
		Sections: []incident.Section{
			{Name: "settings.txt", Text: s.cfg.text},
			{Name: "status.json", Text: s.statusText},
			{Name: "ready.json", Text: s.readyText},
			{Name: "closed.json", Text: s.closedText},
			{Name: "version.txt", Text: versionText},
		},
		Log: s.log,
	})
	return admin.New(s.cfg.Admin, admin.Parts{
		Proxies:  s.limit.proxies,
		Log:      s.log,
		Live:     s.health.ServeLive,
		Ready:    s.health.ServeReady,
		Metrics:  s.MetricsHandler(),
		Tail:     s.sends.Stream,
		Kick:     s.serveKick,
		Bundle:   s.incidents.ServeBundle,
		Profiles: s.incidents.ServeProfiles,
	})
}

// text says what each setting is set to, a line each; of a secret whether it is.
func (c *Config) text() ([]byte, error) {
	var b bytes.Buffer
	values := c.Values()
	for _, g := range c.groups {
		for _, s := range g.Settings {
			switch {
			case s.Value == nil: // a pattern of names
			case s.Secret && s.Value.IsZero():
				fmt.Fprintf(&b, "%s: not set\n", s.Name)
			case s.Secret:
				fmt.Fprintf(&b, "%s: set\n", s.Name)
			default:
				fmt.Fprintf(&b, "%s=%v\n", s.Name, values[s.Name])
			}
		}
	}
	return b.Bytes(), nil
}

// statusText is the status line as JSON.
func (s *Server) statusText() ([]byte, error) {
	status := make(map[string]any)
	for attrs := metric.Attrs(s.metrics()); len(attrs) > 0; attrs = attrs[2:] {
		status[attrs[0].(string)] = attrs[1]
	}
	return json.MarshalIndent(status, "", "\t")
}

// closedText is why the last connections left, the newest first, and not who they were:
// ids and addresses are for who asks about one.
func (s *Server) closedText() ([]byte, error) {
	type end struct {
		Dialect, App string
		Reason       closed.Reason
		Since, At    time.Time
		Waiting      int
	}
	list := []end{}
	for _, c := range s.closed.Latest(closed.Kept) {
		list = append(list, end{c.Dialect, c.App, c.Reason, c.Since, c.At, c.Waiting})
	}
	return json.MarshalIndent(list, "", "\t")
}

func (s *Server) readyText() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*health.Patience)
	defer cancel()
	return json.MarshalIndent(s.health.Ready(ctx), "", "\t")
}

// processStarted is when the process did, nearly.
var processStarted = time.Now()

// versionText says what the program is and runs on.
func versionText() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "started %s\n%s %s/%s, %d processors, %d in use\n", processStarted.UTC().Format(time.RFC3339),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.Bytes(), nil
	}
	fmt.Fprintf(&b, "%s %s\n", info.Main.Path, info.Main.Version)
	for _, s := range info.Settings {
		if slices.Contains([]string{"vcs.revision", "vcs.time", "vcs.modified"}, s.Key) {
			fmt.Fprintf(&b, "%s %s\n", s.Key, s.Value)
		}
	}
	for _, m := range info.Deps {
		fmt.Fprintf(&b, "%s %s\n", m.Path, m.Version)
	}
	return b.Bytes(), nil
}
