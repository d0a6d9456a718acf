package socketio

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

// A client that gives its GET up for a newer one keeps its session.
func TestNewerPoll(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		// The older GET is answered with nothing; that it cannot be written is no loss.
		old, err := net.Dial("tcp", s.addr)
		if err != nil {
			s.Fatal(err)
		}
		defer old.Close()
		fmt.Fprintf(old, "GET %s?%s HTTP/1.1\r\nHost: test\r\n\r\n", Path, p.query)
		eventually(s.T, "the older GET to wait", func() bool { return session.pollWait() != nil })
		older := session.pollWait()
		newer := p.waiting()
		older.Gone(true)
		older.Gone(false)
		time.Sleep(quiet)
		session.Deliver(EventFrame("e", nil))
		if got := take(s.T, newer, "the event"); !slices.Equal(got, []string{`42["e",null]`}) {
			s.Errorf("the newer GET was answered %q", got)
		}
	})
}

// A page that is left cuts its GET: its session ends.
func TestCutPoll(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		ctx, cut := context.WithCancel(context.Background())
		defer cut()
		gone := make(chan struct{})
		go func() { // ends with cut
			_, _ = s.request(ctx, http.MethodGet, p.query, "")
			close(gone)
		}()
		eventually(s.T, "the GET to wait", func() bool { return session.pollWait() != nil })
		cut()
		<-gone
		if got := take(s.T, s.closed, "the end"); got != string(reasonClosed) {
			s.Errorf("ended for %s", got)
		}
		p.gone()
	})
}
