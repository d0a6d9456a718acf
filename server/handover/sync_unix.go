//go:build unix

package handover

import (
	"errors"
	"os"
	"syscall"
)

// isFull reports whether there is no room on the disk, or none for this user.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

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
