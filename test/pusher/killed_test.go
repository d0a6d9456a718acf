package pusher_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A flow is a publishing that goes on by itself; what is not accepted does not end it.
type flow struct {
	rounds atomic.Int64 // that are over
	end    chan struct{}
	ended  chan struct{}
	once   sync.Once // guards the close of end
}

// flow starts one, which ends with the test at the latest. Until then nobody else may use p.
func (p *publishing) flow(t *testing.T, pages []*page) *flow {
	t.Helper()
	f := &flow{end: make(chan struct{}), ended: make(chan struct{})}
	go func() { // ends with stop
		defer close(f.ended)
		for {
			select {
			case <-f.end:
				return
			default:
			}
			_ = p.round(pages[p.rounds%len(pages)].socket()) // what failed stands in the course
			f.rounds.Add(1)
		}
	}()
	t.Cleanup(f.stop)
	return f
}

// reaches waits until every page has had something that was sent after this was called.
func (f *flow) reaches(t *testing.T, pages []*page) {
	t.Helper()
	from := int(f.rounds.Load()) + 1 // that which is under way may have begun before
	for _, page := range pages {
		eventually(t, page.id+" to have what is sent now", func() bool { return page.heard(from) })
	}
}

func (f *flow) stop() {
	f.once.Do(func() { close(f.end) })
	<-f.ended
}

// A server that is killed while events are sent, twice, takes what it kept with it. Who comes back
// has all that was accepted, or is told of each of its channels that something is missing; nothing
// comes twice.
func TestKilledWhileEventsFlow(t *testing.T) {
	s := start(t, "LOG_LEVEL=info", "PUSHER_HISTORY=1h")
	d, at := drive(t, s), newDoor(t, s.port)
	var pages []*page
	for _, w := range ways {
		p := &page{way: w, port: at.Port, echo: !w.browser}
		p.enter(s, d)
		pages = append(pages, p)
	}
	p := newPublishing(s, d)
	f := p.flow(t, pages)
	const kills = 2
	for kill := range kills {
		f.reaches(t, pages)
		time.Sleep(hold) // who is connected shorter than that may give up
		at.shut(func() {
			s.crash()
			s.launch()
		})
		for _, page := range pages {
			for _, channel := range []string{channelOf['a'], channelOf['b']} {
				d.wait(page.id, "channel", "pusher:resume_failed", channel, kill+1)
			}
		}
	}
	f.reaches(t, pages)
	f.stop()
	p.through(t, pages)
	for _, page := range pages {
		if _, told := page.judge(t, p.course); told != 2*kills {
			t.Errorf("%s was told %d times that something is missing, want %d", page.id, told, 2*kills)
		}
	}
	unsure := 0
	for _, sent := range p.sent {
		unsure += len(sent.unsure)
	}
	t.Logf("%d rounds of events, %d were not accepted as far as anybody knows", p.rounds, unsure)
	if unsure == 0 {
		t.Error("no event was sent when the server was killed")
	}
}
