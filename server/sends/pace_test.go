package sends

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A page notes when something is written to it.
type page struct {
	*httptest.ResponseRecorder
	began time.Time
	at    []time.Duration
}

func (p *page) Write(b []byte) (int, error) {
	p.at = append(p.at, time.Since(p.began))
	return p.ResponseRecorder.Write(b)
}

// watched has a page watch a feed while f runs, and returns when something was written to
// it beside its beginning.
func watched(feed *Feed, f func()) *page {
	ctx, end := context.WithCancel(context.Background())
	p := &page{ResponseRecorder: httptest.NewRecorder(), began: time.Now()}
	over := make(chan struct{})
	go func() { // ends with ctx
		feed.Stream(p, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		close(over)
	}()
	synctest.Wait()
	f()
	synctest.Wait()
	end()
	<-over
	p.at = p.at[1:]
	return p
}

// A send after a pause is told at once; of those that come all the while some are gathered,
// and none is late for long.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every, lasts = 50 * time.Millisecond, 10 * time.Second
		f := New()
		p := watched(f, func() {
			time.Sleep(pace)
			f.Report(Send{ID: f.Next(), Event: "first"})
			time.Sleep(2 * time.Second)
			for range lasts / every {
				f.Report(Send{ID: f.Next(), Event: "more"})
				time.Sleep(every)
			}
			time.Sleep(2 * time.Second)
			f.Report(Send{ID: f.Next(), Event: "one"})
			time.Sleep(10 * time.Millisecond)
			f.Report(Send{ID: f.Next(), Event: "last"})
			time.Sleep(pace)
		})
		text := p.Body.String()
		if n := strings.Count(text, `"more"`); n != int(lasts/every) || !strings.Contains(text, `"first"`) || !strings.Contains(text, `"last"`) {
			t.Fatalf("%d of %d are told: %s", n, lasts/every, text)
		}
		if p.at[0] != pace || p.at[1] != pace+2*time.Second {
			t.Errorf("the first after a pause are told at %v", p.at[:2])
		}
		// Twice a second, beside those before the first and behind the last of them.
		flow, behind := p.at[1:len(p.at)-2], p.at[len(p.at)-2:]
		if len(flow) < 20 || len(flow) > 23 {
			t.Errorf("the flow is told with %d writes, at %v", len(flow), flow)
		}
		for i, at := range flow[1:] {
			if since := at - flow[i]; since < 250*time.Millisecond || since > 500*time.Millisecond {
				t.Errorf("%v are between two writes", since)
			}
		}
		if since := behind[1] - behind[0]; since != 250*time.Millisecond {
			t.Errorf("after the flow the second of two is told %v after the first", since)
		}
	})
}

// A room is looked through once for what is sent to it in a moment, and each room by itself.
func TestHiddenRoomIsFoundOnceInAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, looks := New(), make(map[string]int)
		f.Hide(func(s *Send) bool {
			looks[s.Dialect+s.App+s.Room]++
			return s.Room == "one"
		})
		p := watched(f, func() {
			for _, room := range []string{"all", "one", "all"} {
				for range 5 {
					f.Report(Send{ID: f.Next(), Dialect: "d", App: "a", Room: room, Event: room})
				}
			}
			f.Report(Send{ID: f.Next(), Dialect: "d", App: "b", Room: "all", Event: "b"})
			f.Report(Send{ID: f.Next(), Dialect: "e", App: "b", Room: "all", Event: "e"})
			f.Report(Send{ID: f.Next(), Room: "one", Everyone: true, Event: "everyone"})
			time.Sleep(time.Second)
			synctest.Wait()
			if looks["daall"] != 2 || looks["daone"] != 1 || looks["dball"] != 1 || looks["eball"] != 1 || len(looks) != 4 {
				t.Errorf("looked at %v", looks)
			}
			f.Report(Send{ID: f.Next(), Dialect: "e", App: "b", Room: "all", Event: "late"})
			time.Sleep(time.Second)
			synctest.Wait()
			if looks["eball"] != 2 {
				t.Errorf("long after it is looked at %d times", looks["eball"])
			}
		})
		text := p.Body.String()
		if n := strings.Count(text, `"all"`); strings.Contains(text, `"one"`) || !strings.Contains(text, `"everyone"`) || n != 10+3+10 {
			t.Errorf("%d, told of %s", n, text)
		}
	})
}
