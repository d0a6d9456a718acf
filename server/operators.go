package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"poosh/server/admin"
	"poosh/server/closed"
	"poosh/server/fleet"
	"poosh/server/form"
	"poosh/server/health"
	"poosh/server/hub"
	"poosh/server/incident"
	"poosh/server/inspect"
	"poosh/server/metric"
	"poosh/server/overview"
	"poosh/server/sends"
	"poosh/server/series"
)

// operators prepares the operators' port with what the parts of the server have for it;
// nil when the settings ask for none.
func (s *Server) operators() *admin.Server {
	if !s.cfg.Admin.On() {
		return nil
	}
	s.hub.Remember()   // who left: explanations of sends tell
	s.sends.Remember() // the last sends: which rooms and senders have the most
	if s.cfg.Admin.Token == "" {
		s.learnApps()
		s.sends.Hide(toOne(s.hub, func() []inspect.App { return *s.known.Load() }))
	}
	s.live = s.newLive()
	s.series = series.New(series.Config{Readings: s.seconds, Usual: usual(s.seconds()), Told: func(now time.Time, readings []metric.Reading) {
		s.live.Told(now, readings)
		s.sends.Second()
	}})
	s.incidents = incident.New(incident.Config{
		Sections: []incident.Section{
			{Name: "series.csv", Text: s.series.CSV},
			{Name: "settings.txt", Text: func() ([]byte, error) { return s.config().text() }},
			{Name: "status.json", Text: s.statusText},
			{Name: "ready.json", Text: s.readyText},
			{Name: "closed.json", Text: s.closedText},
			{Name: "version.txt", Text: s.versionText},
		},
		Log: s.log,
	})
	look := inspect.New(inspect.Config{Hub: s.hub, Book: s.closed, Feed: s.sends, Apps: s.inspected, Ids: s.cfg.Admin.Token != "", Waiting: s.waiting})
	return admin.New(s.cfg.Admin, admin.Parts{
		Proxies:    s.limit.proxies,
		Log:        s.log,
		Live:       s.health.ServeLive,
		Ready:      s.serveReady,
		Metrics:    s.MetricsHandler(),
		Tail:       s.fleet.ServeTail,
		Kick:       s.fleet.ServeKick,
		Bundle:     s.incidents.ServeBundle,
		Drain:      s.fleet.ServeDrain,
		Reload:     s.serveReload,
		Profiles:   s.incidents.ServeProfiles,
		Overview:   s.live.ServeOverview,
		Stream:     s.live.ServeStream,
		Series:     s.series.ServeHTTP,
		Top:        look.ServeTop,
		Rooms:      look.ServeRooms,
		Room:       look.ServeRoom,
		Connection: look.ServeConnection,
		Left:       look.ServeLeft,
		Slow:       look.ServeSlow,
		Send:       s.sender().Serve,
	})
}

// newFleet makes what does for all nodes what an operator asks one for. Nodes without a port for
// operators do what the others are asked for too.
func (s *Server) newFleet() *fleet.Fleet {
	cfg := fleet.Config{
		Feed: s.sends, Kick: s.kick, Drain: s.askEnd, Trusted: s.cfg.Admin.Token != "", Log: s.log,
		Whom: func(q url.Values) error {
			_, _, err := s.parseWhom(q)
			return err
		},
	}
	if s.cluster != nil {
		cfg.Name, cfg.Link = s.cluster.Name(), s.passing
		cfg.Nodes = func() (list []fleet.Node) {
			there, missing := s.cluster.Known()
			for _, n := range there {
				list = append(list, fleet.Node{Name: n.Name, Addr: n.Addr, Started: n.Started})
			}
			for _, n := range missing {
				list = append(list, fleet.Node{Name: n.Name, Addr: n.Addr, Started: n.Started, Missing: true})
			}
			return list
		}
	}
	return fleet.New(cfg)
}

