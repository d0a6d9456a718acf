//go:build unix

package server

import "golang.org/x/sys/unix"

// mayWrite returns why this process may not write a file, or in a directory.
func mayWrite(path string) error { return unix.Access(path, unix.W_OK) }
