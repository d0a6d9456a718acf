package route

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// mounted is a router whose handlers say who they are and what they saw.
func mounted() *Router {
	says := func(who string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, who, Param(r, "part")) }
	}
	rt := New(func(r *http.Request) string { return strings.ToLower(r.URL.EscapedPath()) })
	rt.Wrong(says("wrong"))
	rt.NotFound(says("nothing"))
	rt.On("/a", Methods{"GET": says("a"), "POST": says("a-post"), "OPTIONS": says("a-options")})
	rt.On("/b/fixed", Methods{"POST": says("fixed")})
	rt.On("/b/*", Methods{"GET": says("rest")})
	rt.On("/c/{part}/d", Methods{"GET": says("c-")})
	rt.HandleFunc("/all", says("all"))
	return rt
}

func TestRouter(t *testing.T) {
	rt := mounted()
	for _, row := range []struct{ method, path, want, allow string }{
		{"GET", "/a", "a", ""},
		{"GET", "/A", "a", ""},
		{"POST", "/a", "a-post", ""},
		{"HEAD", "/a", "wrong", "GET, POST, OPTIONS"},
		{"PROPFIND", "/a", "wrong", "GET, POST, OPTIONS"},
		{"TRACE", "/a", "wrong", "GET, POST, OPTIONS"},
		{"GET", "/a/", "nothing", ""},
		{"PROPFIND", "/none", "nothing", ""},
		{"PROPFIND", "/all", "all", ""},
		{"GET", "/b/fixed", "wrong", "POST"}, // not the rest's
		{"POST", "/b/fixed", "fixed", ""},
		{"GET", "/b/x/y", "rest", ""},
		{"GET", "/c/x/d", "c-x", ""},
		{"GET", "/c/x%2fy/d", "c-x/y", ""},
		{"GET", "/c/x/y/d", "nothing", ""},
	} {
		plain := httptest.NewRequest(row.method, "http://h"+row.path, nil)
		// Again and again with the same state, as on the loop.
		for _, r := range []*http.Request{plain, plain.WithContext(Context())} {
			for range 2 {
				w := httptest.NewRecorder()
				rt.ServeHTTP(w, r)
				if w.Body.String() != row.want || w.Header().Get("Allow") != row.allow {
					t.Errorf("%s %s: %s, Allow %q; want %s, %q", row.method, row.path, w.Body, w.Header().Get("Allow"), row.want, row.allow)
				}
			}
		}
	}
}

func TestWrongMethodByDefault(t *testing.T) {
	rt := New(Decoded)
	rt.On("/a", Methods{"GET": func(http.ResponseWriter, *http.Request) {}})
	w := httptest.NewRecorder()
	rt.ServeHTTP(w, httptest.NewRequest("POST", "/%61", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET" {
		t.Error(w.Code, w.Header())
	}
}

type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

// A request that comes with its state costs nothing on a fixed path.
func TestRoutingAllocatesNothing(t *testing.T) {
	rt := New(Decoded)
	rt.On("/socket.io/", Methods{"GET": func(http.ResponseWriter, *http.Request) {}})
	r := httptest.NewRequest("GET", "/socket.io/?transport=polling", nil).WithContext(Context())
	w := nowhere{http.Header{}}
	if n := testing.AllocsPerRun(100, func() { rt.ServeHTTP(w, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRoute(b *testing.B) {
	rt := New(Decoded)
	rt.On("/socket.io/", Methods{"GET": func(http.ResponseWriter, *http.Request) {}})
	w := nowhere{http.Header{}}
	for name, ctx := range map[string]*http.Request{
		"with its state":    httptest.NewRequest("GET", "/socket.io/", nil).WithContext(Context()),
		"without its state": httptest.NewRequest("GET", "/socket.io/", nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rt.ServeHTTP(w, ctx)
			}
		})
	}
}
