// Package guard keeps a panic of ours where it arose: what was being done comes to nothing,
// and the process goes on. Goroutines and timers that have no connection, whose end would be
// the answer, call what they do by it.
package guard

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Call calls f, and reports whether it returned. When it panicked, the log has an error that
// says while what, with args, the panic and its stack. It may be called from any goroutine;
// locks are given back that f gives back by defer.
func Call(log *slog.Logger, what string, f func(), args ...any) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic while "+what, append(args, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))...)
		}
	}()
	f()
	return true
}
