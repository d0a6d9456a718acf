package commandline

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v3"
)

// A Version is what the program is, and what it was built with and for.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Commit  string `json:"commit,omitempty"` // empty where it is not known
	Changed bool   `json:"changed"`          // built from a tree that was not the commit's
}

// String is the version on one line.
func (v Version) String() string {
	commit := ""
	if v.Commit != "" {
		commit = ", commit " + v.Commit
	}
	if v.Changed {
		commit += " with changes"
	}
	return fmt.Sprintf("poosh %s (%s, %s/%s%s)", v.Version, v.Go, v.OS, v.Arch, commit)
}

func (l *line) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version",
		Description: "Exit codes: 0 printed, 2 misused.",
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(_ context.Context, c *cli.Command) error {
			if err := l.arguments(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("json") {
				return l.json(l.Version)
			}
			return l.print(l.Version.String())
		},
	}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, for programs"}
}

// json prints a value on one line.
func (l *line) json(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return l.fail(Failed, "%v", err)
	}
	return l.print(printableJSON(text))
}

// print writes a line to standard output.
func (l *line) print(text string) error {
	if _, err := fmt.Fprintln(l.Stdout, text); err != nil {
		return l.fail(Failed, "%v", err)
	}
	return nil
}
