//go:build linux

package pushsocket_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/test/process"
)

// On a full disk senders get 503 and the log says so; what was answered 200 is
// there, nothing else is, and all goes on when there is room again.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=3m"); err != nil {
		t.Fatalf("mounting a tmpfs: %v; this test needs the right to mount: run it as root (sudo test/run), in a container with CAP_SYS_ADMIN", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	p := start(t, "PUSH_SOCKET_DB="+disk+"/x.db")
	d := newDevice(t, p)
	var stored []string
	filler := strings.Repeat("x", 20_000)
	send := func(i int) int {
		t.Helper()
		body := string(rune('a'+i%26)) + filler
		status, queued, err := d.mail(d, body)
		if err != nil || queued != (status == 200) {
			t.Fatal(status, queued, err)
		}
		if queued {
			stored = append(stored, body)
		}
		return status
	}
	refused := 0
	for i := 0; refused < 5 && i < 1000; i++ {
		switch status := send(i); status {
		case 200:
		case 503:
			refused++
		default:
			t.Fatalf("status %d", status)
		}
	}
	if refused < 5 || len(stored) < 20 {
		t.Fatalf("%d stored, %d refused", len(stored), refused)
	}
	for end := time.Now().Add(process.Patience); !strings.Contains(p.Log(), "database or disk is full"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not tell:\n%s", p.Log())
		}
	}
	same := func() {
		t.Helper()
		l, err := d.listen()
		if err != nil {
			t.Fatal(err)
		}
		defer l.ws.Close()
		for i, want := range stored {
			if m, err := l.message(process.Patience); err != nil || m.Body != want {
				t.Fatalf("message %d: %.10q, %v", i, m.Body, err)
			}
		}
		if err := l.send("2"); err != nil {
			t.Fatal(err)
		}
		if got, err := l.read(process.Patience); err != nil || string(got) != "3" {
			t.Fatalf("something more: %.100q, %v", got, err)
		}
	}
	same()
	p.Kill()
	p.Restart()
	same()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=10m"); err != nil {
		t.Fatal(err)
	}
	if status := send(0); status != 200 {
		t.Fatalf("with room again: %d", status)
	}
	same()
}

// A disk that cannot be written, and a file of another kind, end the start.
func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, "size=1m"); err != nil {
		t.Fatalf("mounting a tmpfs: %v; this test needs the right to mount: run it as root (sudo test/run), in a container with CAP_SYS_ADMIN", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	out := process.Fails(t, program, "PUSH_SOCKET_PORT=0", "PUSH_SOCKET_DB="+dir+"/x.db")
	if !strings.Contains(out, "PUSH_SOCKET_DB: ") || !strings.Contains(out, dir+"/x.db") || !strings.Contains(out, "name one that can") || !strings.Contains(out, "read-only file system") {
		t.Error(out)
	}
}
