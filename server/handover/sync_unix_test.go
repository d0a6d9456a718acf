//go:build unix

package handover

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// A disk is full when it says so, and when it has no more for this user.
func TestFull(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.ENOSPC: true,
		syscall.EDQUOT: true,
		syscall.EACCES: false,
		syscall.EIO:    false,
		fs.ErrNotExist: false,
	} {
		if got := isFull(fmt.Errorf("mark: %w", &os.PathError{Op: "write", Path: "file", Err: err})); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
	if isFull(nil) {
		t.Error("no error is one")
	}
}
