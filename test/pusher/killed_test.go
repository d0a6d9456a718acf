package pusher_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A flow is a publishing that goes on by itself, whatever becomes of the server: what is not
// accepted stands in the course.
type flow struct {
	*publishing
	over  atomic.Int64 // rounds
	end   chan struct{}
	ended chan struct{}
	once  sync.Once // guards the close of end
}

// flow starts one, which ends with the test at the latest. Until then nobody else may use p, or
// enter a page.
func (p *publishing) flow(t *testing.T, pages []*page) *flow {
	t.Helper()
	f := &flow{publishing: p, end: make(chan struct{}), ended: make(chan struct{})}
	go func() { // ends with stop
		defer close(f.ended)
		for {
			select {
			case <-f.end:
				return
			default:
			}
			_ = p.round(pages[p.rounds%len(pages)].socket())
			f.over.Add(1)
		}
	}()
	t.Cleanup(f.stop)
	return f
}

// reaches waits until every page has had something that was sent after this was called, and is
// connected for so long that it does not give up when it is cut off.
func (f *flow) reaches(t *testing.T, pages []*page) {
	t.Helper()
	from := int(f.over.Load()) + 1 // that which is under way may have begun before
	for _, page := range pages {
		eventually(t, page.id+" to have what is sent now", func() bool {
			f.d.lives()
			return page.heard(from)
		})
	}
	time.Sleep(hold)
}

func (f *flow) stop() {
	f.once.Do(func() { close(f.end) })
	<-f.ended
}

// unsure is how many events nobody knows of whether they were accepted.
func (c *course) unsure() (n int) {
	for _, sent := range c.sent {
		n += len(sent.unsure)
	}
	return n
}

// accepted is how many events were accepted between two moments.
func (c *course) accepted(from, to time.Time) (n int) {
	for _, sent := range c.sent {
		for i, done := range sent.done {
			if sent.unsure[i] == "" && done.After(from) && done.Before(to) {
				n++
			}
		}
	}
	return n
}

// openFlow opens pages of every version behind a door, with Echo and without, while events flow.
func openFlow(t *testing.T, env ...string) (*flow, *door, []*page) {
	t.Helper()
	s := start(t, append(env, "LOG_LEVEL=info", "PUSHER_HISTORY=1h")...)
	d, at := drive(t, s), newDoor(t, s.port)
	var pages []*page
	for _, echo := range []bool{false, true} {
		for _, w := range ways {
			if w.browser && echo {
				continue
			}
			p := &page{way: w, port: at.Port, echo: echo, user: fmt.Sprint(w.name, " ", echo)}
			p.enter(s, d)
			pages = append(pages, p)
		}
	}
	return newPublishing(s, d).flow(t, pages), at, pages
}

// A server that is killed while events are sent, again and again, takes what it kept with it,
// though there was a file of an end in order once. Who comes back has all that was accepted
// before, or is told of each of its channels that something is missing; from there on nothing is,
// and nothing comes twice or in another order.
func TestKilledWhileEventsFlow(t *testing.T) {
	f, at, pages := openFlow(t, "HISTORY_FILE="+filepath.Join(t.TempDir(), "history"))
	const kills = 3
	for kill := range kills {
		f.reaches(t, pages)
		at.shut(func() {
			f.s.crash()
			f.s.launch()
		})
		for _, page := range pages {
			for _, channel := range channels {
				f.d.wait(page.id, "channel", "pusher:resume_failed", channel, kill+1)
			}
		}
	}
	f.reaches(t, pages)
	f.stop()
	f.through(t, pages)
	for _, page := range pages {
		if _, told := page.judge(t, f.course, usersOf(pages)); told != kills*len(channels) {
			t.Errorf("%s was told %d times that something is missing, want %d", page.id, told, kills*len(channels))
		}
	}
	t.Logf("%d rounds of events, of %d events nobody knows", f.rounds, f.unsure())
	if f.unsure() == 0 {
		t.Error("no event was sent when the server was killed")
	}
}

// A server that ends in order while events are sent and clients leave in an even stream, again
// and again, loses nothing: who comes back has all that was accepted, also after it had left,
// once and in order, and nobody is told that anything is missing.
func TestRestartsWhileEventsFlow(t *testing.T) {
	f, at, pages := openFlow(t, "HISTORY_FILE="+filepath.Join(t.TempDir(), "history"),
		"DRAIN_DELAY=300ms", "DRAIN_TIME=2s", "SHUTDOWN_TIMEOUT=20s")
	const restarts = 2
	var begun, ended [restarts]time.Time
	for i := range restarts {
		f.reaches(t, pages)
		at.shut(func() {
			begun[i] = time.Now()
			f.s.stop()
			ended[i] = time.Now()
			f.s.launch()
		})
	}
	f.reaches(t, pages)
	f.stop()
	f.through(t, pages)
	for _, page := range pages {
		if connections, told := page.judge(t, f.course, usersOf(pages)); told > 0 || connections != 1+restarts {
			t.Errorf("%s had %d connections, want %d, and was told %d times that something is missing", page.id, connections, 1+restarts, told)
		}
	}
	for i := range restarts {
		n := f.accepted(begun[i], ended[i])
		if n == 0 {
			t.Error("no event was accepted while the server ended")
		}
		t.Logf("%d events were accepted while the server ended", n)
	}
	t.Logf("%d rounds of events, of %d events nobody knows", f.rounds, f.unsure())
}
