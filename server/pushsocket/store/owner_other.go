//go:build !unix

package store

import (
	"fmt"
	"os"
	"path/filepath"
)

// unwritable says what stands in the way of files beside path, which SQLite needs;
// empty when they can be made.
func unwritable(path string) string {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".poosh-*")
	if err != nil {
		return fmt.Sprintf("; nothing can be written to the directory %s: name one that can", dir)
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	return ""
}
