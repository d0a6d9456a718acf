package commandline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/urfave/cli/v3"

	"poosh/server/overview"
)

func (l *line) drainCommand() *cli.Command {
	return &cli.Command{
		Name: "drain", Usage: "end a server in order, clients first or last as its settings say",
		Description: `Asks the operators' port (ADMIN_PORT, with ADMIN_TOKEN) for the end, as SIGTERM does, and on
a terminal, or with --wait, says how many connections are left until the port has closed with
the last of the server. Ending the command does not stop that. With --node another node of the
cluster ends, and none but that: whatever node is asked, it is waited for until it has left the cluster.

Exit codes: 0 the server ends, with --wait has ended; 1 failed, 2 misused, 3 refused,
4 no answer, 5 it has not ended in its time.`,
		Flags: []cli.Flag{
			nodeFlag("the node that ends"),
			&cli.BoolFlag{Name: "wait", Usage: "return when the server has ended"},
			urlFlag("ADMIN_PORT", "http://127.0.0.1:9000"), jsonFlag(),
		},
		Action: untilSignal(l.drain),
	}
}

// A drained is what --json prints: what the server has answered, and, with --wait, how it
// went.
type drained struct {
	Status string  `json:"status"`         // draining or ended
	Node   string  `json:"node,omitempty"` // in a cluster
	Delay  float64 `json:"delay_seconds"`
	Over   float64 `json:"over_seconds"`
	Within float64 `json:"within_seconds"`
	Open   int     `json:"connections"` // of clients, when the end was asked for
	Took   float64 `json:"took_seconds,omitempty"`
}

func (l *line) drain(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 0); err != nil {
		return err
	}
	o, err := l.operator(c)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	query := make(url.Values)
	if c.IsSet("node") {
		query.Set("node", c.String("node"))
	}
	req, err := o.request(asking, http.MethodPost, "/api/drain", query)
	if err != nil {
		return err
	}
	began := time.Now()
	status, _, body, err := l.ask(o.client, req)
	if err != nil {
		return err
	}
	if status != http.StatusAccepted {
		return o.refused(status, body)
	}
	var d drained
	if err := json.Unmarshal(body, &d); err != nil {
		return l.fail(Failed, "%s answers what is not understood: %v", o.at.Host, err)
	}
	if !c.Bool("wait") && (c.Bool("json") || !isTerminal(l.Stdout)) {
		if c.Bool("json") {
			return l.json(d)
		}
		who := "it"
		if c.IsSet("node") {
			who = "node " + printable(d.Node)
		}
		return l.print(fmt.Sprintf("%s ends within %s", who, seconds(d.Within)))
	}
	left := o.left
	if c.IsSet("node") {
		left = o.leftAt(d.Node)
	}
	if err := l.untilEnded(ctx, o, left, &d, began); err != nil {
		return err
	}
	d.Status, d.Took = "ended", time.Since(began).Seconds()
	if c.Bool("json") {
		return l.json(d)
	}
	return l.print(fmt.Sprintf("ended after %s", seconds(d.Took)))
}

const (
	lookEvery = 500 * time.Millisecond
	// lateEnd is what a server may take beyond its time: files are closed, the log leaves.
	lateEnd = 10 * time.Second
)

// untilEnded waits until there is no server any more, and says meanwhile who is left; leftAt says both.
func (l *line) untilEnded(ctx context.Context, o *operator, leftAt func(context.Context) (int, error), d *drained, began time.Time) error {
	p := progressOn(l.Stderr)
	defer p.done()
	limit := began.Add(time.Duration(d.Within*float64(time.Second)) + lateEnd)
	say := func(left int) {
		p.say("%s left, after %s of %s", many(left, "connection"), seconds(time.Since(began).Seconds()), seconds(d.Within))
	}
	say(d.Open)
	for {
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
		}
		left, err := leftAt(ctx)
		switch {
		case ctx.Err() != nil:
			return l.fail(Failed, "nobody waits any more; the server ends all the same")
		case errors.Is(err, errEnded):
			return nil
		case time.Now().After(limit) && err != nil:
			return l.fail(unfinished, "%s has not ended in its %s, and does not say who is left: %v", o.at.Host, seconds(d.Within), err)
		case time.Now().After(limit):
			return l.fail(unfinished, "%s has not ended in its %s", o.at.Host, seconds(d.Within))
		case err == nil:
			say(left)
		}
	}
}

func seconds(n float64) string { return (time.Duration(n*10) * time.Second / 10).String() }

var (
	// errEnded says that nobody answers any more.
	errEnded = errors.New("the server has ended")
	// errEarlier says that nothing newer is known than what was before the end was asked for.
	errEarlier = errors.New("what it tells is from before the end began")
)

// left is how many clients are connected; an error if that is not told, or not yet: the server
// knows it from its last second.
func (o *operator) left(ctx context.Context) (int, error) {
	is, err := o.now(ctx)
	switch {
	case err != nil:
		return 0, err
	case !is.Draining:
		return 0, errEarlier
	}
	return is.Connections.Clients.Open, nil
}

// leftAt is left of a node that another one knows of. It has ended when that knows of it no more, or
// when it was asked itself and takes nobody any more.
func (o *operator) leftAt(node string) func(context.Context) (int, error) {
	itself := false
	return func(ctx context.Context) (int, error) {
		is, err := o.now(ctx)
		switch {
		case errors.Is(err, errEnded) && !itself:
			return 0, errors.New("the node that is asked has ended")
		case err != nil:
			return 0, err
		case is.Cluster == nil || !is.Cluster.Engine:
			return 0, errors.New("it does not know who is there: Redis is away")
		}
		itself = is.Cluster.Node == node
		if itself {
			return o.left(ctx)
		}
		for _, n := range is.Cluster.Nodes {
			if n.Name != node {
				continue
			}
			if !n.Draining || n.Load == nil {
				return 0, errEarlier
			}
			return n.Load.Connections, nil
		}
		return 0, errEnded
	}
}

// now is the overview of the last second.
func (o *operator) now(ctx context.Context) (*overview.Overview, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := o.request(ctx, http.MethodGet, "/api/overview", nil)
	if err != nil {
		return nil, err
	}
	res, err := o.client.Do(req)
	if err != nil {
		if of := (*net.OpError)(nil); errors.Is(err, io.EOF) || errors.As(err, &of) && !of.Timeout() { // refused, or cut
			return nil, errEnded
		}
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status)
	}
	var is overview.Overview
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&is); err != nil {
		return nil, err
	}
	return &is, nil
}
