package pusher_test

import (
	"net/http"
	"testing"

	"poosh/server/http1"
	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

// TestWhere has a client live on the loop, whatever a browser sends with its handshake,
// and cost no goroutine there.
func TestWhere(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	p := s.Open("/app/"+pushertest.Key+"?protocol=7", http.Header{
		"Accept-Encoding": {"gzip, deflate, br, zstd"}, "Accept-Language": {"en"}, "Cache-Control": {"no-cache"}, "Pragma": {"no-cache"},
		"Origin": {"http://page.test"}, "User-Agent": {"Mozilla/5.0"}, "Sec-WebSocket-Extensions": {"permessage-deflate; client_max_window_bits"},
	})
	p.Established()
	if st := s.Loop.Stats(); st.Conns != 1 || st.Goroutines != 0 {
		t.Errorf("%d clients are the loop's, %d cost goroutines", st.Conns, st.Goroutines)
	}
	for _, tt := range []struct {
		method, path string
		want         http1.Where
	}{
		{"POST", "/apps/3/events", http1.Here}, {"POST", "/apps/3/batch_events", http1.Separately},
		{"POST", "/apps/3/users/1/terminate_connections", http1.Elsewhere}, {"GET", "/apps/3/channels", http1.Elsewhere},
		{"GET", "/app/" + pushertest.Key, http1.Elsewhere}, {"OPTIONS", "/apps/3/events", http1.Elsewhere},
	} {
		r, err := http.NewRequest(tt.method, s.Server.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := pusher.Where(r); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, got, tt.want)
		}
	}
}
