//go:build profiled

package main

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
)

// A build with the tag profiled is poosh with a second door, for test/bench: on
// PROFILE_ADDR it starts and stops the CPU profiler and tells what has been allocated.
// Whoever reaches that address may slow the program down, so no release has it.
func init() {
	addr := os.Getenv("PROFILE_ADDR")
	if addr == "" {
		log.Fatal("poosh: this build is for the benchmark: PROFILE_ADDR is not set")
	}
	go func() { log.Fatal(http.ListenAndServe(addr, profileDoor())) }() // ends with the process
}

// mutexFraction is of how many waits for a lock one is in the profile.
const mutexFraction = 10

// profileDoor returns the handler for the benchmark.
func profileDoor() http.Handler {
	var mu sync.Mutex // guards profile
	var profile bytes.Buffer
	mux := http.NewServeMux()
	mux.HandleFunc("/start", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		profile.Reset()
		runtime.SetMutexProfileFraction(mutexFraction)
		if err := pprof.StartCPUProfile(&profile); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	mux.HandleFunc("/stop", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		pprof.StopCPUProfile()
		_, _ = w.Write(profile.Bytes())
	})
	mux.HandleFunc("/mutex", func(w http.ResponseWriter, _ *http.Request) {
		_ = pprof.Lookup("mutex").WriteTo(w, 0)
	})
	mux.HandleFunc("/waited", func(w http.ResponseWriter, _ *http.Request) {
		s := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
		metrics.Read(s)
		fmt.Fprintln(w, s[0].Value.Float64())
	})
	mux.HandleFunc("/heap", func(w http.ResponseWriter, _ *http.Request) {
		_ = pprof.Lookup("allocs").WriteTo(w, 0)
	})
	mux.HandleFunc("/allocated", func(w http.ResponseWriter, _ *http.Request) {
		s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(s)
		fmt.Fprintln(w, s[0].Value.Uint64(), s[1].Value.Uint64())
	})
	return mux
}
