//go:build linux

// Bench measures poosh beside the servers a user would pick instead, on the same
// work in the same run. README.md says how to run it and what it found.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"poosh/server/loadtest"
	"poosh/test/bench/load"
	"poosh/test/heads"
)

// options are what the command line asks for.
type options struct {
	bin        string // directory of the built servers
	node       string // directory of the Node peers
	commit     string // of poosh
	before     string // commit of the server "before"; empty without one
	works      []string
	peers      []string
	rounds     int
	payload    int
	cookies    int // bytes of each client's cookies; 0 for a session cookie alone
	senders    int
	tls        bool // clients speak TLS with the server
	nodes      int  // of a cluster
	processors int  // that a Go server is told to use; 0 for what it does by itself
	quick      bool
	size       size
	profile    string
	perf       string
	env        string
	out        string
}

func init() {
	// Children die with the thread that started them.
	runtime.LockOSThread()
}

func main() {
	o, err := parseOptions(os.Args[1:])
	if err == nil {
		err = run(o)
	}
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string) (options, error) {
	var o options
	var works, peers string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.bin, "bin", "", "directory of the built servers (set by run)")
	f.StringVar(&o.node, "node", "", "directory of the Node peers (set by run)")
	f.StringVar(&o.commit, "commit", "", "commit of poosh (set by run)")
	f.StringVar(&o.before, "before", "", "another commit of poosh, to be measured beside (built by run)")
	f.StringVar(&works, "works", "", "works to run, with commas between: "+strings.Join(workNames(), ", ")+" (default all)")
	f.StringVar(&peers, "peers", "", "servers to run, with commas between: "+strings.Join(serverNames(), ", ")+" (default all)")
	f.IntVar(&o.rounds, "rounds", 3, "times each work is run on each server; medians are reported")
	f.IntVar(&o.payload, "payload", 150, "bytes of an event's payload")
	f.IntVar(&o.cookies, "cookies", 0, "bytes of cookies that each client sends, 64 to 7000 (default a session cookie alone)")
	f.IntVar(&o.senders, "publishers", 1, "publishers of a burst")
	f.IntVar(&o.nodes, "nodes", 2, "nodes of a cluster, 2 or 3")
	f.BoolVar(&o.quick, "quick", false, "one round of small crowds, to see that everything runs")
	f.IntVar(&o.size.clients, "clients", 0, "clients, in place of a work's own number")
	f.IntVar(&o.size.events, "events", 0, "events, in place of a work's own number")
	f.DurationVar(&o.size.interval, "interval", 0, "time from one paced event to the next, in place of a work's own")
	f.StringVar(&o.profile, "profile", "", "write CPU profiles of poosh to this directory; only poosh runs, in a build that can be profiled")
	f.StringVar(&o.perf, "perf", "", "write what perf(1) records of the servers to this directory")
	f.StringVar(&o.env, "env", "", "settings of poosh with blanks between, such as \"GOGC=200 GOMAXPROCS=4\"")
	f.StringVar(&o.out, "out", "", "also write every observation to this file, as JSON")
	if err := f.Parse(args); err != nil {
		return o, flag.ErrHelp
	}
	o.works, o.peers = list(works, workNames()), list(peers, serverNames())
	if peers == "" && o.before == "" {
		o.peers = slices.DeleteFunc(o.peers, func(name string) bool { return name == "before" })
	}
	if o.quick {
		o.rounds = 1
	}
	if o.profile != "" {
		o.peers = slices.DeleteFunc(o.peers, func(name string) bool { return !slices.Contains(ourselves, name) })
	}
	var errs []error
	for _, w := range o.works {
		if !slices.Contains(workNames(), w) {
			errs = append(errs, fmt.Errorf("no work is called %q", w))
		}
	}
	for _, p := range o.peers {
		if !slices.Contains(serverNames(), p) {
			errs = append(errs, fmt.Errorf("no server is called %q", p))
		}
	}
	if slices.Contains(o.peers, "before") && o.before == "" {
		errs = append(errs, errors.New("of which commit the server before is, -before says"))
	}
	if o.size.clients < 0 || o.size.events < 0 || o.size.interval < 0 {
		errs = append(errs, errors.New("sizes are not negative"))
	}
	if o.cookies != 0 && (o.cookies < 64 || o.cookies > 7000) {
		errs = append(errs, errors.New("cookies have 64 to 7000 bytes"))
	}
	if o.nodes < 2 || o.nodes > 3 {
		errs = append(errs, errors.New("a cluster has 2 or 3 nodes here"))
	}
	if f.NArg() > 0 || o.rounds < 1 || o.payload < loadtest.MinPayload || o.senders < 1 || o.senders > loadtest.MaxPublishers {
		errs = append(errs, errors.New("a flag is out of bounds"))
	}
	return o, errors.Join(errs...)
}

