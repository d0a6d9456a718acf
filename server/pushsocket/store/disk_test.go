//go:build linux

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"poosh/auth"
)

// smallDisk mounts a file system of its own and returns where it is.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mounting a tmpfs: %v; this test needs the right to mount: run it as root (sudo go test), in a container with CAP_SYS_ADMIN", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill stores messages, several copies in each call, until that fails, and returns
// the bodies of all that were stored.
func fill(t *testing.T, s *keeper, d Device, to auth.Address) []string {
	t.Helper()
	var stored []string
	for i := 0; ; i++ {
		body := `"` + strings.Repeat(string(rune('a'+i%26)), 20_000) + `"`
		m := outgoing(body, to)
		_, _, err := s.Queue(t.Context(), d.ID, []Outgoing{m, m, m}, nil)
		if err != nil {
			if !errors.Is(err, ErrUnavailable) {
				t.Fatal(err)
			}
			t.Logf("after %d messages: %v", len(stored), err)
			return stored
		}
		if stored = append(stored, body, body, body); len(stored) > 5000 {
			t.Fatal("the disk is not full")
		}
	}
}

// A full disk refuses, stores nothing half, loses nothing, and all goes on when
// there is room again.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, "size=2m")
	path := filepath.Join(dir, "x.db")
	s := openAt(t, path, Limits{})
	d := register(t, s, "k", "1", 0)
	stored := fill(t, s, d, address("k", "1"))
	if bodies, _ := pending(t, s, d); !slices.Equal(bodies, stored) || len(stored) == 0 {
		t.Errorf("%d messages are there, %d were stored", len(bodies), len(stored))
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s = openAt(t, path, Limits{})
	bodies, ids := pending(t, s, d)
	if !slices.Equal(bodies, stored) {
		t.Errorf("after a restart %d messages are there, %d were stored", len(bodies), len(stored))
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	queue(t, s, d, address("k", "1"), `"room again"`)
	if n, err := s.Confirm(t.Context(), d.ID, ids); err != nil || n != len(ids) {
		t.Error(n, err)
	}
}

// BytesOnDisk refuses like a full disk, and what is confirmed makes room.
func TestBytesOnDisk(t *testing.T) {
	s := open(t, Limits{BytesOnDisk: 1 << 20})
	d := register(t, s, "k", "1", 0)
	stored := fill(t, s, d, address("k", "1"))
	bodies, ids := pending(t, s, d)
	if !slices.Equal(bodies, stored) || len(stored) < 30 {
		t.Errorf("%d messages are there, %d were stored", len(bodies), len(stored))
	}
	if n, err := s.Confirm(t.Context(), d.ID, ids); err != nil || n != len(ids) {
		t.Error(n, err)
	}
	queue(t, s, d, address("k", "1"), stored[0])
}

func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "size=8m")
	path := filepath.Join(dir, "x.db")
	s := openAt(t, path, Limits{})
	d := register(t, s, "k", "1", 0)
	queue(t, s, d, address("k", "1"), `"a"`)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(path, Limits{}); err == nil || !strings.Contains(err.Error(), "read-only file system") {
		if err == nil {
			s.Close(t.Context())
		}
		t.Errorf("opened: %v", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}

	// The files turn read-only while the store is open: a descriptor for writing
	// keeps the file system itself from that, so the database is told to refuse.
	s = openAt(t, path, Limits{})
	if _, err := s.engine.(*sqlite).writes.conn.ExecContext(t.Context(), "PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Queue(t.Context(), d.ID, []Outgoing{outgoing(`""`, address("k", "1"))}, nil); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if bodies, _ := pending(t, s, d); !slices.Equal(bodies, []string{`"a"`}) {
		t.Error(bodies)
	}
	if _, err := s.engine.(*sqlite).writes.conn.ExecContext(t.Context(), "PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	queue(t, s, d, address("k", "1"), `"b"`)
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Error(err)
	}
}

// The error of a directory that may not be written says whose it is.
func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{dir: 0o555, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() == 0 { // whom no mode holds back
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Setfsuid(0); err != nil {
				t.Error(err)
			}
		}()
	}
	_, err := Open(filepath.Join(dir, "x.db"), Limits{})
	if err == nil || !errors.Is(err, ErrOpen) {
		t.Fatal(err)
	}
	for _, want := range []string{dir + "/x.db: permission denied", fmt.Sprintf("belongs to user %d, group ", os.Geteuid()), "mode -r", "let it write there"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
