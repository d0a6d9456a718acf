package prometheus

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
)

// A page is an answer that is gathered in a buffer which is kept from one scrape to the next.
// It has the methods of a buffer, so that the library writes to it without another one
// between, and what it is written to is written once and knows how much.
type page struct {
	bytes.Buffer
	header http.Header
	status int
}

// Header implements [http.ResponseWriter].
func (p *page) Header() http.Header { return p.header }

// WriteHeader implements [http.ResponseWriter].
func (p *page) WriteHeader(status int) { p.status = status }

// pages are those that no scrape uses.
var pages = sync.Pool{New: func() any { return new(page) }}

// whole answers what next does, at once.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := pages.Get().(*page)
		p.Reset()
		p.header, p.status = w.Header(), http.StatusOK
		next.ServeHTTP(p, r)
		w.Header().Set("Content-Length", strconv.Itoa(p.Len()))
		w.WriteHeader(p.status)
		_, _ = w.Write(p.Bytes()) // who is not there any more is not told
		p.header = nil
		pages.Put(p)
	})
}
