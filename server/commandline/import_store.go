package commandline

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"poosh/server"
	"poosh/server/pushsocket/store"
)

func (l *line) importStoreCommand() *cli.Command {
	return &cli.Command{
		Name: "push-socket", Usage: "copy the Push Socket Protocol's database file into PostgreSQL", ArgsUsage: "FILE",
		Description: `Copies all that the SQLite database FILE keeps into an empty PostgreSQL database, in one
transaction, and compares the counts before it commits: identities, devices, keys,
messages that wait and contacts. Devices notice nothing. End the server first, and start
it with the new PUSH_SOCKET_DB then; FILE is only read.

Exit codes: 0 all of it is copied, 1 nothing is, and standard error says why, 2 misused.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "to", Usage: "the `URI` of the database, postgres://USER:PASSWORD@HOST/DATABASE; others on the machine see it in the list of processes, PUSH_SOCKET_DB they do not", DefaultText: "PUSH_SOCKET_DB"},
			jsonFlag(),
		},
		Action: l.importStore,
	}
}

func (l *line) importStore(ctx context.Context, c *cli.Command) error {
	if err := l.arguments(c, 1, 1); err != nil {
		return err
	}
	to, from := c.String("to"), "--to"
	if to == "" {
		lookup, err := server.WithDotEnv(server.DotEnv, os.LookupEnv)
		if err != nil {
			return l.fail(Failed, "%v", err)
		}
		to, _ = lookup("PUSH_SOCKET_DB")
		from = "PUSH_SOCKET_DB"
	}
	if !store.IsPostgres(to) || store.Check(to) != nil {
		return l.misused(c, "%s is no address of a PostgreSQL database: want postgres://USER:PASSWORD@HOST/DATABASE", from)
	}
	done, err := store.CopyTo(ctx, c.Args().First(), to)
	switch {
	case errors.Is(err, context.Canceled):
		return l.fail(Failed, "ended before all was copied: nothing is")
	case err != nil:
		return l.fail(Failed, "%v", err)
	case c.Bool("json"):
		return l.json(done)
	}
	return l.print(fmt.Sprintf("copied to %s: %d identities, %d devices, %d prekeys, %d messages, %d contacts",
		store.Shown(to), done.Identities, done.Devices, done.Prekeys, done.Messages, done.Contacts))
}
