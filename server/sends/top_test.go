package sends

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// say makes a send as dialects do.
func say(f *Feed, s Send) {
	s.ID = f.Next()
	if f.Watched() {
		f.Report(s)
	}
}

// Of few sends all are counted, for the one or two windows that they are in.
func TestTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New()
		f.Remember()
		for i := range 9 {
			say(f, Send{Dialect: "pusher", App: "1", Room: "news", Event: "e", Size: 10, Handed: 3, From: "192.0.2.1:99"})
			if i%3 == 0 {
				say(f, Send{Dialect: "pusher", App: "2", Room: "news", Size: 1, From: "[2001:db8::1]:99"})
			}
		}
		say(f, Send{Dialect: "socket.io", Everyone: true, Size: 5, Handed: 7})
		time.Sleep(window + time.Second)
		say(f, Send{Dialect: "pusher", App: "1", Room: "news", Size: 10, Handed: 3, From: "192.0.2.1:98"})
		rooms, senders, since := f.Top(10)
		if got, want := fmt.Sprint(rooms), "[{pusher 1 news false false 10 0 30 100} {pusher 2 news false false 3 0 0 3} {socket.io   true false 1 0 7 5}]"; got != want {
			t.Errorf("rooms\n%s\n%s", got, want)
		}
		if got, want := fmt.Sprint(senders), "[{pusher 1 192.0.2.1 false false 10 0 30 100} {pusher 2 2001:db8:: false false 3 0 0 3} {socket.io  client false false 1 0 7 5}]"; got != want {
			t.Errorf("senders\n%s\n%s", got, want)
		}
		if since < window || since > 2*window {
			t.Errorf("of the last %v", since)
		}
		if one, _, _ := f.Top(1); len(one) != 1 {
			t.Errorf("%d of one", len(one))
		}
		time.Sleep(window)
		if rooms, _, _ := f.Top(10); len(rooms) != 1 || rooms[0].Sends != 1 {
			t.Errorf("in the next minute %v", rooms)
		}
		time.Sleep(3 * window)
		if rooms, senders, _ := f.Top(10); len(rooms)+len(senders) != 0 {
			t.Errorf("long after %v", rooms)
		}
	})
}

// Of many sends a part is looked at, and what is told is about what there was.
func TestTopOfAFlood(t *testing.T) {
	f := New()
	f.Remember()
	const each = 40_000
	for i := range 3 * each {
		say(f, Send{Dialect: "pusher", App: "1", Room: []string{"much", "much", fmt.Sprint("rare", i)}[i%3], From: "192.0.2.1:99"})
		if i == each {
			f.Second()
		}
	}
	looked := len(f.memory.recent)
	if every := f.memory.every.Load(); every != 64 {
		t.Errorf("of %d sends a second one of %d is looked at", each, every)
	}
	rooms, senders, _ := f.Top(1)
	if n := rooms[0].Sends; rooms[0].Name != "much" || n < 2*each*8/10 || n > 2*each*12/10+rooms[0].Error {
		t.Errorf("%+v, of %d", rooms[0], 2*each)
	}
	if n := senders[0].Sends; n < 3*each*8/10 || n > 3*each*12/10 {
		t.Errorf("%+v, of %d", senders[0], 3*each)
	}
	if looked != remembered {
		t.Errorf("%d are remembered", looked)
	}
	f.Second()
	f.Second() // a quiet second
	if every := f.memory.every.Load(); every != 1 {
		t.Errorf("of nothing one of %d is looked at", every)
	}
}

// A list that comes with one request has one id, however much is in it.
func TestTopOfAList(t *testing.T) {
	f := New()
	f.Remember()
	f.Next()
	for range 2 {
		for range 50_000 {
			if f.Watched() {
				f.Report(Send{Dialect: "pusher", Room: "r"})
			}
		}
		f.Second()
		if every := f.memory.every.Load(); every < 32 || every > 128 {
			t.Errorf("of 50000 sends a second with one id one of %d is looked at", every)
		}
	}
}

