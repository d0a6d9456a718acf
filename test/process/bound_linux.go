package process

import (
	"os/exec"
	"runtime"
	"syscall"
)

// starter starts programs on a thread that lives as long as this process: the death of a thread, not that of a
// process, is what a program that it has started is told of. It is there from the beginning on, for tests that count
// goroutines.
var starter = start()

func start() chan<- func() {
	work := make(chan func())
	go func() { // ends with the process
		runtime.LockOSThread()
		for do := range work {
			do()
		}
	}()
	return work
}

// StartBound starts a program that gets a signal when this process ends, also by a panic or by kill -9: no cleanup of
// a test runs then. What it has started itself lives on.
func StartBound(cmd *exec.Cmd, end syscall.Signal) (err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = end
	done := make(chan struct{})
	starter <- func() {
		err = cmd.Start()
		close(done)
	}
	<-done
	return err
}
