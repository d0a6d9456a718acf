package commandline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"poosh/server/health"
	"poosh/server/overview"
)

func (l *line) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "print how a server is doing",
		Description: `Asks the operators' port (ADMIN_PORT) whether the server is ready, and for its overview of
the last second. --json has what /api/overview does, with the status and the faults of /ready.

Exit codes: 0 it is ready, 1 it is not, or asking failed, 2 misused, 3 refused, 4 no answer.`,
		Flags:  []cli.Flag{urlFlag("ADMIN_PORT", "http://127.0.0.1:9000"), jsonFlag()},
		Action: untilSignal(l.status),
	}
}

// A readiness is what /ready says.
type readiness struct {
	Status string `json:"status"` // of package health
	Faults []struct {
		Part string `json:"part"`
		Why  string `json:"why"`
	} `json:"faults,omitempty"`
}

// A state is how a server is doing: the overview that it has of itself, and whether it is
// ready.
type state struct {
	readiness
	overview.Overview
}

func (l *line) status(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 0); err != nil {
		return err
	}
	o, err := l.operator(c)
	if err != nil {
		return err
	}
	st, err := o.state(ctx)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = l.json(st)
	} else {
		err = l.print(st.text(styleOf(l.Stdout)))
	}
	if err == nil && !st.good() {
		return ending(Failed) // which is printed above
	}
	return err
}

// state asks for all there is to print.
func (o *operator) state(ctx context.Context) (*state, error) {
	st := new(state)
	code, body, err := o.get(ctx, "/ready")
	switch {
	case err != nil:
		return nil, err
	case code != http.StatusOK && code != http.StatusServiceUnavailable:
		return nil, o.refused(code, body)
	}
	if err := json.Unmarshal(body, &st.readiness); err != nil || st.Status == "" {
		return nil, o.line.fail(Failed, "%s answers as no operators' port does: look whether --url or ADMIN_PORT is right", o.at.Host)
	}
	return st, o.overview(ctx, &st.Overview)
}

// A server has no overview yet in its first second: it is asked so often, after such a
// pause.
const (
	mostAsked  = 12
	nextAsking = time.Second / 4
)

// overview asks for the overview of this second.
func (o *operator) overview(ctx context.Context, to *overview.Overview) error {
	for asked := 1; ; asked++ {
		code, body, err := o.get(ctx, "/api/overview")
		switch {
		case err != nil:
			return err
		case code == http.StatusServiceUnavailable && asked < mostAsked:
			select {
			case <-time.After(nextAsking):
				continue
			case <-ctx.Done():
			}
			return o.refused(code, body)
		case code != http.StatusOK:
			return o.refused(code, body)
		}
		if err := json.Unmarshal(body, to); err != nil {
			return o.line.fail(Failed, "%s answers what is not understood: %v", o.at.Host, err)
		}
		return nil
	}
}

// good reports whether what is sent arrives.
func (st *state) good() bool { return st.Status == health.OK || st.Status == health.Degraded }

// text is the state for a person.
func (st *state) text(s style) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%s  %s\n", s.dim(fmt.Sprintf("%-12s", name)), fmt.Sprintf(format, args...))
	}
	switch {
	case st.Status == health.OK:
		row("ready", "%s", s.green("yes"))
	case st.good():
		row("ready", "%s", s.yellow("yes, but "+printable(st.Status)))
	default:
		row("ready", "%s", s.red("no"))
	}
	for _, f := range st.Faults {
		row("", "%s: %s", printable(f.Part), printable(f.Why))
	}
	if st.Draining {
		row("", "%s", s.yellow("it is shutting down"))
	}
	row("version", "%s", printable(st.Version))
	if c := st.Cluster; c != nil {
		away := ""
		if !c.Engine {
			away = s.red(", and cannot be reached")
		}
		row("nodes", "%s%s", many(len(c.Nodes), "node"), away)
		for _, n := range c.Nodes {
			more := ""
			if n.Name == c.Node {
				more = ", this one"
			}
			if n.Load != nil {
				more += fmt.Sprintf(", %s, %.2f processors, lag %.1f ms", many(n.Load.Connections, "connection"), n.Load.CPU, n.Load.Lag*1000)
			}
			if n.Draining {
				more += s.yellow(", shutting down")
			}
			at := ""
			if n.Addr != "" {
				at = " at " + printable(n.Addr)
			}
			row("", "%s%s: version %s, since %s%s", printable(n.Name), at, printable(n.Version), n.Started.UTC().Format(time.RFC3339), more)
		}
	}
	row("clients", "%s", sockets(st.Connections.Clients))
	for _, a := range st.Connections.Apps {
		old := ""
		if a.Previous > 0 {
			old = s.yellow(fmt.Sprintf(", the previous secret was used %s", many(int(a.Previous), "time")))
		}
		row("", "%s %s: %d connected%s", printable(a.Dialect), printable(a.App), a.Connected, old)
	}
	row("senders", "%s", sockets(st.Connections.Senders))
	row("events", "%d published, %d delivered, %d refused by their clients' outboxes, %d held back",
		st.Traffic.Sends.Total, st.Traffic.Deliveries.Total, st.Traffic.RefusedDeliveries.Total, st.heldBack())
	row("waiting", "%d bytes, %d of them for clients that take nothing; at most %d of each", st.Waiting.Outbox, st.Waiting.Stuck, st.Waiting.Limit)
	if open, limit := st.Process.OpenFiles, st.Process.FilesLimit; open != nil && limit != nil {
		row("open files", "%d of %d", *open, *limit)
	}
	most := slices.Clone(st.Closes)
	slices.SortStableFunc(most, func(a, b overview.Close) int { return cmp.Compare(b.Total, a.Total) })
	for i, e := range most {
		name := "left"
		if i > 0 {
			name = ""
		}
		row(name, "%d of %s: %s", e.Total, printable(e.Dialect), printable(e.Reason))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func sockets(s overview.Sockets) string { return fmt.Sprintf("%d connections of %d", s.Open, s.Limit) }

// heldBack is how many sends were told to come later.
func (st *state) heldBack() (n uint64) {
	for _, r := range st.Refusals {
		if r.Of == "sends" && r.Reason == "held back" {
			n += r.Total
		}
	}
	return n
}
