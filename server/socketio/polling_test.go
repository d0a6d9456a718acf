package socketio

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
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
		before, _ := s.polls.of(session)
		old, err := s.dialer()
		if err != nil {
			s.Fatal(err)
		}
		defer old.Close()
		fmt.Fprintf(old, "GET %s?%s HTTP/1.1\r\nHost: test\r\n\r\n", Path, p.query)
		s.await(session, before, nil)
		older := session.pollWait()
		newer := p.waiting()
		older.Abandoned()
		time.Sleep(quiet)
		session.Deliver(EventFrame("e", nil))
		if got := take(s.T, newer, "the event"); !slices.Equal(got, []string{`42["e",null]`}) {
			s.Errorf("the newer GET was answered %q", got)
		}
	})
}

// A client that goes away while its GET is being answered does not have the answer: its
// session ends, and does not go on without what was in it.
func TestAnswerThatNobodyGets(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		answered := p.waiting()
		g := session.pollWait()
		session.Deliver(EventFrame("e", nil))
		g.Abandoned() // as who waits for both may find the client's end first
		if reason := take(s.T, s.closed, "the end"); reason != reasonFailed.String() {
			s.Errorf("it ended with %q", reason)
		}
		<-answered
	})
}

// Two who poll with one id free each other, and would without a pause for ever: that
// ends their session. One that polls anew now and then is no such.
func TestPollsThatFreeEachOther(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		began := time.Now()
		var both sync.WaitGroup
		var polls atomic.Int64
		for range 2 {
			both.Go(func() { // until the session ends
				for {
					a, err := s.request(context.Background(), "GET", p.query, "")
					if err != nil || a.status != 200 || polls.Add(1) > 500 {
						return
					}
				}
			})
		}
		both.Wait()
		if n := polls.Load(); n > 500 {
			s.Errorf("%d polls in %v", n, time.Since(began))
		}
		take(s.T, s.closed, "the end")

		var q polling
		for i := range 100 {
			if q.overlapped(time.Duration(i+1) * pace) {
				s.Fatal("one poll in a while ends the session")
			}
		}
	})
}

// A page that is left cuts its GET: its session ends.
func TestCutPoll(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		before, _ := s.polls.of(session)
		ctx, cut := context.WithCancel(context.Background())
		defer cut()
		gone := make(chan struct{})
		go func() { // ends with cut
			_, _ = s.request(ctx, http.MethodGet, p.query, "")
			close(gone)
		}()
		s.await(session, before, nil)
		cut()
		<-gone
		if got := take(s.T, s.closed, "the end"); got != reasonClosed.String() {
			s.Errorf("ended for %s", got)
		}
		p.gone()
	})
}
