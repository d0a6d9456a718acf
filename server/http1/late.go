package http1

import "net/http"

// AnswerLater answers a request once somebody knows with what. begin is called at once, and answer
// is to be called once, from any goroutine and maybe before begin returns, with no lock held; it never blocks. On the
// loop AnswerLater returns at once, elsewhere it waits for the answer or for the end of the
// request's context, so that a handler does not have to know where it is: the last thing it does
// is to call this. The request is not to be looked at when begin has returned. header and
// body must not change any more when they were given.
//
// What the handler has set of the status and the header counts for nothing.
func AnswerLater(w http.ResponseWriter, r *http.Request, begin func(answer func(status int, header http.Header, body []byte))) {
	if p, ok := Later(w, unconcerned{}); ok {
		begin(p.AnswerWith)
		return
	}
	type whole struct {
		lateHead
		body []byte
	}
	answers := make(chan whole, 1)
	begin(func(status int, header http.Header, body []byte) { answers <- whole{lateHead{status, header}, body} })
	select {
	case a := <-answers:
		h := w.Header()
		clear(h)
		for name, values := range a.header {
			h[name] = values
		}
		if a.status != 0 {
			w.WriteHeader(a.status)
		}
		_, _ = w.Write(a.body) // who is gone does not want it
	case <-r.Context().Done():
	}
}

// unconcerned is a [Waiter] to whom it is all the same: what was asked for happens in any case.
type unconcerned struct{}

func (unconcerned) Abandoned() {}
