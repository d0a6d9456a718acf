package commandline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"poosh/server/health"
)

func (l *line) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "print how a server is doing",
		Description: `Asks the operators' port (ADMIN_PORT) whether the server is ready, and for its numbers.

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

// A state is how a server is doing.
type state struct {
	readiness
	Version     string  `json:"version"`
	Draining    bool    `json:"draining"`
	Connections limited `json:"connections"`
	Senders     limited `json:"sender_connections"`
	OpenFiles   limited `json:"open_files"`

	Clients []ofApp `json:"clients"` // by app
	Ended   []ended `json:"ended"`   // why clients left, the most frequent reason first

	Published float64 `json:"published"`
	Delivered float64 `json:"delivered"`
	Refused   float64 `json:"refused"`
	HeldBack  float64 `json:"held_back"`

	Outbox  float64 `json:"outbox_bytes"`
	Stuck   float64 `json:"stuck_bytes"`
	Backlog float64 `json:"backlog_limit_bytes"`
}

// A limited number is one that has a bound.
type limited struct {
	Now   float64 `json:"now"`
	Limit float64 `json:"limit"`
}

type ofApp struct {
	App       string  `json:"app"`
	Port      string  `json:"port"`
	Connected float64 `json:"connected"`
}

type ended struct {
	Dialect string  `json:"dialect"`
	Reason  string  `json:"reason"`
	Count   float64 `json:"count"`
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
	code, body, err = o.get(ctx, "/metrics")
	switch {
	case err != nil:
		return nil, err
	case code != http.StatusOK:
		return nil, o.refused(code, body)
	}
	st.read(body)
	return st, nil
}

// good reports whether what is sent arrives.
func (st *state) good() bool { return st.Status == health.OK || st.Status == health.Degraded }

// read takes what is wanted out of what Prometheus is told.
func (st *state) read(text []byte) {
	st.Clients, st.Ended = []ofApp{}, []ended{}
	numbers := map[string]*float64{
		"publications_total": &st.Published, "deliveries_total": &st.Delivered, "deliveries_refused_total": &st.Refused,
		"publications_held_back_total": &st.HeldBack, "outbox_bytes": &st.Outbox, "stuck_bytes": &st.Stuck, "backlog_limit_bytes": &st.Backlog,
		"open_files": &st.OpenFiles.Now, "open_files_limit": &st.OpenFiles.Limit,
	}
	for row := range bytes.Lines(text) {
		name, labels, value, ok := sample(string(bytes.TrimSpace(row)))
		if !ok {
			continue
		}
		if at := numbers[name]; at != nil {
			*at = value
			continue
		}
		connections := &st.Connections
		if labels["of"] == "sender" {
			connections = &st.Senders
		}
		switch name {
		case "connections":
			connections.Now = value
		case "connections_limit":
			connections.Limit = value
		case "build_info":
			st.Version = labels["version"]
		case "draining":
			st.Draining = value != 0
		case "connected":
			st.Clients = append(st.Clients, ofApp{labels["app_id"], labels["port"], value})
		case "closed_total":
			if value > 0 {
				st.Ended = append(st.Ended, ended{labels["dialect"], labels["reason"], value})
			}
		}
	}
	slices.SortStableFunc(st.Ended, func(a, b ended) int { return int(b.Count - a.Count) })
}

// sample reads a line of the text format of Prometheus, one of our own metrics, whose
// name is without its prefix then.
func sample(row string) (name string, labels map[string]string, value float64, ok bool) {
	row, ok = strings.CutPrefix(row, "poosh_")
	if !ok {
		return "", nil, 0, false
	}
	name, rest, hasLabels := strings.Cut(row, "{")
	if !hasLabels {
		name, rest, _ = strings.Cut(row, " ")
		rest = "} " + rest
	}
	labels = make(map[string]string)
	for !strings.HasPrefix(rest, "}") {
		key, more, found := strings.Cut(strings.TrimPrefix(rest, ","), `="`)
		if !found {
			return "", nil, 0, false
		}
		text, after, found := quoted(more)
		if !found {
			return "", nil, 0, false
		}
		labels[key], rest = text, after
	}
	_, err := fmt.Sscan(rest[1:], &value)
	return name, labels, value, err == nil
}

// quoted reads a label's value up to its closing quote.
func quoted(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return b.String(), text[i+1:], true
		case text[i] == '\\' && i+1 < len(text):
			i++
			b.WriteString(map[byte]string{'n': "\n", '"': `"`, '\\': `\`}[text[i]])
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}

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
	row("clients", "%.0f connections of %.0f", st.Connections.Now, st.Connections.Limit)
	for _, a := range st.Clients {
		row("", "%s on port %s: %.0f connected", printable(a.App), printable(a.Port), a.Connected)
	}
	row("senders", "%.0f connections of %.0f", st.Senders.Now, st.Senders.Limit)
	row("events", "%.0f published, %.0f delivered, %.0f refused by their clients' outboxes, %.0f held back", st.Published, st.Delivered, st.Refused, st.HeldBack)
	row("waiting", "%.0f bytes, %.0f of them for clients that take nothing; at most %.0f of each", st.Outbox, st.Stuck, st.Backlog)
	row("open files", "%.0f of %.0f", st.OpenFiles.Now, st.OpenFiles.Limit)
	for i, e := range st.Ended {
		name := "left"
		if i > 0 {
			name = ""
		}
		row(name, "%.0f of %s: %s", e.Count, printable(e.Dialect), printable(e.Reason))
	}
	return strings.TrimSuffix(b.String(), "\n")
}
