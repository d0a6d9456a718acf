package commandline

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/urfave/cli/v3"

	"poosh/server/fleet"
)

func (l *line) kickCommand() *cli.Command {
	return &cli.Command{
		Name: "kick", Usage: "close a connection, or all of a room or an address", ArgsUsage: "ID | --room ROOM | --address ADDRESS",
		Description: `Asks the operators' port (ADMIN_PORT) to close connections, with what each dialect has for
it: clients of socket.io, Push Socket and Pusher are told to stay away, and those of Socktopus
may join again. They count as kicked. In a cluster they are closed on all nodes, each of which has
a line, and one that does not answer is named.

Exit codes: 0 closed, 1 failed, or a node did not answer, 2 misused, 3 refused, 4 no answer,
5 nobody was there.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "room", Usage: "all that are in this room or channel"},
			&cli.StringFlag{Name: "address", Usage: "all from this address, or from a network such as 2001:db8::/64"},
			&cli.StringFlag{Name: "dialect", Usage: "of these only those of one: socket.io, pusher, socktopus, echo or push socket"},
			&cli.StringFlag{Name: "app", Usage: "of these only those of one app"},
			nodeFlag("of these only those of one node"),
			urlFlag("ADMIN_PORT", "http://127.0.0.1:9000"), jsonFlag(),
		},
		Action: untilSignal(l.kick),
	}
}

func (l *line) kick(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 1); err != nil {
		return err
	}
	query, wanted := make(url.Values), 0
	if c.Args().Present() {
		query.Set("id", c.Args().First())
		wanted++
	}
	for _, name := range []string{"room", "address"} {
		if c.IsSet(name) {
			query.Set(name, c.String(name))
			wanted++
		}
	}
	if wanted != 1 {
		return l.misused(c, "want one of these: %s", c.ArgsUsage)
	}
	for _, name := range []string{"dialect", "app", "node"} {
		if c.IsSet(name) {
			query.Set(name, c.String(name))
		}
	}
	o, err := l.operator(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := o.request(ctx, http.MethodPost, "/api/kick", query)
	if err != nil {
		return err
	}
	status, _, body, err := l.ask(o.client, req)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return o.refused(status, body)
	}
	var done fleet.Kicked
	if err := json.Unmarshal(body, &done); err != nil {
		return l.fail(Failed, "%s answers what is not understood: %v", o.at.Host, err)
	}
	if c.Bool("json") {
		err = l.json(done)
	} else if done.Kicked > 0 || len(done.Nodes) > 0 {
		err = l.print(kickedText(&done))
	}
	silent := false
	for _, n := range done.Nodes {
		if n.Error != "" {
			silent = true
			l.complain("node %s %s", n.Node, n.Error)
		}
	}
	switch {
	case err != nil:
	case silent:
		return ending(Failed)
	case done.Kicked == 0:
		return l.fail(nobody, "nobody was there")
	}
	return err
}

// kickedText is how many were closed, and of several nodes how many on each.
func kickedText(done *fleet.Kicked) string {
	text := fmt.Sprintf("%d closed", done.Kicked)
	for _, n := range done.Nodes {
		if n.Error == "" {
			text += fmt.Sprintf("\n  node %s: %d", printable(n.Node), n.Kicked)
		}
	}
	return text
}

// nodeFlag names a node of a cluster.
func nodeFlag(what string) cli.Flag {
	return &cli.StringFlag{Name: "node", Usage: "in a cluster " + what + ": its name or address, as status lists them, or this for the one that is asked"}
}
