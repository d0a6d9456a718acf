package server

import (
	"net"
	"testing"
	"time"

	"poosh/server/loop"
	"poosh/server/systemd/systemdtest"
)

// systemd is told that the server is there, hears of it while it works and not while it is
// stuck, and is told of the end before anything else of it happens.
func TestSystemdIsTold(t *testing.T) {
	told := systemdtest.Listen(t, 400*time.Millisecond)
	r := run(t, map[string]string{"SHUTDOWN_TIMEOUT": "9s"}, nil)
	told.Want("READY=1")
	for range 3 {
		told.Want("WATCHDOG=1")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	stuck := make(blocked)
	c, err := r.loop.AttachConn(near, loop.Options{}, stuck)
	if err != nil {
		t.Fatal(err)
	}
	c.Start()
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	// What a look showed is told for a second, and one that was under way may have been in time.
	until(t, "a look to show that it is stuck", func() bool { return r.health.Stuck(t.Context()) != nil })
	told.Silence(150*time.Millisecond, 1150*time.Millisecond)
	close(stuck)
	told.Want("WATCHDOG=1")
	r.stop()
	told.WantAfter("WATCHDOG=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=14000000")
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	told.Silence(0, 500*time.Millisecond)
}
