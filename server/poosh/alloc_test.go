//go:build !race

package poosh

import (
	"log/slog"
	"testing"

	"poosh/server/hub"
)

// TestSendAllocations is the budget of one send on the loop: the publication, its room,
// its event, its payload and the header. sync.Pool drops items at random under the race
// detector, so it is not counted there.
func TestSendAllocations(t *testing.T) {
	a := NewAPI(Config{Secret: apiSecret}, hub.New(), slog.New(slog.DiscardHandler))
	h := a.Router()
	for _, payload := range []string{`{"id":17,"text":"lorem ipsum"}`, `{ "url": "http:\/\/example.com\/\u00e9" }`} {
		s := newSender(`{"room":"r","event":"news","payload":`+payload+`}`, payload)
		if n := testing.AllocsPerRun(200, func() { s.send(h) }); n > 5 {
			t.Errorf("%s: %v allocations", payload, n)
		}
	}
	if a.Stats().Sent == 0 {
		t.Error("nothing was sent")
	}
}
