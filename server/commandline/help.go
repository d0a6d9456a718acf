package commandline

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"poosh/server"
)

// help is how to start the program, every command and every setting it has.
func (l *line) help(root *cli.Command) string {
	var b strings.Builder
	b.WriteString("poosh takes events over HTTP and pushes them to socket.io clients.\n\nUsage:\n")
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "  poosh\trun until SIGTERM or SIGINT\n")
	for _, c := range root.Commands {
		helpLine(w, "poosh", c)
	}
	fmt.Fprint(w, "  poosh completion SHELL\tprint a script that completes commands in bash, zsh, fish or pwsh\n")
	fmt.Fprint(w, "  poosh help [COMMAND]\tprint this, or what a command does; as --help behind it does\n")
	_ = w.Flush() // to a strings.Builder
	b.WriteString(`
Exit codes: 0 is good, 1 says that something failed, 2 that the arguments are not
understood; a command's own help has the others.

Settings come from the environment, or from a file named .env in the working
directory where a variable is unset or empty. Times: 90s, 1m30s or 90 (seconds).
Sizes: bytes, or with KB, MB, GB (1000) or KiB, MiB, GiB (1024).
`)
	group := ""
	for _, s := range server.Settings() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n%s:\n", group)
		}
		fmt.Fprintf(&b, "  %s\n      %s", s.Name, s.Help)
		if s.Default != "" {
			fmt.Fprintf(&b, " (default %s)", s.Default)
		}
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(b.String(), "{{", `{{"{{"}}`) // the library takes it for a template
}

// helpLine writes a line for a command, or for those that it stands for.
func helpLine(w *tabwriter.Writer, path string, c *cli.Command) {
	path += " " + c.Name
	for _, sub := range c.Commands {
		helpLine(w, path, sub)
	}
	if len(c.Commands) == 0 || c.ArgsUsage != "" {
		fmt.Fprintf(w, "  %s\t%s\n", strings.TrimSpace(path+" "+c.ArgsUsage), c.Usage)
	}
}
