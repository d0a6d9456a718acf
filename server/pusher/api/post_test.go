package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

// BenchmarkPost takes one signed event that nobody listens for, without a network.
func BenchmarkPost(b *testing.B) {
	s := pushertest.New(b, pusher.Config{})
	const body = `{"name":"e","channel":"private-orders.12","data":"{\"id\":12,\"state\":\"shipped\"}"}`
	target := pushertest.Sign("POST", "/apps/"+pushertest.ID+"/events", nil, body)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.Dialect.ServeHTTP(w, httptest.NewRequest("POST", target, strings.NewReader(body)))
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
