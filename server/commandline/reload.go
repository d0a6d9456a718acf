package commandline

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/urfave/cli/v3"

	"poosh/server"
)

func (l *line) reloadCommand() *cli.Command {
	return &cli.Command{
		Name: "reload", Usage: "have a server read its settings again",
		Description: `Asks the operators' port (ADMIN_PORT, with ADMIN_TOKEN) to read .env and the files that
settings name again, as SIGHUP does: what can change while the server runs does, and what needs
a restart is named and stays as it was. With a mistake in them nothing changes, and all
mistakes are named. A new ADMIN_TOKEN counts when it has been read: until then ask with the one
before, as in ADMIN_TOKEN=before poosh reload.

Exit codes: 0 reloaded, 1 nothing has changed because of mistakes, 2 misused, 3 refused,
4 no answer, 5 reloaded, and something needs a restart. With --dry-run the same, of what would be.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "change nothing, and say what would be"},
			urlFlag("ADMIN_PORT", "http://127.0.0.1:9000"), jsonFlag(),
		},
		Action: untilSignal(l.reload),
	}
}

func (l *line) reload(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 0); err != nil {
		return err
	}
	cfg, err := server.Load()
	switch {
	case err != nil && c.Bool("json"): // as the server would say
		if err := l.json(server.Mistaken(err, c.Bool("dry-run"))); err != nil {
			return err
		}
		return ending(Failed)
	case err != nil:
		return l.fail(Failed, "%v", err)
	}
	o, err := l.operatorBy(c, cfg)
	if err != nil {
		return err
	}
	query := make(url.Values)
	if c.Bool("dry-run") {
		query.Set("dry-run", "1")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := o.request(ctx, http.MethodPost, "/api/reload", query)
	if err != nil {
		return err
	}
	status, _, body, err := l.ask(o.client, req)
	if err != nil {
		return err
	}
	if status != http.StatusOK && status != http.StatusUnprocessableEntity {
		return o.refused(status, body)
	}
	var done server.Reloaded
	if err := json.Unmarshal(body, &done); err != nil {
		return l.fail(Failed, "%s answers what is not understood: %v", o.at.Host, err)
	}
	if c.Bool("json") {
		err = l.json(done)
	} else {
		err = l.print(reloadedText(&done, styleOf(l.Stdout)))
	}
	switch {
	case err != nil:
		return err
	case len(done.Errors) > 0:
		return ending(Failed) // which are printed above
	case len(done.Restart) > 0:
		return ending(unfinished)
	}
	return nil
}

// reloadedText is what came of a reload, for a person.
func reloadedText(done *server.Reloaded, s style) string {
	var b strings.Builder
	list := func(mark string, of []server.Finding) {
		for _, f := range of {
			fmt.Fprintf(&b, "%s  %s\n", mark, printable(f.Text))
		}
	}
	list(s.red("error  "), done.Errors)
	list(s.green("changed"), done.Changed)
	list(s.yellow("restart"), done.Restart)
	list(s.yellow("warning"), done.Warnings)
	switch {
	case len(done.Errors) > 0:
		b.WriteString("nothing has changed")
	case done.DryRun:
		fmt.Fprintf(&b, "%s would change; nothing has, since this is a dry run", many(len(done.Changed), "setting"))
	default:
		fmt.Fprintf(&b, "%s changed", many(len(done.Changed), "setting"))
	}
	return b.String()
}
