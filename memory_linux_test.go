package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// peak is the most memory that a process had in use, in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	m := regexp.MustCompile(`VmHWM:\s+([0-9]+) kB`).FindStringSubmatch(readFile(t, fmt.Sprintf("/proc/%d/status", pid)))
	if m == nil {
		t.Fatal("no VmHWM in /proc")
	}
	kb, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// Strangers who post as much as they may, all at once and of what is dear to decode,
// leave a server of 512 MiB alive.
func TestStrangersMemory(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c := startChild(t, null)
	c.client.Timeout = 0
	body := `{"messages":[` + strings.Repeat(`{},`, 1<<20/3-10) + `{}]}`
	var strangers sync.WaitGroup
	for range 150 {
		strangers.Go(func() {
			for range 4 {
				res, err := c.client.Post(c.url+"/send", "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				if res.StatusCode != 404 && res.StatusCode != 503 {
					t.Errorf("answered %s", res.Status)
				}
			}
		})
	}
	strangers.Wait()
	if used := peak(t, c.cmd.Process.Pid); used > 512<<20 {
		t.Errorf("%d MiB", used>>20)
	} else {
		t.Logf("%d MiB", used>>20)
	}
	c.send(1)
	c.terminate()
}
