package commandline

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// commands are all that can be run, each with the words before it.
func commands(c *cli.Command, words []string) (paths [][]string, list []*cli.Command) {
	for _, sub := range c.Commands {
		path := append(slices.Clone(words), sub.Name)
		if len(sub.Commands) == 0 || sub.ArgsUsage != "" { // which does something by itself too
			paths, list = append(paths, path), append(list, sub)
		}
		below, more := commands(sub, path)
		paths, list = append(paths, below...), append(list, more...)
	}
	return paths, list
}

// run carries out a command line with nothing to read and nobody to serve.
func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Run(args, Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Serve: func(io.Writer) int { return Failed }})
	return code, out.String(), errs.String()
}

// Every command tells of its exit codes, prints JSON for programs, is completed, and says in
// one line what it does not understand.
func TestEveryCommand(t *testing.T) {
	withoutJSON := map[string]string{
		"serve": "prints nothing: LOG_FORMAT is about its log",
	}
	args := os.Args
	defer func() { os.Args = args }()
	l := &line{Program: Program{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}}
	paths, list := commands(l.root(), nil)
	if len(list) < 12 {
		t.Fatalf("%d commands", len(list))
	}
	page, err := os.ReadFile("../../packaging/linux/poosh.1")
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range list {
		words := paths[i]
		path := strings.Join(words, " ")
		t.Run(path, func(t *testing.T) {
			if !strings.Contains(string(page), "\n.B "+path+"\n") {
				t.Error("not in the manual page, packaging/linux/poosh.1")
			}
			code, help, errs := run(append(slices.Clone(words), "--help")...)
			if code != OK || errs != "" || !strings.Contains(help, "Exit codes: 0 ") {
				t.Errorf("--help: exit code %d, %q; no exit codes in\n%s", code, errs, help)
			}
			_, free := withoutJSON[path]
			if strings.Contains(help, "--json") == free {
				t.Errorf("--json is in its help: %v; without a reason: %v", !free, free)
			}
			code, out, errs := run(append(slices.Clone(words), "--nonsense")...)
			if code != Misused || out != "" || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, name) {
				t.Errorf("a wrong flag: exit code %d, stdout %q, stderr %q", code, out, errs)
			}
			os.Args = []string{name, "--generate-shell-completion"} // where the library looks for the first word
			_, completed, _ := run(append(slices.Clone(words[:len(words)-1]), "--generate-shell-completion")...)
			if !slices.ContainsFunc(strings.Split(completed, "\n"), func(text string) bool {
				offered, _, _ := strings.Cut(text, ":")
				return offered == c.Name
			}) {
				t.Errorf("not offered among\n%s", completed)
			}
		})
	}
}
