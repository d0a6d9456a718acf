// Package commandline is the program's command line: the tree of commands, what their
// arguments mean, and what each prints. Everything but serving is a client of a server
// that runs: it reads the same settings and speaks with one as senders, clients and
// operators do. It must not know how anything is served.
//
// Nothing starts a goroutine that outlives its command, and a command ends with its
// context: [Run] ends that at the first SIGINT or SIGTERM, but for who serves, who has
// signals of its own.
//
// # What is printed
//
// What was asked for goes to standard output, everything else to standard error. Neither
// ever shows a secret. What strangers wrote, such as a room or a payload, is made
// harmless to a terminal before; see [printable].
package commandline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"poosh/server"
	"poosh/server/dialect"
)

// The exit codes that all commands share. Those of one command stand where it does.
const (
	OK      = 0
	Failed  = 1 // it did not work; standard error says why
	Misused = 2 // arguments that are not understood

	refused     = 3 // the server said no: a wrong secret or token
	unreachable = 4 // there is no answer from where the server should be
	nobody      = 5 // it worked, and came to nobody, or nothing came
	unfinished  = 5 // it worked, and something is left to do
)

// A Program is what the command line is for.
type Program struct {
	Version Version
	// Serve serves until a signal asks for the end, logs to stderr, and returns the exit
	// code.
	Serve func(stderr io.Writer) int

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Run does what the arguments ask for, those behind the program's name, and returns the
// exit code.
func Run(args []string, p Program) int {
	if len(args) == 1 {
		switch args[0] { // as they were before there were commands
		case "--version", "-version":
			args = []string{"version"}
		case "-help":
			args = []string{"help"}
		}
	}
	l := &line{Program: p, args: args}
	err := l.root().Run(context.Background(), append([]string{name}, args...))
	var ended ending
	switch {
	case err == nil:
		return OK
	case errors.As(err, &ended):
		return int(ended)
	}
	l.complain("%v", err)
	return Misused
}

// name is what the program is called.
const name = "poosh"

// An ending is an exit code other than 0, of who has said why.
type ending int

func (e ending) Error() string { return fmt.Sprint("exit code ", int(e)) }

// A line is one command line that is carried out.
type line struct {
	Program
	args []string
}

// Complain writes each line of err behind the program's name, and returns the exit code
// that goes with it.
func Complain(stderr io.Writer, err error) int {
	for text := range strings.Lines(err.Error()) {
		fmt.Fprintln(stderr, name+":", strings.TrimSuffix(text, "\n"))
	}
	return Failed
}

// complain says on standard error what is wrong, each line behind the program's name.
func (l *line) complain(format string, args ...any) {
	for text := range strings.Lines(fmt.Sprintf(format, args...)) {
		fmt.Fprintln(l.Stderr, name+":", printable(strings.TrimSuffix(text, "\n")))
	}
}

// fail complains, and ends the command with a code.
func (l *line) fail(code int, format string, args ...any) error {
	l.complain(format, args...)
	return ending(code)
}

// misused says that arguments are not understood, and where it stands how they would be.
func (l *line) misused(c *cli.Command, format string, args ...any) error {
	return l.fail(Misused, "%s; see %s --help", fmt.Sprintf(format, args...), c.FullName())
}

// root is the tree of commands.
func (l *line) root() *cli.Command {
	root := &cli.Command{
		Name:                          name,
		Usage:                         "take events over HTTP and push them to clients",
		CustomRootCommandHelpTemplate: "",
		HideVersion:                   true,
		Writer:                        l.Stdout,
		ErrWriter:                     l.Stderr,
		Reader:                        l.Stdin,
		EnableShellCompletion:         true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden = false
			c.Usage = "print a script that completes commands in bash, zsh, fish or pwsh"
			c.ArgsUsage = "SHELL"
			c.Description = "Exit codes: 0 printed, 2 misused."
			c.Action = l.misusedGroup("want one of bash, zsh, fish, pwsh")
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // Run does
		OnUsageError: func(context.Context, *cli.Command, error, bool) error {
			return l.notUnderstood()
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return l.notUnderstood()
			}
			return l.serve()
		},
		Commands: slices.Concat([]*cli.Command{
			l.serveCommand(), l.checkCommand(),
			l.sendCommand(), l.tokenCommand(), l.listenCommand(),
			l.tailCommand(), l.statusCommand(), l.kickCommand(), l.reloadCommand(), l.drainCommand(), l.bundleCommand(), l.benchCommand(), l.doctorCommand(), l.importCommand(),
		}, l.ofServer(), []*cli.Command{l.versionCommand()}),
	}
	for _, c := range root.Commands {
		l.complete(c)
	}
	root.CustomRootCommandHelpTemplate = l.help(root)
	return root
}