// Before the first second of a flood is over, not all of it is looked at either.
func TestSuddenFlood(t *testing.T) {
	f := New()
	f.Remember()
	looked := 0
	for range 1_000_000 {
		if f.Watched() {
			looked++
			f.Report(Send{Dialect: "pusher", Room: "r"})
		}
	}
	if looked > 12*4*looks {
		t.Errorf("%d were looked at", looked)
	}
}

// While somebody watches, rooms count as they do otherwise.
func TestTopWhileWatched(t *testing.T) {
	f := New()
	f.Remember()
	w, err := f.Watch(Filter{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	f.memory.every.Store(16)
	for range 3200 { // fewer than after which a flood begins
		say(f, Send{Dialect: "pusher", Room: "r"})
	}
	if rooms, _, _ := f.Top(1); len(rooms) != 1 || rooms[0].Sends < 1600 || rooms[0].Sends > 4800 {
		t.Errorf("%+v", rooms)
	}
}

// A stranger's names take no more than their part.
func TestLongNames(t *testing.T) {
	f := New()
	f.Remember()
	long := strings.Repeat("é", 10_000)
	say(f, Send{Dialect: "pusher", App: "1", Room: long, Event: long, Payload: []byte(`"secret"`), From: "nonsense"})
	rooms, senders, _ := f.Top(1)
	if !rooms[0].Cut || len(rooms[0].Name) > maxName || senders[0].Name != "unknown" {
		t.Errorf("%+v %+v", rooms[0], senders[0])
	}
	list := f.Recent("pusher", "1", long, 1)
	if len(list) != 1 || len(list[0].Event) > maxName || list[0].Payload != nil || list[0].From != "" {
		t.Errorf("%+v", list)
	}
}

func TestRecent(t *testing.T) {
	f := New()
	if f.Recent("pusher", "1", "a", 1) != nil {
		t.Error("something is remembered unasked")
	}
	if rooms, senders, since := f.Top(1); rooms != nil || senders != nil || since != 0 || f.Watched() {
		t.Error("something is counted unasked")
	}
	f.Second()
	f.Remember()
	for i := range remembered + 10 {
		say(f, Send{Dialect: "pusher", App: "1", Room: fmt.Sprint(i % 5), Event: fmt.Sprint(i)})
	}
	say(f, Send{Dialect: "pusher", App: "1", Everyone: true})
	var got []string
	for _, s := range f.Recent("pusher", "1", "2", 3) {
		got = append(got, s.Event)
	}
	if fmt.Sprint(got) != "[1032 1027 1022]" || f.Recent("pusher", "1", "", 3) != nil || f.Recent("pusher", "2", "2", 3) != nil {
		t.Error(got)
	}
}

func TestRememberingAtOnce(t *testing.T) {
	f := New()
	f.Remember()
	var saying sync.WaitGroup
	for i := range 4 {
		saying.Go(func() {
			for n := range 2000 {
				say(f, Send{Dialect: "pusher", Room: fmt.Sprint(i, n%50)})
				if n%500 == 0 {
					f.Top(5)
					f.Recent("pusher", "", "1", 5)
					f.Second()
				}
			}
		})
	}
	saying.Wait()
}

// BenchmarkSend is what a send costs here beside its id.
func BenchmarkSend(b *testing.B) {
	for name, remember := range map[string]bool{"without the operators' port": false, "with it": true} {
		b.Run(name, func(b *testing.B) {
			f := New()
			if remember {
				f.Remember()
			}
			rooms := make([]string, 1000)
			for i := range rooms {
				rooms[i] = fmt.Sprint("room-", i)
			}
			b.ReportAllocs()
			second := time.Now()
			for i := 0; b.Loop(); i++ {
				id := f.Next()
				if f.Watched() {
					f.Report(Send{ID: id, Dialect: "socket.io", Room: rooms[i%len(rooms)], Event: "e", Size: 100, Handed: 1, From: "192.0.2.1:99"})
				}
				if i%1024 == 0 && time.Since(second) > time.Second {
					second = time.Now()
					f.Second()
				}
			}
		})
	}
}
