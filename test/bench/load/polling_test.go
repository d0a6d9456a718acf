//go:build linux

package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// A polling client asks for a session, says what its protocol demands, and fetches
// events and answers pings from then on, one request after the other.
func TestPollingClientsJoinAndCount(t *testing.T) {
	scripts := map[Protocol][][2]string{ // what each request must be, and its answer
		Poll4: {
			{"GET ", `0{"sid":"s1"}`}, {"POST 40", "ok"}, {"GET ", `40{"sid":"n1"}`},
			{`POST 42["room","bench"]`, "ok"},
			{"GET ", string(message(0, 0)) + "\x1e2"}, {"POST 3", "ok"},
			{"GET ", string(message(0, 1)) + "\x1e" + string(message(0, 2))},
		},
		Poll3: {
			{"GET ", "\x00\x01\x05\xff" + `0{"sid":"s1"}`}, {`POST 18:42["room","bench"]`, "ok"},
			{"GET ", "40"}, {"GET ", string(message(0, 0)) + string(message(0, 1))}, {"GET ", string(message(0, 2))},
		},
	}
	joinedAt := map[Protocol]int{Poll4: 4, Poll3: 2} // the first request for events
	for p, script := range scripts {
		t.Run(p.String(), func(t *testing.T) {
			var step atomic.Int32
			expected := make(chan struct{})
			wrong := make(chan string, 100)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				i := int(step.Add(1)) - 1
				if i >= len(script) {
					<-r.Context().Done()
					return
				}
				body, _ := io.ReadAll(r.Body)
				sid := r.URL.Query().Get("sid")
				if got := r.Method + " " + string(body); got != script[i][0] || (sid == "s1") != (i > 0) {
					wrong <- fmt.Sprintf("request %d is %q of session %q, want %q", i, got, sid, script[i][0])
				}
				if i == joinedAt[p] {
					<-expected
				}
				io.WriteString(w, script[i][1])
			}))
			defer s.Close()
			c := crowd(t, netip.MustParseAddrPort(s.Listener.Addr().String()), p)
			_, err := c.Connect(1, 5*time.Second)
			c.Expect(0, 3, 1)
			close(expected)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Pump(5*time.Second, c.Result().Complete); err != nil {
				t.Fatal(err)
			}
			if err := c.Result().Err(); err != nil {
				t.Error(err)
			}
			c.Close()
			select {
			case text := <-wrong:
				t.Error(text)
			default:
			}
		})
	}
}

func TestResponsesThatAreNotWhole(t *testing.T) {
	whole := "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
	for i := range whole {
		if body, need, err := nextResponse([]byte(whole[:i])); err != nil || len(body) == 2 || need > 0 && need != len(whole) {
			t.Errorf("of %q: %q, %d, %v", whole[:i], body, need, err)
		}
	}
	if body, need, err := nextResponse([]byte(whole)); string(body) != "ok" || need != len(whole) || err != nil {
		t.Errorf("%q, %d, %v", body, need, err)
	}
	for _, bad := range []string{"HTTP/1.1 401 Unauthorized\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"} {
		if _, _, err := nextResponse([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
