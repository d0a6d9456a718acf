package commandline

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal reports whether a person reads what is written there: whether the system has
// settings of a terminal for it, which it has not for /dev/null.
func isTerminal(w io.Writer) (is bool) {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	err = conn.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		is = err == nil
	})
	return err == nil && is
}
