package commandline

import (
	"context"
	"strings"

	"github.com/urfave/cli/v3"

	"poosh/server/migration"
)

func (l *line) importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "make settings of another server's configuration", ArgsUsage: "FILE",
		Description: `Reads the configuration of soketi, Sockudo, Laravel Reverb, laravel-websockets,
laravel-echo-server or the Node server Poosh from FILE, or from standard input for -, and
prints a .env and a file of apps that say the same, and to standard error what became of
every key. No secret is in that report. Nothing of the file is run.

Exit codes: 0 all of it has a counterpart, 1 the file cannot be read or nothing can be
written, 2 misused, 3 something needs a look: the report begins with it.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "whose configuration it is, one of " + strings.Join(migration.Sources(), ", ") + "; told by the file where that can be", DefaultText: "told by the file"},
			&cli.StringFlag{Name: "env", Usage: "the `FILE` with the variables that the server had beside its configuration, as a .env"},
			&cli.StringFlag{Name: "out", Usage: "the `DIRECTORY` to write .env and apps.json to, in place of printing them"},
			&cli.BoolFlag{Name: "force", Usage: "replace files that are there"},
			&cli.BoolFlag{Name: "json", Usage: "print the report alone, as JSON, for programs"},
		},
		Commands: []*cli.Command{l.importStoreCommand()},
		Action:   l.importFile,
	}
}

func (l *line) importFile(_ context.Context, c *cli.Command) error {
	if err := l.arguments(c, 1, 1); err != nil {
		return err
	}
	if c.Bool("force") && c.String("out") == "" {
		return l.misused(c, "--force is for --out")
	}
	o := migration.Options{From: c.String("from"), Env: c.String("env"), Out: c.String("out"), Force: c.Bool("force"), JSON: c.Bool("json")}
	if code := migration.Run(c.Args().First(), o, l.Stdin, l.Stdout, l.Stderr); code != migration.Mapped {
		return ending(code) // the report says why
	}
	return nil
}