// usual are those of usualSeries that there are: not every system tells all.
func usual(readings []metric.Reading) []string {
	return slices.DeleteFunc(slices.Clone(usualSeries), func(name string) bool {
		return !slices.ContainsFunc(readings, func(r metric.Reading) bool { return r.Key == name || r.Key == "" && r.Name == name })
	})
}

// usualSeries are those that are shown where nobody names others, each as the series call
// it.
var usualSeries = []string{
	"connections", "sender_connections", "websockets", "published", "delivered", "refused", "held_back", "sent_bytes_total", "received_bytes_total",
	"queued_bytes", "backlog_bytes", "stuck_bytes", "unfetched_bytes", "input_bytes", "room_bytes",
	"goroutines", "fds", "heap_bytes", "memory_bytes", "resident_bytes", "cpu_seconds", "gc_cycles", "closed_slow",
}

// newLive prepares the overview of the process.
func (s *Server) newLive() *overview.Live {
	limit := debug.SetMemoryLimit(-1) // which asks
	if limit == math.MaxInt64 {
		limit = 0
	}
	return overview.New(overview.Config{
		Version: s.cfg.version(), Go: runtime.Version(), Started: processStarted, Processors: runtime.GOMAXPROCS(0), MemoryLimit: limit,
		Apps: func() (list []overview.App) {
			for _, a := range s.apps() {
				if a.Ends != nil { // others stand for those who belong to no application
					list = append(list, overview.App{Dialect: a.dialect, App: a.ID, Connected: a.Connected, Previous: total(a.Previous)})
				}
			}
			return list
		},
		Latency: s.lately,
		Cluster: s.nodes,
	})
}

// learnApps notes the applications there are: counting their clients for each send would
// be too much.
func (s *Server) learnApps() {
	list := s.inspected()
	s.known.Store(&list)
}

// total adds up what is told apart by labels.
func total(samples []metric.Sample) (n uint64) {
	for _, s := range samples {
		n += uint64(s.Value)
	}
	return n
}

// inspected are the applications as those who look into them call them.
func (s *Server) inspected() (list []inspect.App) {
	for _, a := range s.apps() {
		if a.Ends != nil {
			list = append(list, inspect.App{Dialect: a.dialect, ID: a.ID, Hub: a.Hub, Single: a.Single, Client: a.Client, Standing: a.Standing})
		}
	}
	return list
}

// toOne returns what reports whether a send is to a room that is named by the id of a client
// who is there, which is told with ADMIN_TOKEN alone.
func toOne(h *hub.Hub, apps func() []inspect.App) func(*sends.Send) bool {
	return func(to *sends.Send) bool {
		return !to.Everyone && slices.ContainsFunc(apps(), func(a inspect.App) bool {
			return a.Dialect == to.Dialect && (a.Single || a.ID == to.App) && h.Find(a.Hub, to.Room) != nil
		})
	}
}

// waiting is about how many bytes wait for all clients.
func (s *Server) waiting() int64 { return outboxBytes(s.loop.Stats(), s.polling()) }

// sender sends what operators write down, as senders of the dialects would.
func (s *Server) sender() form.Sender {
	to := make(form.Sender)
	for _, d := range s.dialects {
		of := form.Dialect{Sign: d.Sign, Serve: make(map[string]http.Handler)}
		for port, routes := range d.Routes {
			of.Serve[port] = routes
		}
		to[d.name] = of
	}
	return to
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
func (s *Server) versionText() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "started %s\n%s %s/%s, %d processors, %d in use\n", processStarted.UTC().Format(time.RFC3339),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0))
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.Bytes(), nil
	}
	fmt.Fprintf(&b, "%s %s\n", info.Main.Path, s.cfg.version())
	for _, built := range info.Settings {
		if slices.Contains([]string{"vcs.revision", "vcs.time", "vcs.modified"}, built.Key) {
			fmt.Fprintf(&b, "%s %s\n", built.Key, built.Value)
		}
	}
	for _, m := range info.Deps {
		fmt.Fprintf(&b, "%s %s\n", m.Path, m.Version)
	}
	return b.Bytes(), nil
}
