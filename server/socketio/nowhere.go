package socketio

import "net/http"

// nowhere is the http.ResponseWriter of a request that nobody made and that is over:
// what is written to it is gone. Its header belongs to one goroutine.
type nowhere struct{ header http.Header }

// Header implements [http.ResponseWriter].
func (n nowhere) Header() http.Header { return n.header }

// WriteHeader implements [http.ResponseWriter].
func (nowhere) WriteHeader(int) {}

// Write implements [http.ResponseWriter].
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
