package migration

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"poosh/server"
)

// A file is one that Poosh needs.
type file struct {
	name string
	text []byte
}

// Names of the files. Both hold secrets.
const (
	envFile  = ".env"
	appsFile = "apps.json"
)

// in is the path of a file in a directory, or its name where there is none.
func (f file) in(dir string) string {
	if dir == "" {
		return f.name
	}
	return filepath.Join(dir, f.name)
}

// files makes the files that Poosh needs.
func (d *draft) files() ([]file, error) {
	var files []file
	if len(d.apps) > 0 {
		text, err := d.appsText()
		if err != nil {
			return nil, err
		}
		d.set["PUSHER_APPS"] = appsFile
		files = append(files, file{appsFile, text})
	}
	env, err := d.envText()
	if err != nil {
		return nil, err
	}
	return append([]file{{envFile, env}}, files...), nil
}

// firstFields are what a person looks for first in an app; the others have the order of
// the alphabet.
var firstFields = []string{"id", "key", "secret", "enabled", "url"}

// appsText is the file of apps.
func (d *draft) appsText() ([]byte, error) {
	var apps []json.RawMessage
	for _, a := range d.apps {
		fields := maps.Clone(a.fields)
		var hooks []json.RawMessage
		for _, h := range a.hooks {
			hook, err := object(h.fields)
			if err != nil {
				return nil, err
			}
			hooks = append(hooks, hook)
		}
		if hooks != nil {
			fields["webhooks"] = hooks
		}
		app, err := object(fields)
		if err != nil {
			return nil, err
		}
		apps = append(apps, app)
	}
	text, err := object(map[string]any{"apps": apps})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, text, "", "  ")
	return append(b.Bytes(), '\n'), err
}

// object is the JSON of fields, the first ones first.
func object(fields map[string]any) (json.RawMessage, error) {
	names := slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		place := func(name string) int {
			if i := slices.Index(firstFields, name); i >= 0 {
				return i
			}
			return len(firstFields)
		}
		return cmp.Or(place(a)-place(b), strings.Compare(a, b))
	})
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i, name := range names {
		b.WriteString([]string{"{", ","}[min(i, 1)] + strconv.Quote(name) + ":")
		if err := enc.Encode(fields[name]); err != nil {
			return nil, err
		}
	}
	b.WriteString("}")
	return b.Bytes(), nil
}

// envText is the file of settings, in the order of their table.
func (d *draft) envText() ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made by poosh import of a configuration of %s.\n", d.source.product)
	left := maps.Clone(d.set)
	for _, s := range settings() {
		value, found := left[s.Name]
		if !found {
			continue
		}
		delete(left, s.Name)
		line, ok := envLine(s.Name, value)
		if !ok {
			return nil, fmt.Errorf("%s has a value that no line of .env can have", s.Name)
		}
		b.WriteString(line + "\n")
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("no settings of Poosh: %s", strings.Join(slices.Sorted(maps.Keys(left)), ", "))
	}
	return []byte(b.String()), nil
}

// envLine is a line that [server.WithDotEnv] reads as the value. There is none for texts
// of several lines and with blanks around them.
func envLine(name, value string) (line string, ok bool) {
	quote := ""
	switch {
	case strings.ContainsAny(value, "\n\r\x00\u2028\u2029") || strings.TrimSpace(value) != value || strings.HasPrefix(value, `\$`):
		return "", false
	case strings.HasPrefix(value, "$"):
		value = `\` + value
	}
	if strings.ContainsAny(value, `"'`) {
		quote = "'" // one at each end is dropped, and within this one nothing else changes
	}
	return name + "=" + quote + value + quote, true
}

// try reads files as a start would, and notes what is wrong, so that what does not start
// is told here.
func (d *draft) try(files []file) error {
	if len(files) == 0 {
		return nil
	}
	none := func(string) (string, bool) { return "", false }
	env, err := server.ParseDotEnv(string(files[0].text), none)
	if err != nil {
		return err
	}
	try := func(path string) {
		apps := env["PUSHER_APPS"]
		if path != "" {
			env["PUSHER_APPS"] = path
		}
		_, err := server.FromEnv(func(name string) (string, bool) {
			value, found := env[name]
			return value, found
		}, d.settingNames()...)
		if err != nil {
			d.report.Look = true
			for line := range strings.Lines(strings.ReplaceAll(err.Error(), path, apps)) {
				d.note("Poosh will not start with it: %s", strings.TrimSuffix(line, "\n"))
			}
		}
	}
	if len(files) > 1 {
		return within(files[1], try)
	}
	try("")
	return nil
}

// within has a file in the system's directory for such, for its owner alone, while do
// looks at it. It is gone afterwards, after a signal that ends the process too.
func within(f file, do func(path string)) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	path, err := temporary("", f)
	if err != nil {
		return fmt.Errorf("%w: set TMPDIR to a directory in which the result can be tried", err)
	}
	do(path)
	if err := os.Remove(path); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// temporary writes a file for its owner alone into a directory, under a name of its own,
// and returns its path.
func temporary(dir string, f file) (path string, err error) {
	t, err := os.CreateTemp(dir, f.name+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = t.Write(f.text)
	if err = errors.Join(err, t.Close()); err != nil {
		_ = os.Remove(t.Name()) // nobody needs half of it
	}
	return t.Name(), err
}

// printFiles shows files, each under its name.
func printFiles(w io.Writer, files []file) error {
	var b bytes.Buffer
	for i, f := range files {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "==> %s <==\n%s", f.name, f.text)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeFiles puts files into a directory, which is made, for their owner alone: all of
// them or none. Without force nothing is written where one of them is there.
func writeFiles(dir string, files []file, force bool) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	w := &writing{force: force}
	defer func() { w.end(err == nil) }()
	for _, f := range files {
		if err := w.claim(f.in(dir)); err != nil {
			return err
		}
	}
	var whole []string
	for _, f := range files {
		path, err := temporary(dir, f)
		if err != nil {
			return err
		}
		w.rest = append(w.rest, path)
		whole = append(whole, path)
	}
	for i, f := range files {
		if err := os.Rename(whole[i], f.in(dir)); err != nil {
			return err
		}
	}
	return nil
}

// A writing is several files that are put into their places together.
type writing struct {
	force bool
	rest  []string // what is removed in any case
	undo  []func() // what is done if one of them cannot be put there
}

// claim sees that a place may be taken, and how it becomes again what it was.
func (w *writing) claim(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		// The name is taken at once, so that nobody else's file is replaced.
		t, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		w.undo = append(w.undo, func() { _ = os.Remove(path) })
		return t.Close()
	case err != nil:
		return err
	case !w.force:
		return fmt.Errorf("%s is there: --force replaces it, and nothing is written without", path)
	case info.IsDir():
		return fmt.Errorf("%s is a directory: want a place for a file", path)
	}
	old := path + ".before-import"
	switch err := os.Link(path, old); {
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%w: it is of an import that was stopped: look at both, and remove it", err)
	case err != nil:
		return nil // a file system without links: each file is still replaced whole
	}
	w.rest = append(w.rest, old)
	w.undo = append(w.undo, func() { _ = os.Rename(old, path) })
	return nil
}

func (w *writing) end(good bool) {
	if !good {
		for _, undo := range w.undo {
			undo()
		}
	}
	for _, path := range w.rest {
		_ = os.Remove(path) // of most there is nothing left
	}
}
