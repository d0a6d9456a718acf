//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"poosh/test/bench/load"
)

const statusLine = `time=2026-11-26T01:00:00.000Z level=INFO msg=status goroutines=12 fds=30 connections=20 websockets=20 ` +
	`polling=0 stuck_bytes=77 trials=20 ended="map[transport close:3]" closed_slow=0`

func TestStatusTellsWhereConnectionsLive(t *testing.T) {
	tests := []struct {
		name, more string
		clients    int
		want       string // in the error; empty for none
	}{
		{"all on the loop", " goroutine_connections=0", 20, ""},
		{"one on a goroutine", " goroutine_connections=1", 20, "1 of 20 clients' connections stand on goroutines"},
		{"a build that does not tell", "", 20, "no goroutine_connections"},
		{"a count that is none", " goroutine_connections=none", 20, "invalid syntax"},
		{"fewer WebSockets than clients", " goroutine_connections=0", 21, "20 WebSockets, not of 21"},
	}
	for _, test := range tests {
		err := parseStatus(statusLine+test.more+"\n").checkHome(load.EIO3, test.clients)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
	if n, err := parseStatus(statusLine).number("stuck_bytes"); n != 77 || err != nil {
		t.Errorf("stuck_bytes %d, %v", n, err)
	}
}

// A line of status is read once it is whole, and none of before.
func TestStatusIsFoundInTheOutput(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(text string) int64 {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		at, err := f.Seek(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	from := write(statusLine + "\n")
	write("time=x level=INFO msg=other a=1\n" + statusLine)
	if s, ok := findStatus(f, from); ok {
		t.Errorf("half a line is taken: %v", s)
	}
	write(" goroutine_connections=5\n")
	if s, ok := findStatus(f, from); !ok || s["goroutine_connections"] != "5" {
		t.Errorf("found %v, %v", ok, s)
	}
}
