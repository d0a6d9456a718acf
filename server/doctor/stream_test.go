package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
	"time"
)

// A streamer serves /events as a test wants: each of its acts goes on with the answer.
type streamer struct {
	w      http.ResponseWriter
	r      *http.Request
	events <-chan string
}

// say writes a part of a stream at once.
func (s *streamer) say(text string) {
	fmt.Fprint(s.w, text)
	s.w.(http.Flusher).Flush()
}

func (s *streamer) begin() {
	s.w.Header().Set("Content-Type", streamType+"; charset=utf-8")
	s.w.Header().Set("Access-Control-Allow-Origin", s.r.Header.Get("Origin"))
	s.w.Header().Set("Access-Control-Allow-Credentials", "true")
	s.w.WriteHeader(http.StatusOK)
	s.w.(http.Flusher).Flush()
}

func (s *streamer) connected() { s.say("retry: 1000\n\nevent: " + streamConnected + "\ndata: {}\n\n") }

// pass hands an event on, so long after it was sent.
func (s *streamer) pass(after time.Duration) {
	select {
	case event := <-s.events:
		time.Sleep(after)
		s.say("event: " + event + "\ndata: 1\n\n")
	case <-s.r.Context().Done():
	}
}

func (s *streamer) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.r.Context().Done():
	}
}

// exam is one of a server that serves streams so.
func (serve streaming) exam(t *testing.T) *exam {
	t.Helper()
	events := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve(&streamer{w, r, events})
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	x := &exam{Config: Config{URL: at, Events: true}, host: at.Hostname(), port: at.Port(), to: netip.MustParseAddrPort(at.Host), connect: time.Hour}
	x.Send = func(_ context.Context, _, event string) (int, error) {
		events <- event
		return 1, nil
	}
	return x
}

type streaming func(s *streamer)

// What is wrong with a stream is named, and what is not its own fault is not.
func TestStreams(t *testing.T) {
	const lately = slack + slack/2
	for name, row := range map[string]struct {
		serve      streaming
		meant      bool
		want       string
		good, skip int
	}{
		"good":              {func(s *streamer) { s.begin(); s.connected(); s.pass(0) }, false, "", 2, 0},
		"begins late":       {func(s *streamer) { s.wait(lately); s.begin(); s.connected(); s.pass(0) }, false, "buffering", 1, 0},
		"an event is late":  {func(s *streamer) { s.begin(); s.connected(); s.pass(lately) }, false, "buffering", 1, 0},
		"ends before it":    {func(s *streamer) { s.begin(); s.connected() }, false, "canary", 1, 0},
		"is full":           {func(s *streamer) { s.begin(); s.say("retry: 5000\n\n: too many connections\n\n") }, false, "", 1, 1},
		"of another type":   {func(s *streamer) { s.w.Header().Set("Content-Type", "text/plain"); s.connected(); s.wait(time.Minute) }, false, "stream-type", 0, 0},
		"compressed":        {func(s *streamer) { s.w.Header().Set("Content-Encoding", "gzip"); s.begin() }, false, "compressed", 1, 0},
		"not there":         {func(s *streamer) { s.w.WriteHeader(http.StatusNotFound) }, false, "", 0, 1},
		"not there, meant":  {func(s *streamer) { s.w.WriteHeader(http.StatusNotFound) }, true, "stream-not-passed", 0, 0},
		"a page":            {func(s *streamer) { s.say("<!doctype html>") }, true, "stream-not-passed", 0, 0},
		"of another origin": {func(s *streamer) { s.w.WriteHeader(403); s.say(`{"error":"pages of this origin may not ask"}`) }, true, "", 0, 1},
		"hangs up":          {func(*streamer) { panic(http.ErrAbortHandler) }, true, "stream-not-passed", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := row.serve.exam(t)
			x.EventsMeant = row.meant
			x.streams(t.Context())
			if got := x.found(); got != row.want || len(x.report.Good) != row.good || len(x.report.NotLooked) != row.skip {
				t.Errorf("%q, want %q: %+v", got, row.want, x.report)
			}
		})
	}
}

// An idle stream has to live until the heartbeat, and where there is the patience beyond it.
func TestIdleStream(t *testing.T) {
	const interval = 300 * time.Millisecond
	beat := func(s *streamer) { s.wait(interval); s.say(": \n\n") }
	begun := func(s *streamer) { s.begin(); s.connected() }
	for name, row := range map[string]struct {
		serve      streaming
		patience   time.Duration
		want       string
		good, skip int
	}{
		"good":          {func(s *streamer) { begun(s); beat(s); s.wait(time.Minute) }, interval, "", 1, 0},
		"good for long": {func(s *streamer) { begun(s); beat(s); beat(s); s.wait(time.Minute) }, 3 * interval, "", 1, 0},
		"good for very long": {func(s *streamer) {
			for begun(s); s.r.Context().Err() == nil; {
				beat(s)
			}
		}, behind + 3*interval, "", 1, 0},
		"one heartbeat alone":    {func(s *streamer) { begun(s); beat(s); s.wait(time.Minute) }, time.Minute, "heartbeat-lost", 0, 0},
		"cut before":             {func(s *streamer) { begun(s); s.wait(interval / 3) }, interval, "idle-timeout", 0, 0},
		"cut behind it":          {func(s *streamer) { begun(s); beat(s) }, time.Minute, "stream-cut", 0, 0},
		"cut behind, impatience": {func(s *streamer) { begun(s); beat(s) }, interval, "", 1, 0},
		"no heartbeat":           {func(s *streamer) { begun(s); s.wait(time.Minute) }, interval, "heartbeat-lost", 0, 0},
		"events for everybody":   {func(s *streamer) { begun(s); s.say("event: x\ndata: 1\n\n"); beat(s); s.wait(time.Minute) }, interval, "", 0, 1},
		"the server goes":        {func(s *streamer) { begun(s); s.say("event: " + streamClosed + "\ndata: {}\n\n") }, interval, "", 0, 1},
		"does not begin":         {func(s *streamer) { s.begin() }, interval, "", 0, 0},
		"is not there":           {func(s *streamer) { s.w.WriteHeader(http.StatusNotFound) }, interval, "", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := row.serve.exam(t)
			x.Patience = row.patience
			x.idleStream(t.Context(), interval)
			if got := x.found(); got != row.want || len(x.report.Good) != row.good || len(x.report.NotLooked) != row.skip {
				t.Errorf("%q, want %q: %+v", got, row.want, x.report)
			}
		})
	}
}
