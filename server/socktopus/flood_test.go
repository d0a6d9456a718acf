package socktopus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/admission"
)

// One request with many small messages to one client that reads, several such at
// once: they are published faster than they are written, and nobody is cut off.
func TestFlood(t *testing.T) {
	s := newSite(t, Config{ReadTimeout: time.Hour})
	s.dialect.cfg().Gate = admission.New(s.loop, patience)
	ws := s.join("1")
	_ = ws.SetReadDeadline(time.Time{})
	var got atomic.Int64
	var reader sync.WaitGroup
	reader.Go(func() { // ends with the connection
		// As fast as can be: whoever does not keep up is rightly cut off.
		for room := make([]byte, 1<<20); ; {
			n, err := ws.NetConn().Read(room)
			got.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	const each, senders, sends, size = 9000, 4, 4, 70
	const frame = 2 + len("DATA:") + size // with the header of RFC 6455, section 5.2
	body := `{"secretName":"myapp","secret":"s3cret","messages":[` +
		strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"recipient":"1","content":%q},`, strings.Repeat("x", size)), each), ",") + `]}`
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for range sends {
				w := httptest.NewRecorder()
				s.dialect.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/send", strings.NewReader(body)))
				if w.Code != 200 || !strings.HasSuffix(w.Body.String(), `"failed":[]}`) {
					t.Errorf("%d, messages failed: %v, %v", w.Code, s.dialect.Stats(), s.loop.Stats())
					return
				}
			}
		})
	}
	sending.Wait()
	waitFor(t, func() bool { return got.Load() == int64(each*senders*sends*frame) })
	_ = ws.Close()
	reader.Wait()
}
