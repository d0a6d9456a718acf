//go:build unix

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// unwritable says what stands in the way of files beside path, which SQLite needs;
// empty when they can be made.
func unwritable(path string) string {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".poosh-*")
	if err == nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return ""
	}
	info, statErr := os.Stat(dir)
	if os.IsNotExist(statErr) {
		return fmt.Sprintf("; there is no directory %s: make it, or name another path", dir)
	}
	var owner *syscall.Stat_t
	if statErr == nil {
		owner, _ = info.Sys().(*syscall.Stat_t)
	}
	if owner == nil || !os.IsPermission(err) {
		return fmt.Sprintf("; nothing can be written to the directory %s: name one that can", dir)
	}
	return fmt.Sprintf("; the directory %s belongs to user %d, group %d, with mode %s, and this program runs as user %d, group %d: let it write there, or name a path where it may",
		dir, owner.Uid, owner.Gid, info.Mode().Perm(), os.Geteuid(), os.Getegid())
}