// complete gives a command what all have.
func (l *line) complete(c *cli.Command) {
	c.HideHelpCommand = true
	c.DisableSliceFlagSeparator = true // a comma may be part of a room's name
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return l.misused(c, "%v", err)
	}
	for _, sub := range c.Commands {
		l.complete(sub)
	}
}

// notUnderstood says that there is no such command.
func (l *line) notUnderstood() error {
	return l.fail(Misused, "cannot understand %q: settings come from the environment, see poosh --help", strings.Join(l.args, " "))
}

// misusedGroup is the action of a command that stands for several.
func (l *line) misusedGroup(text string) cli.ActionFunc {
	return func(_ context.Context, c *cli.Command) error { return l.misused(c, "%s", text) }
}

func (l *line) serve() error {
	if code := l.Serve(l.Stderr); code != OK {
		return ending(code)
	}
	return nil
}

func (l *line) serveCommand() *cli.Command {
	return &cli.Command{
		Name:        "serve",
		Usage:       "run until SIGTERM or SIGINT, as without a command",
		Description: "Exit codes: 0 ended by a signal, 1 a wrong setting or a port that cannot be listened on.",
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return l.misused(c, "serve has no arguments: settings come from the environment")
			}
			return l.serve()
		},
	}
}

// ofServer are the commands that the server and its dialects bring themselves.
func (l *line) ofServer() []*cli.Command {
	var list []*cli.Command
	for _, c := range server.Commands() {
		at := &list
		for _, word := range c.Words[:len(c.Words)-1] {
			group := find(*at, word)
			if group == nil {
				group = &cli.Command{Name: word, Usage: "commands of " + word, Action: l.misusedGroup("want one of the commands of " + word)}
				*at = append(*at, group)
			}
			at = &group.Commands
		}
		*at = append(*at, l.given(c))
	}
	return list
}

func find(list []*cli.Command, word string) *cli.Command {
	for _, c := range list {
		if c.Name == word {
			return c
		}
	}
	return nil
}

// given is a command of the server's own, which reads its arguments itself: a secret
// among them may look like a flag.
func (l *line) given(c dialect.Command) *cli.Command {
	return &cli.Command{
		Name: c.Words[len(c.Words)-1], Usage: c.Help, ArgsUsage: c.Arguments,
		Description: "Exit codes: " + c.Codes + ".", SkipFlagParsing: true,
		Action: func(_ context.Context, cmd *cli.Command) error {
			args := cmd.Args().Slice()
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cli.ShowSubcommandHelp(cmd)
			}
			if code := c.Run(args, l.Stdout, l.Stderr); code != OK {
				return ending(code)
			}
			return nil
		},
	}
}

// untilSignal is an action whose context ends with the first signal that asks for the
// end; the second one does what signals do.
func untilSignal(do cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop)
		return do(ctx, c)
	}
}

// arguments looks whether there are as many as there must be.
func (l *line) arguments(c *cli.Command, least, most int) error {
	switch n := c.Args().Len(); {
	case n < least:
		return l.misused(c, "want %s", c.ArgsUsage)
	case n > most:
		return l.misused(c, "cannot understand %q: want %s", c.Args().Get(most), cmp.Or(c.ArgsUsage, "no arguments"))
	}
	return nil
}
