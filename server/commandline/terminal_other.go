//go:build !linux

package commandline

import (
	"io"
	"os"
)

// isTerminal reports whether a person reads what is written there. Another device counts as
// a terminal too.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
