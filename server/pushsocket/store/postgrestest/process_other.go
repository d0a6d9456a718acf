//go:build !unix

package postgrestest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// An owner is whom a server runs as: who runs the tests.
type owner = *struct{}

// goOn stands for a signal that there is not.
const goOn = syscall.Signal(0)

// credential fails: the servers of tests are reached by sockets that are files, and ended
// by signals.
func credential() (owner, error) {
	return nil, errors.New("tests run PostgreSQL on Unix alone")
}

func directory(owner) (string, error) { return os.MkdirTemp("", "pg") }

func runAs(*exec.Cmd, owner) {}

func kill(int) {}
