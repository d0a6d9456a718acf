package peers

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestForwarded(t *testing.T) {
	loopback := Proxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"no proxy", "192.0.2.1:5", nil, "192.0.2.1:5"},
		{"a stranger's word", "192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1:5"},
		{"a proxy's word", "127.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
		{"two proxies", "127.0.0.1:5", []string{"198.51.100.7, 10.0.0.3"}, "198.51.100.7:0"},
		{"two lines", "127.0.0.1:5", []string{"198.51.100.7", "10.0.0.3"}, "198.51.100.7:0"},
		// What the client wrote itself stands before what the proxy added.
		{"a forged beginning", "127.0.0.1:5", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7:0"},
		{"rubbish behind", "127.0.0.1:5", []string{"1.1.1.1, x, 10.0.0.3"}, "10.0.0.3:0"},
		{"rubbish alone", "127.0.0.1:5", []string{"unknown"}, "127.0.0.1:5"},
		{"only proxies", "127.0.0.1:5", []string{"10.0.0.4, 10.0.0.3"}, "10.0.0.4:0"},
		{"IPv6", "127.0.0.1:5", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"a zone", "127.0.0.1:5", []string{"fe80::1%x"}, "[fe80::1]:0"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:5", []string{"::ffff:198.51.100.7"}, "198.51.100.7:0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			h := loopback.Forwarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.lines
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
