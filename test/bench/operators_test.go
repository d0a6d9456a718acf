//go:build linux

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A run that operators are said to look at fails when they do not.
func TestOperatorsLook(t *testing.T) {
	stream := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "data: {}")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	silent := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	scrape := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "poosh_connections 1") }
	missing := http.NotFound
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprintln(w, "half")
	}
	for name, test := range map[string]struct {
		tail, stream, scrape http.HandlerFunc
		begin, end           string // what goes wrong; "" for nothing
	}{
		"all is well":        {stream, stream, scrape, "", ""},
		"no tail":            {missing, stream, scrape, "/api/tail: 404", ""},
		"no numbers":         {stream, missing, scrape, "/api/stream: 404", ""},
		"no metrics":         {stream, stream, missing, "", "/metrics: 404"},
		"half of metrics":    {stream, stream, cut, "", "nothing was scraped"},
		"nothing in streams": {silent, silent, scrape, "", "nothing was heard"},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/api/tail", test.tail)
			mux.HandleFunc("/api/stream", test.stream)
			mux.HandleFunc("/metrics", test.scrape)
			site := httptest.NewServer(mux)
			defer site.Close()
			o, err := operate(strings.TrimPrefix(site.URL, "http://"))
			if !says(err, test.begin) {
				if o != nil {
					_ = o.stop()
				}
				t.Fatalf("it began with %v, want %q", err, test.begin)
			}
			if err != nil {
				return
			}
			time.Sleep(scrapeEvery / 4)
			if err := o.stop(); !says(err, test.end) {
				t.Errorf("it ended with %v, want %q", err, test.end)
			}
		})
	}
}

// says reports whether an error says something, or is none where nothing is to be said.
func says(err error, what string) bool {
	if err == nil || what == "" {
		return err == nil && what == ""
	}
	return strings.Contains(err.Error(), what)
}