// cookie is what each client sends, or empty for what a crowd sends by itself.
func (o options) cookie() string {
	if o.cookies == 0 {
		return ""
	}
	return heads.LongCookie(o.cookies)
}

func list(s string, all []string) []string {
	if s == "" {
		return all
	}
	return strings.Split(s, ",")
}

// run does the works and prints what they gave. It returns an error when a server
// did not deliver what it should.
func run(o options) (err error) {
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	if o.node, err = filepath.Abs(o.node); err != nil {
		return err
	}
	debug.SetGCPercent(800) // the generator's own collections would show in latencies
	files, err := load.RaiseFileLimit()
	if err != nil {
		return err
	}
	if err := o.findServers(); err != nil {
		return err
	}
	if slices.Contains(o.works, "proxy") || slices.Contains(o.works, "tls") {
		if _, err := exec.LookPath("nginx"); err != nil {
			return errors.New("nginx is not installed: apt-get install nginx-light, or leave out the works proxy and tls")
		}
	}
	if slices.ContainsFunc(works(o.quick, o.size), func(w work) bool { return w.joined && slices.Contains(o.works, w.name) }) {
		if _, err := findRedis(); err != nil {
			return err
		}
	}
	if slices.Contains(o.works, "publish") {
		if _, err := exec.LookPath("wrk"); err != nil {
			return errors.New("wrk is not installed: apt-get install wrk, or leave out the work publish")
		}
	}
	for _, dir := range []string{o.profile, o.perf, filepath.Dir(o.out)} {
		if dir != "" {
			if err := os.MkdirAll(dir, 0o777); err != nil {
				return err
			}
		}
	}
	r := &results{options: o, setting: newSetting(o, files)}
	fmt.Fprintln(os.Stderr, r.setting)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	failures := r.measureAll(stop)
	r.print(os.Stdout, works(o.quick, o.size))
	if o.out != "" {
		failures = append(failures, r.write(o.out))
	}
	return errors.Join(failures...)
}

// findServers makes sure that every server that is asked for was built.
func (o options) findServers() error {
	var errs []error
	for _, name := range o.peers {
		command := entrant{server: name}.command(o, false)
		if _, err := os.Stat(command[len(command)-1]); err != nil {
			errs = append(errs, fmt.Errorf("%s is not built: test/bench/run builds it, or leave it out with -peers", name))
		}
	}
	return errors.Join(errs...)
}

// measureAll does every work on every server in each round, until it is told to
// stop, and returns what went wrong.
func (r *results) measureAll(stop <-chan os.Signal) (failures []error) {
	o := r.options
	for round := range o.rounds {
		for _, w := range works(o.quick, o.size) {
			if !slices.Contains(o.works, w.name) {
				continue
			}
			for _, e := range w.entrants {
				if !slices.Contains(o.peers, e.server) {
					continue
				}
				fmt.Fprintf(os.Stderr, "%s round %d: %s, %s\n", time.Now().Format(time.TimeOnly), round+1, w.name, e)
				if err := measure(o, w, e, r); err != nil {
					err = fmt.Errorf("%s, %s: %w", w.name, e, err)
					fmt.Fprintln(os.Stderr, "bench:", err)
					failures = append(failures, err)
				}
				select {
				case <-stop:
					return append(failures, errors.New("stopped before everything was measured"))
				default:
				}
			}
		}
	}
	return failures
}

// measure does one work on one server, in a process of its own.
func measure(o options, w work, e entrant, r *results) error {
	if w.tool != nil {
		m, err := w.tool(o, w)
		if err == nil {
			r.add(w.name, e, m)
		}
		return err
	}
	s, err := startTrial(o, w, e)
	if err != nil {
		return err
	}
	defer s.close()
	s.record = func(values metrics) { r.add(w.name, e, values) }
	return errors.Join(w.run(s, w), s.unwatch())
}
