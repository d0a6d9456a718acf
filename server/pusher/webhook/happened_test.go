package webhook

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"poosh/server/pusher/tally"
)

// TestChangedAddressKeepsItsPromises has the address changed that is to be told something. Nobody
// tells it later, so it is done with.
func TestChangedAddressKeepsItsPromises(t *testing.T) {
	asked := make(chan struct{}, 100)
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer wrong.Close()
	o := Options{Key: "k", Secret: "s", Queue: 100, Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler)}
	w := New([]Config{{URL: wrong.URL}}, o)
	done := make(chan struct{}, 2)
	w.Happened("room", "", true, func() { done <- struct{}{} })
	<-asked // it waits for its next try
	w.Happened("room", "", false, func() { done <- struct{}{} })
	w.Change(nil, o)
	for range 2 {
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("what an address was to be told is not done with, and the address is gone")
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestClosedHooksLeaveWhatIsNotTold has the process end: another one is to tell.
func TestClosedHooksLeaveWhatIsNotTold(t *testing.T) {
	o := Options{Key: "k", Secret: "s", Queue: 100, Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler)}
	w := New([]Config{{URL: "http://127.0.0.1:1/"}}, o)
	fail := func() { t.Error("it is done with, and nobody was told") }
	w.Happened("room", "", true, fail)
	if w.Close(t.Context()) == nil {
		t.Error("all is delivered to nobody")
	}
	w.Happened("room", "", false, fail)
}
