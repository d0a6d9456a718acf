package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"poosh/server/setting"
)

// tryFiles looks whether the database can be where it is to be: other files are read with
// the settings.
func (c *Config) tryFiles(m *setting.Mistakes) error {
	path, _ := c.Value("PUSH_SOCKET_DB").(string)
	if path == "" || !c.isOn("PUSH_SOCKET_DB") || m.Has("PUSH_SOCKET_DB") {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(path)
		if info, err = os.Stat(dir); err == nil && !info.IsDir() {
			err = errors.New("not a directory")
		} else if err == nil {
			err = mayWrite(dir)
		}
		if err != nil {
			return fmt.Errorf("PUSH_SOCKET_DB cannot be made in %s: %w; make the directory, and let the user of the server write there", setting.Shown(dir), lastWord(err))
		}
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("PUSH_SOCKET_DB is %s, which is no file: want the path of a file", setting.Shown(path))
	case err == nil:
		err = mayWrite(path)
		fallthrough
	default:
		if err != nil {
			return fmt.Errorf("PUSH_SOCKET_DB is %s, which cannot be written: %w; let the user of the server write it", setting.Shown(path), lastWord(err))
		}
	}
	return nil
}

// readByAll warns of files with secrets in them that everybody on the machine may read.
func (c *Config) readByAll() (lines []string) {
	for _, name := range []string{"PUSHER_APPS", "PUSH_SOCKET_DB"} {
		if path, _ := c.Value(name).(string); c.isOn(name) && isReadByAll(path) {
			lines = append(lines, fmt.Sprintf("%s is %s, which everybody on this machine may read: want chmod o-rwx", name, setting.Shown(path)))
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
