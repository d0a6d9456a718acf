package rotation

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each use counts, and each address is spoken of now and then.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := New("pusher", "shop", slog.New(slog.NewTextHandler(&log, nil)))
		for range 3 {
			w.Used(Sender, "192.0.2.1:1000")
		}
		w.Used(Client, "192.0.2.2:1000")
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "dialect=pusher app=shop by=sender remote=192.0.2.1:1000 times=1") || !strings.Contains(lines[1], "by=client remote=192.0.2.2:1000") {
			t.Errorf("the log has\n%s", &log)
		}
		for n := range 2000 {
			w.Used(Client, fmt.Sprintf("10.1.%d.%d:1", n/250, n%250))
		}
		if n := strings.Count(log.String(), "by=client"); n != 1 {
			t.Errorf("%d lines about clients, want one", n)
		}
		w.Used(Sender, "192.0.2.2:1000") // is somebody else than the client from there
		if n := strings.Count(log.String(), "by=sender"); n != 2 {
			t.Errorf("%d lines about senders, want two", n)
		}
		time.Sleep(sayEvery)
		log.Reset()
		w.Used(Sender, "192.0.2.1:1001")
		if !strings.Contains(log.String(), "times=5") {
			t.Errorf("after %v the log has %q", sayEvery, &log)
		}
		if got := fmt.Sprint(w.Samples()); !strings.Contains(got, "5") || !strings.Contains(got, "2001") {
			t.Error(got)
		}
	})
}

// Strangers cannot have it remember more than so many addresses.
func TestWatchIsBounded(t *testing.T) {
	w := New("pusher", "shop", slog.New(slog.DiscardHandler))
	for n := range 2 * maxAddresses {
		w.Used(Sender, fmt.Sprintf("10.0.%d.%d:1", n/250, n%250))
	}
	if n := w.said.Len(); n != maxAddresses {
		t.Errorf("%d addresses are known, want %d", n, maxAddresses)
	}
}
