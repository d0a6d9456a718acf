//go:build linux

package main

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestSamplesBelongToLayers(t *testing.T) {
	const around = " poosh/server/hub.(*Hub).Publish poosh/server/poosh.(*API).send net/http.HandlerFunc.ServeHTTP poosh/server/http1.(*conn).serve"
	for stack, want := range map[string]string{
		"internal/runtime/syscall/linux.Syscall6 syscall.RawSyscall6 poosh/server/loop.writeOnce poosh/server/loop.(*Conn).flush":                              kernelWrite,
		"internal/runtime/syscall/linux.Syscall6 syscall.RawSyscall6 poosh/server/loop.readOnce poosh/server/loop.(*poller).ready internal/poll.(*FD).RawRead": kernelRead,
		"internal/runtime/syscall/linux.Syscall6 internal/runtime/syscall/linux.EpollWait runtime.netpoll runtime.findRunnable":                                kernelReady,
		"runtime.futex runtime.futexwakeup runtime.notewakeup" + around:                                                                                        kernelThreads,
		"internal/runtime/syscall/linux.Syscall6 syscall.fcntl":                                                                                                kernelOther,
		"runtime.mallocgc encoding/json.Unmarshal" + around:                                                                                                    "JSON",
		"memeqbody poosh/auth.scanString poosh/auth.(*Poosh).Verify" + around:                                                                                  "JSON",
		"crypto/sha1.blockSHANI poosh/auth.(*Poosh).Verify" + around:                                                                                           "token",
		"runtime.mapaccess2_faststr" + around:                                                                                                                  "hub",
		"runtime.memmove poosh/server/socketio.appendASCII poosh/server/poosh.encoder.Encode" + around:                                                         "frame",
		"sync.(*Mutex).Lock poosh/server/loop.(*Conn).Push poosh/server/socketio.(*Session).Deliver" + around:                                                  "outbox",
		"runtime.memmove poosh/server/http1.(*conn).requests poosh/server/loop.(*Conn).received":                                                               "HTTP",
		"runtime.casgstatus poosh/server/loop.(*poller).ready internal/poll.(*FD).RawRead":                                                                     "poller",
		"runtime.scanObject runtime.gcDrain runtime.gcBgMarkWorker":                                                                                            collector,
		"runtime.scanObject runtime.gcAssistAlloc runtime.mallocgc" + around:                                                                                   collector,
		"runtime.findRunnable runtime.schedule runtime.mcall":                                                                                                  goRuntime,
		"log.Printf main.main": elsewhere,
	} {
		if got := layerOf(strings.Fields(stack)); got != want {
			t.Errorf("%s: %q, want %q", stack, got, want)
		}
	}
}

func TestSharesOfTraces(t *testing.T) {
	const traces = `File: profiled
Type: cpu
Duration: 5.42s, Total samples = 40000000ns (30.07%)
-----------+-------------------------------------------------------
30000000ns   runtime.memmove
             poosh/server/hub.(*room).deliver (inline)
             poosh/server/hub.(*Hub).Publish
-----------+-------------------------------------------------------
10000000ns   crypto/sha1.block
-----------+-------------------------------------------------------
`
	got, err := shares([]byte(traces))
	if err != nil || len(got) != 2 || math.Abs(got["hub"]-0.75) > 1e-9 || math.Abs(got["token"]-0.25) > 1e-9 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "File: x\n", "-----------+---\n   what is this\n"} {
		if _, err := shares([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// What a layer names of poosh must be there, or the table is of a server that was.
func TestLayersNameWhatIsThere(t *testing.T) {
	for _, l := range layers {
		for _, prefix := range l.functions {
			path, found := strings.CutPrefix(prefix, "poosh/")
			if !found {
				continue
			}
			path, function, _ := strings.Cut(path, ".")
			if !declared(t, filepath.Join("../..", path), function) {
				t.Errorf("%s: nothing is called %s", l.name, prefix)
			}
		}
	}
}

// declared reports whether a package has a function or type whose name begins so, or
// is there at all if that is empty.
func declared(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	receiver, method, isMethod := strings.Cut(strings.TrimPrefix(name, "("), ").")
	receiver = strings.TrimSuffix(receiver, ")")
	pattern := `(?m)^(func|type) ` + regexp.QuoteMeta(name)
	switch {
	case isMethod:
		pattern = `(?m)^func \(\w+ ` + regexp.QuoteMeta(receiver) + `(\[\w+\])?\) ` + regexp.QuoteMeta(method)
	case strings.HasPrefix(name, "("):
		pattern = `(?m)^func \(\w+ ` + regexp.QuoteMeta(receiver) + `\b`
	}
	wanted := regexp.MustCompile(pattern)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if wanted.Match(text) {
			return true
		}
	}
	return false
}
