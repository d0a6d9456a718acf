package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"poosh/server/handover"
	"poosh/server/setting"
)

// files are the settings that are paths of files with secrets, of dialects that are on.
func (c *Config) files() (list []setting.File) {
	for _, g := range c.groups {
		for _, f := range g.Files {
			text, _ := c.Value(f.Name).(string)
			if c.isOn(f.Name) && (f.IsNone == nil || !f.IsNone(text)) {
				list = append(list, f)
			}
		}
	}
	return list
}

// tryFiles looks whether files that the server writes can be where they are to be: others
// are read with the settings.
func (c *Config) tryFiles(m *setting.Mistakes) (err error) {
	for _, f := range c.files() {
		if path, _ := c.Value(f.Name).(string); f.Kept && path != "" && !m.Has(f.Name) {
			err = errors.Join(err, tryFile(f, path))
		}
	}
	if len(c.TLS.Domains) > 0 && !m.Has("ACME_DIR") {
		err = errors.Join(err, tryDir("ACME_DIR", c.TLS.Dir))
	}
	return err
}

// tryDir looks whether there is a directory that the server may write in, or may make.
func tryDir(name, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if above := filepath.Dir(path); above != path {
			return tryDir(name, above) // which would be made too
		}
	}
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	if err == nil {
		err = mayWrite(path)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be made or written in %s: %w; let the user of the server write there", name, setting.Shown(path), lastWord(err))
	}
	return nil
}

// openFile opens a file to read it.
var openFile = os.Open

func tryFile(f setting.File, path string) error {
	name := f.Name
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return tryPlace(name, placeOf(f, path))
	case err == nil && f.Replaced && info.Mode().IsRegular():
		return tryReplaced(name, path)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is %s, which is no file: want the path of a file", name, setting.Shown(path))
	case err == nil:
		err = mayWrite(path)
		fallthrough
	default:
		if err != nil {
			return fmt.Errorf("%s is %s, which cannot be written: %w; let the user of the server write it", name, setting.Shown(path), lastWord(err))
		}
	}
	return nil
}

// placeOf is where a file would be made: one that is replaced, where a link leads.
func placeOf(f setting.File, path string) string {
	if f.Replaced {
		return handover.Place(path)
	}
	return path
}

// tryPlace looks whether a file can be made at a path, or put there.
func tryPlace(name, path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	} else if err == nil {
		err = mayWrite(dir)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be made in %s: %w; make the directory, and let the user of the server write there", name, setting.Shown(dir), lastWord(err))
	}
	return nil
}

// tryReplaced looks whether a file that is there can be read, and another one put in its place.
func tryReplaced(name, path string) error {
	if err := tryPlace(name, handover.Place(path)); err != nil {
		return err
	}
	f, err := openFile(path)
	if err != nil {
		return fmt.Errorf("%s is %s, which cannot be read: %w; let the user of the server read it, or remove it", name, setting.Shown(path), lastWord(err))
	}
	_ = f.Close()
	return nil
}

// paths are the settings that are the path of one file.
var paths = []string{"PUSHER_APPS", "PUSH_SOCKET_DB", "HISTORY_FILE", "TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "ACME_CA_ROOT"}

// checkPaths finds files that the server writes and another setting names too.
func (c *Config) checkPaths(m *setting.Mistakes) {
	written := make(map[string]bool)
	for _, f := range c.files() {
		written[f.Name] = f.Kept
	}
	for i, name := range paths {
		for _, other := range paths[:i] {
			a, _ := c.Value(name).(string)
			b, _ := c.Value(other).(string)
			if (written[name] || written[other]) && c.isOn(name) && c.isOn(other) && isSameFile(a, b) && !m.Has(name, other) {
				m.Add(name, "is the same file as %s: want another one", other)
			}
		}
	}
}

// isSameFile reports whether two paths lead to one file, there or not.
func isSameFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	if errX == nil && errY == nil {
		return os.SameFile(x, y)
	}
	x, errX = os.Stat(filepath.Dir(a))
	y, errY = os.Stat(filepath.Dir(b))
	return filepath.Clean(a) == filepath.Clean(b) ||
		errX == nil && errY == nil && os.SameFile(x, y) && filepath.Base(a) == filepath.Base(b)
}

// readByAll warns of files with secrets in them that everybody on the machine may read.
func (c *Config) readByAll() (lines []string) {
	for _, f := range c.files() {
		if path, _ := c.Value(f.Name).(string); isReadByAll(path) {
			lines = append(lines, fmt.Sprintf("%s is %s, which everybody on this machine may read: want chmod o-rwx", f.Name, setting.Shown(path)))
		}
	}
	return lines
}

// isReadByAll reports whether everybody on the machine may read a file.
func isReadByAll(path string) bool {
	if path == "" || runtime.GOOS == "windows" { // where modes say nothing
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}

// isOn reports whether a setting is of a dialect that is on, or of none.
func (c *Config) isOn(name string) bool {
	for _, d := range c.spoken {
		for _, s := range d.Settings.Settings {
			if s.Name == name {
				return d.On()
			}
		}
	}
	return true
}
