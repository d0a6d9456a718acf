package http1

import "net/http"

// An Account is told of the bodies that requests were answered with, in bytes.
type Account interface{ Answered(bytes int) }

// CountFor has what a request is answered counted for whose it is, in place of
// [Server.Answered]. A handler calls it before it writes, at the most once.
func CountFor(w http.ResponseWriter, whose Account) {
	for {
		switch v := w.(type) {
		case *response:
			v.account = whose
			return
		case *watched:
			v.account = whose
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return
		}
	}
}

// Answered is how many bytes the bodies of answers had that were counted for nobody else,
// those that net/http wrote among them.
func (s *Server) Answered() uint64 { return s.answered.Load() }

// count counts a body, or a part of one.
func (s *Server) count(whose Account, bytes int) {
	switch {
	case bytes == 0:
	case whose != nil:
		whose.Answered(bytes)
	default:
		s.answered.Add(uint64(bytes))
	}
}
