// Package migration reads the configuration of another push server and says the same to
// Poosh: it makes a .env and a file of apps that start, and a report in which every key
// that was found is either mapped or named with what happens instead.
//
// Each server is a [source]: a table of the keys that it knows at a named release, one
// rule for each, in a file of its own. Readers make a tree of any format, and know no
// server; rules know paths in that tree, and no format. PHP is read as data: nothing
// of it is run.
//
// What a file says as a secret goes into the files that are made and nowhere else: see
// [Report] for what is shown.
package migration

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes of [Run].
const (
	Mapped   = 0 // everything that was found has its counterpart
	Failed   = 1 // the file cannot be read, or nothing can be written
	NeedLook = 3 // something has none, or another meaning: the report says what
)

// Options are what a person may say beside the file.
type Options struct {
	From  string // name of a source of [Sources]; empty to tell by what the file holds
	Env   string // path of a .env with what that server had in its environment; empty for none
	Out   string // directory to write to; empty to print
	Force bool   // replaces files that are there
	JSON  bool   // prints the report alone, as JSON
}

// Run reads the configuration at path, or stdin for "-", and prints what Poosh needs of
// it to stdout and the report to stderr, or with [Options.JSON] the report to stdout and
// nothing else. The result is an exit code. It needs no network and runs nothing that
// it reads.
func Run(path string, o Options, stdin io.Reader, stdout, stderr io.Writer) int {
	r, err := run(path, o, stdin, stdout)
	if err == nil && !o.JSON {
		err = r.write(stderr)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(stderr, "poosh:", strings.TrimSuffix(line, "\n"))
		}
		return Failed
	}
	if r.Look {
		return NeedLook
	}
	return Mapped
}

func run(path string, o Options, stdin io.Reader, stdout io.Writer) (*Report, error) {
	d, result, err := convert(path, o, stdin)
	if err != nil {
		return nil, err
	}
	if err := d.try(result); err != nil {
		return nil, err
	}
	if o.Out != "" && len(result) > 0 {
		if err := writeFiles(o.Out, result, o.Force); err != nil {
			return nil, err
		}
	}
	r := d.report
	r.complete(result, o.Out)
	switch {
	case o.JSON:
		err = r.writeJSON(stdout)
	case o.Out == "":
		err = printFiles(stdout, result)
	}
	return r, err
}

// convert reads a configuration and makes what Poosh needs of it, in memory.
func convert(path string, o Options, stdin io.Reader) (*draft, []file, error) {
	in, err := open(path, o, stdin)
	if err != nil {
		return nil, nil, err
	}
	d := newDraft(in.source)
	d.report.File, d.report.Others, d.report.Notes = path, in.others, in.notes
	d.take(in.entries)
	d.finish()
	files, err := d.files()
	return d, files, err
}

// Sources names the servers that can be read, for help and completion.
func Sources() []string {
	var names []string
	for _, s := range sources() {
		names = append(names, s.name)
	}
	return names
}

// errNothing is said of a file that no source knows.
var errNothing = errors.New("no key of any known server is in it: say which one it is of with --from")
