package commandline

import (
	"cmp"
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"poosh/server"
	"poosh/server/doctor"
)

func (l *line) doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "look from outside for what is wrong between clients and a server", ArgsUsage: "URL",
		Description: `Goes to URL as clients do, through whatever proxy is in between: name and addresses,
certificate, polling, WebSocket at once and after polling, JSONP, cross-origin answers, sizes,
idle connections until the heartbeat, Server-Sent Events, caches, balancers, cookies, HTTP
versions, clocks, the addresses that the server sees, and an event in each dialect that the
settings have. For each
fault it prints what was seen, why that matters, and the lines that mend it in nginx, haproxy,
Caddy and Apache.

URL is where clients of socket.io connect; where the settings have none of its dialects, it is
that of the Push Socket Protocol, of Laravel Echo, of Pusher or of Socktopus. Events are sent to this machine, to
the ports of the settings, unless flags name other addresses; a device of the Push Socket
Protocol registers and sends where it listens. What applications publish in ECHO_REDIS and
EMITTER_REDIS is published there. The address that the server sees is asked of ADMIN_PORT,
which needs ADMIN_TOKEN. Without settings there are no events.

Exit codes: 0 all that was looked at is well, 1 faults, 2 misused, 4 nothing answers at URL.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "pusher", Usage: "where clients of Pusher connect, if that is not `URL`"},
			&cli.StringFlag{Name: "socktopus", Usage: "where clients of Socktopus connect, if that is not `URL`"},
			&cli.StringFlag{Name: "laravel-echo", Usage: "where pages with Laravel Echo and socket.io connect, if that is not `URL`"},
			&cli.StringFlag{Name: "push-socket", Usage: "where devices of the Push Socket Protocol connect, if that is not `URL`"},
			&cli.BoolFlag{Name: "events", Usage: "clients use Server-Sent Events: that /events is not handed on is a fault"},
			&cli.StringFlag{Name: "senders", Usage: "the `URL` of senders, in place of SERVER_PORT of this machine"},
			&cli.StringFlag{Name: "pusher-api", Usage: "the `URL` of Pusher's API, in place of PUSHER_PORT of this machine"},
			&cli.StringFlag{Name: "socktopus-api", Usage: "the `URL` of Socktopus' API, in place of SOCKTOPUS_PORT of this machine"},
			&cli.StringFlag{Name: "admin", Usage: "the `URL` of operators, in place of ADMIN_PORT of this machine"},
			&cli.StringFlag{Name: "app", Usage: "the id of the Pusher app, or the name of the application of Socktopus, where there are several"},
			&cli.DurationFlag{Name: "patience", Value: doctor.Patience, Usage: "the longest that a connection is left idle"},
			&cli.StringFlag{Name: "origin", Usage: "that of a page which may connect, such as https://www.example.com"},
			&cli.StringFlag{Name: "ca", Usage: "a `FILE` with authorities to believe, in PEM, beside those of the system"},
			&cli.StringFlag{Name: "source", Usage: "the `ADDRESS` of this machine to connect from"},
			&cli.StringFlag{Name: "proxy", Usage: "print the lines for one alone: nginx, haproxy, caddy or apache"},
			jsonFlag(),
		},
		Action: untilSignal(l.doctor),
	}
}

// An examination is what the doctor command puts together.
type examination struct {
	line  *line
	c     *cli.Command
	at    *url.URL // the argument
	cfg   *server.Config
	why   error // there are no settings
	roots *x509.CertPool
	base  doctor.Config // of all sites
}

func (l *line) doctor(ctx context.Context, c *cli.Command) error {
	e, err := l.newExamination(c)
	if err != nil {
		return err
	}
	sites, err := e.sites()
	if err != nil {
		return err
	}
	p := progressOn(l.Stderr)
	var doing sync.Mutex
	now := "beginning"
	stop := p.tick(ctx, func(since time.Duration) string {
		doing.Lock()
		defer doing.Unlock()
		return since.Round(time.Second).String() + " " + now
	})
	defer stop()
	reports := make([]doctor.Report, len(sites))
	var all sync.WaitGroup
	for i, site := range sites {
		site.Progress = func(what string) {
			doing.Lock()
			defer doing.Unlock()
			now = what
		}
		all.Go(func() { reports[i] = doctor.Examine(ctx, site) }) // ends with ctx, or by itself
	}
	all.Wait()
	stop()
	if ctx.Err() != nil {
		return l.fail(Failed, "interrupted")
	}
	return l.reported(c, reports)
}

// reported prints reports, and ends with the code that they ask for.
func (l *line) reported(c *cli.Command, reports []doctor.Report) error {
	code := OK
	for _, r := range reports {
		var err error
		if c.Bool("json") {
			err = l.json(r)
		} else {
			err = l.print(reportText(r, c.String("proxy"), styleOf(l.Stdout)))
		}
		if err != nil {
			return err
		}
		switch {
		case r.Unreachable:
			code = unreachable
		case len(r.Faults) > 0 && code == OK:
			code = Failed
		}
	}
	if code != OK {
		return ending(code)
	}
	return nil
}

// newExamination reads what the arguments say.
func (l *line) newExamination(c *cli.Command) (*examination, error) {
	if err := l.arguments(c, 1, 1); err != nil {
		return nil, err
	}
	at, err := l.address(c, "the URL", c.Args().First())
	if err != nil {
		return nil, err
	}
	if proxy := c.String("proxy"); proxy != "" && !slices.Contains(doctor.Proxies, proxy) {
		return nil, l.misused(c, "--proxy is none of nginx, haproxy, caddy, apache")
	}
	const longest = time.Hour
	if p := c.Duration("patience"); p < time.Second || p > longest {
		return nil, l.misused(c, "want a --patience from 1s to 1h")
	}
	e := &examination{line: l, c: c, at: at}
	e.base = doctor.Config{URL: at, Agent: agent, Patience: c.Duration("patience"), Origin: c.String("origin")}
	if text := c.String("source"); text != "" {
		if e.base.Source, err = netip.ParseAddr(text); err != nil {
			return nil, l.misused(c, "--source is no address such as 192.0.2.1")
		}
	}
	if file := c.String("ca"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, l.fail(Failed, "--ca: %v", err)
		}
		if e.roots, err = x509.SystemCertPool(); err != nil {
			e.roots = x509.NewCertPool()
		}
		if !e.roots.AppendCertsFromPEM(text) {
			return nil, l.fail(Failed, "--ca: %s has no certificates in PEM", file)
		}
		e.base.Roots = e.roots
	}
	e.cfg, e.why = server.Load()
	return e, nil
}

// sites are what is examined: the URL, and the addresses of other dialects that flags name.
func (e *examination) sites() ([]doctor.Config, error) {
	first := e.base
	first.SocketIO, first.Events, first.EventsMeant = true, true, e.c.Bool("events")
	if e.cfg == nil {
		first.Blind = []doctor.NotLooked{{What: "events, and addresses of clients", Why: "there are no settings here: " + e.why.Error()}}
		return []doctor.Config{first}, nil
	}
	list, err := e.others()
	if err != nil {
		return nil, err
	}
	first.Events = e.isOpen("CLIENT_PORT")
	first.SocketIO = e.isOpen("CLIENT_PORT") || e.isOpen("PUSH_SOCKET_PORT") || e.isOpen("ECHO_PORT")
	first.Blind = e.inVain(first.SocketIO)
	if first.SocketIO {
		if err := e.socketIO(&first); err != nil {
			return nil, err
		}
	}
	push, err := e.pushSockets(&first)
	if err != nil {
		return nil, err
	}
	pages, err := e.laravelEchoes(&first)
	if err != nil {
		return nil, err
	}
	e.emitters(&first)
	all := slices.Concat([]doctor.Config{first}, push, pages)
	for _, d := range list {
		if d.at == nil {
			d.canary.Guessed = first.SocketIO || len(all[0].Canaries) > 0
			d.canary.At = func() *url.URL { return d.address(*e.at) }
			all[0].Canaries = append(all[0].Canaries, d.canary)
			continue
		}
		site := e.base
		site.URL, site.Upstream = d.at, d.upstream
		d.canary.At = func() *url.URL { return d.address(*d.at) }
		site.Canaries = []doctor.Canary{d.canary}
		all = append(all, site)
	}
	if !first.SocketIO {
		if len(all[0].Canaries) == 0 {
			return nil, e.line.fail(Failed, "the settings have no dialect that the doctor speaks")
		}
		all[0].Upstream = cmp.Or(all[0].Upstream, list[0].upstream)
	}
	return all, nil
}

// pushSockets has a device of the Push Socket Protocol tried at the URL, where there is no
// other socket.io, or at the address of its flag, which is looked at as the URL is.
func (e *examination) pushSockets(first *doctor.Config) ([]doctor.Config, error) {
	at, err := e.clients("push-socket")
	switch {
	case err != nil || !e.isOpen("PUSH_SOCKET_PORT"):
		return nil, err
	case at == nil && !e.isOpen("CLIENT_PORT"):
		first.Canaries = append(first.Canaries, e.pushSocket(e.at))
		return nil, nil
	case at == nil:
		first.Blind = append(first.Blind, doctor.NotLooked{What: "an event of the Push Socket Protocol", Why: "it has a port of its own: say --push-socket"})
		return nil, nil
	}
	site := e.base
	site.URL, site.Upstream, site.SocketIO = at, e.near("PUSH_SOCKET_PORT"), true
	if err := e.operators(&site); err != nil {
		return nil, err
	}
	e.trusts(&site)
	site.Canaries = []doctor.Canary{e.pushSocket(at)}
	return []doctor.Config{site}, nil
}

// inVain says which flags ask for what the settings have no port for: nobody would look at it.
func (e *examination) inVain(socketIO bool) (blind []doctor.NotLooked) {
	for _, of := range []struct {
		what, port string
		open       bool
		flags      []string
	}{
		{"Server-Sent Events", "CLIENT_PORT", e.isOpen("CLIENT_PORT"), []string{"events"}},
		{"an event of socket.io", "CLIENT_PORT", socketIO, []string{"senders"}},
		{"addresses of clients (X-Forwarded-For)", "CLIENT_PORT", socketIO, []string{"admin"}},
		{"an event of Pusher", "PUSHER_PORT", e.isOpen("PUSHER_PORT"), []string{"pusher", "pusher-api"}},
		{"an event of Socktopus", "SOCKTOPUS_PORT", e.isOpen("SOCKTOPUS_PORT"), []string{"socktopus", "socktopus-api"}},
		{"an event of Laravel Echo", "ECHO_PORT", e.isOpen("ECHO_PORT"), []string{"laravel-echo"}},
		{"an event of the Push Socket Protocol", "PUSH_SOCKET_PORT", e.isOpen("PUSH_SOCKET_PORT"), []string{"push-socket"}},
		{"an event of an app", "PUSHER_PORT or SOCKTOPUS_PORT", e.isOpen("PUSHER_PORT") || e.isOpen("SOCKTOPUS_PORT"), []string{"app"}},
	} {
		i := slices.IndexFunc(of.flags, func(flag string) bool { return e.c.IsSet(flag) && e.c.Value(flag) != false })
		if i >= 0 && !of.open {
			blind = append(blind, doctor.NotLooked{What: of.what, Why: "--" + of.flags[i] + " is for a server with " + of.port + ": these settings open no such port"})
		}
	}
	return blind
}

// isOpen reports whether a server of the settings opens a port.
func (e *examination) isOpen(port string) bool { return e.cfg.Opens(port) }

// near is where a proxy on the server's machine reaches a port; empty if nobody knows.
func (e *examination) near(port string) string {
	at, err := e.cfg.Near(port)
	if err != nil {
		return ""
	}
	return at
}

// client asks the address of a flag, or this machine.
func (e *examination) client(flag string) *http.Client {
	client := clientFor(e.c.String(flag) != "")
	if transport, ok := client.Transport.(*http.Transport); ok && transport.TLSClientConfig == nil && e.roots != nil {
		transport.TLSClientConfig = trusting(e.roots)
	}
	return client
}
