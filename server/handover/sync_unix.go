//go:build unix

package handover

import (
	"errors"
	"os"
	"syscall"
)

// syncDir has the names in a directory be on the disk, where the file system has a way to do that.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err = dir.Sync(); errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // a file system that knows no such thing
	}
	return err
}
