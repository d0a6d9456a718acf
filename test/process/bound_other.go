//go:build !linux

package process

import (
	"os/exec"
	"syscall"
)

// StartBound starts a program, which lives on where this process ends before it ends that.
func StartBound(cmd *exec.Cmd, _ syscall.Signal) error { return cmd.Start() }
