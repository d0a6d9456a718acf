package migration

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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

// result makes the files, and has the settings read as a start would, so that what does
// not start is told here.
func (d *draft) result() ([]file, error) {
	if d.source.nothing {
		return nil, nil
	}
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
	files = append([]file{{envFile, env}}, files...)
	if err := d.try(files); err != nil {
		return nil, err
	}
	return files, nil
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
	for _, s := range server.Settings() {
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

// try reads files as a start would, and notes what is wrong.
func (d *draft) try(files []file) error {
	return within(files, func(dir string, lookup func(string) (string, bool)) {
		apps := filepath.Join(dir, appsFile)
		_, err := server.FromEnv(func(name string) (string, bool) {
			value, ok := lookup(name)
			if name == "PUSHER_APPS" && ok {
				value = apps
			}
			return value, ok
		}, d.settingNames()...)
		if err != nil {
			d.report.Look = true
			for line := range strings.Lines(strings.ReplaceAll(err.Error(), apps, appsFile)) {
				d.note("Poosh will not start with it: %s", strings.TrimSuffix(line, "\n"))
			}
		}
	})
}

// within has files in a directory while do looks at them, with the variables of .env.
func within(files []file, do func(dir string, lookup func(string) (string, bool))) error {
	dir, err := os.MkdirTemp("", "poosh-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeFiles(dir, files, false); err != nil {
		return err
	}
	lookup, err := server.WithDotEnv(filepath.Join(dir, envFile), func(string) (string, bool) { return "", false })
	if err == nil {
		do(dir, lookup)
	}
	return err
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

// writeFiles puts files into a directory, which is made, for their owner alone. Without
// force nothing is written where one of them is there.
func writeFiles(dir string, files []file, force bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !force {
		for _, f := range files {
			if _, err := os.Lstat(f.in(dir)); !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s is there: --force replaces it, and nothing is written without", f.in(dir))
			}
		}
	}
	for _, f := range files {
		if err := writeFile(dir, f, force); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes one file, whole or not at all where there is one already.
func writeFile(dir string, f file, force bool) (err error) {
	var t *os.File
	if force {
		t, err = os.CreateTemp(dir, f.name+".*") // mode 0600
	} else {
		t, err = os.OpenFile(f.in(dir), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return err
	}
	_, err = t.Write(f.text)
	if err = errors.Join(err, t.Close()); err == nil && force {
		err = os.Rename(t.Name(), f.in(dir))
	}
	if err != nil {
		_ = os.Remove(t.Name()) // nobody needs half of it
	}
	return err
}
