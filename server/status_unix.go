//go:build unix

package server

import (
	"os"
	"os/signal"
	"syscall"
)

// reportOnSignal writes a status line for each SIGUSR1, and behind it what the hub and
// the loop find wrong with themselves, until the function it returns is called.
func (s *Server) reportOnSignal() (stop func()) {
	asked := make(chan os.Signal, 1)
	done, ended := make(chan struct{}), make(chan struct{})
	signal.Notify(asked, syscall.SIGUSR1)
	go func() { // ends with stop
		defer close(ended)
		for {
			select {
			case <-asked:
				s.logStatus()
				checkSelf(s.log, map[string]checker{"hub": s.hub, "loop": s.loop})
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(asked)
		close(done)
		<-ended
	}
}

func fileLimit() (uint64, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
