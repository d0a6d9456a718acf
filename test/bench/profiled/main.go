// Profiled is poosh with a second door for the benchmark: on PROFILE_ADDR it
// starts and stops the CPU profiler and tells what has been allocated. It takes
// poosh's settings from the environment.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"syscall"

	"poosh/server"
)

func main() {
	server.TuneRuntime()
	cfg, err := server.FromEnv(os.LookupEnv)
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.New(cfg, server.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat))
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.ListenAndServe(os.Getenv("PROFILE_ADDR"), door())) }() // ends with the process
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := s.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// mutexFraction is of how many waits for a lock one is in the profile.
const mutexFraction = 10

// door returns the handler for the benchmark.
func door() http.Handler {
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
