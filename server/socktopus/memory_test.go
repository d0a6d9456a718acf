package socktopus

import (
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// allocated returns the status of a request to the dialect itself, and how many
// bytes were allocated to answer it.
func (s *site) allocated(path, body string, announced bool) (status int, bytes uint64) {
	s.t.Helper()
	req := httptest.NewRequest("POST", path, io.NopCloser(strings.NewReader(body)))
	if announced {
		req.ContentLength = int64(len(body))
	} else {
		req.ContentLength = -1
	}
	w := httptest.NewRecorder()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.dialect.ServeHTTP(w, req)
	runtime.ReadMemStats(&after)
	return w.Code, after.TotalAlloc - before.TotalAlloc
}

// A stranger's request costs its body and no more, whatever stands in it.
func TestRefusedRequestCostsItsBody(t *testing.T) {
	s := newSite(t, Config{})
	const size = 1 << 20
	fill := func(head, each, tail string) string {
		n := (size - len(head) - len(tail)) / len(each)
		return head + strings.Repeat(each, n) + tail
	}
	for _, test := range []struct {
		name, path, body string
		status           int
	}{
		{"many messages", "/send", fill(`{"messages":[`, `{},`, `{}]}`), 404},
		{"many messages, wrong secret", "/send", fill(`{"secretName":"myapp","secret":"x","messages":[`, `{},`, `{}]}`), 401},
		{"many messages, secret behind them", "/send", fill(`{"messages":[`, `{"content":"","recipient":""},`, `{}],"secretName":"myapp","secret":"x"}`), 401},
		{"many connections", "/kick", fill(`{"connections":[`, `"",`, `""]}`), 404},
		{"many nulls", "/kick", fill(`{"connections":[`, `null,`, `""]}`), 404},
		{"many members", "/send", fill(`{`, `"secret":"",`, `"secret":""}`), 404},
		{"a long secret", "/send", fill(`{"secretName":"myapp","secret":"`, `\u0061`, `"}`), 401},
		{"a long name", "/send", fill(`{"secretName":"`, `é`, `"}`), 404},
		{"broken bytes", "/send", fill(`{"messages":[{"content":"`, "\xff", `"}]}`), 404},
		{"deep", "/send", fill(`{"messages":`, `[`, `]}`), 400},
		{"no JSON", "/send", fill(`{"messages":[`, `{},`, `{}`), 400},
		{"a wrong type", "/send", fill(`{"messages":[`, `{},`, `1]}`), 400},
	} {
		for _, announced := range []bool{true, false} {
			most := uint64(size * 5 / 4)
			if !announced {
				most = size * 5 / 2 // the buffer grows by doubling
			}
			status, bytes := s.allocated(test.path, test.body, announced)
			if status != test.status || bytes > most {
				t.Errorf("%s (length announced: %v): %d and %d bytes, want %d and at most %d", test.name, announced, status, bytes, test.status, most)
			}
		}
	}
}

// An announced length alone costs next to nothing.
func TestAnnouncedLength(t *testing.T) {
	s := newSite(t, Config{MaxBody: 64 << 20})
	req := httptest.NewRequest("POST", "/send", strings.NewReader(`{"a`))
	req.ContentLength = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s.dialect.ServeHTTP(httptest.NewRecorder(), req)
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 128<<10 {
		t.Errorf("%d bytes", bytes)
	}
}

func TestTooManyElements(t *testing.T) {
	s := newSite(t, Config{MaxMessages: 3})
	good := `{"secretName":"myapp","secret":"s3cret",`
	for body, path := range map[string]string{
		good + `"messages":[{},{},{},{}]}`:        "/send",
		good + `"connections":["1","2","3","4"]}`: "/kick",
	} {
		if status, answer, _ := s.request("POST", path, body); status != 413 || !strings.Contains(answer, "at most 3") {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	if status, answer, _ := s.request("POST", "/send", good+`"messages":[{},{},{}]}`); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
}
