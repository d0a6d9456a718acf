package pusher

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkPost takes one signed event that nobody listens for, without a network.
func BenchmarkPost(b *testing.B) {
	s := newSite(b, Config{})
	const body = `{"name":"e","channel":"private-orders.12","data":"{\"id\":12,\"state\":\"shipped\"}"}`
	target := sign("POST", "/apps/"+testID+"/events", nil, body)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		s.d.ServeHTTP(w, httptest.NewRequest("POST", target, strings.NewReader(body)))
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
