package commandline

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"poosh/server"
)

func (l *line) checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "look for everything that is wrong with the settings",
		Description: `Reads the environment and .env as serve does, and says of everything at once what is wrong
and what to do: an error is what serve would not start with, a warning what it logs and
starts with all the same. Ports must be free, so the server must not run meanwhile, or
say --running.

Exit codes: 0 no errors, 1 errors, or warnings with --strict, 2 misused.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "running", Usage: "do not look whether ports are free: the server runs"},
			&cli.BoolFlag{Name: "strict", Usage: "exit with 1 for warnings too"},
			jsonFlag(),
		},
		Action: l.check,
	}
}

func (l *line) check(_ context.Context, c *cli.Command) error {
	if err := l.arguments(c, 0, 0); err != nil {
		return err
	}
	found := server.Check(server.DotEnv, os.LookupEnv, os.Environ(), !c.Bool("running"))
	var err error
	if c.Bool("json") {
		err = l.json(found)
	} else {
		err = l.print(findingsText(found, styleOf(l.Stdout)))
	}
	if err == nil && (len(found.Errors) > 0 || c.Bool("strict") && len(found.Warnings) > 0) {
		return ending(Failed) // what is wrong is printed above
	}
	return err
}

// findingsText is what was found, for a person.
func findingsText(found server.Findings, s style) string {
	var b strings.Builder
	for _, f := range found.Errors {
		fmt.Fprintf(&b, "%s    %s\n", s.red("error"), printable(f.Text))
	}
	for _, f := range found.Warnings {
		fmt.Fprintf(&b, "%s  %s\n", s.yellow("warning"), printable(f.Text))
	}
	if b.Len() == 0 {
		return s.green("good") + ": nothing is wrong with these settings"
	}
	fmt.Fprintf(&b, "%s, %s", many(len(found.Errors), "error"), many(len(found.Warnings), "warning"))
	return b.String()
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
