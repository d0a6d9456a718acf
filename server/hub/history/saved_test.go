package history

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/handover"
	"poosh/server/hub"
)

// saved is the log as a part of a file.
func saved(t testing.TB, l *Log) []byte {
	t.Helper()
	b := new(bytes.Buffer)
	w := handover.NewWriter(context.Background(), b)
	l.Save(w)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func restore(l *Log, part []byte, written time.Time) (Restored, error) {
	return l.Restore(handover.NewReader(bytes.NewReader(part), int64(len(part))), written)
}

// A log goes on where it ended, with its positions and what was cut.
func TestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Age: time.Minute, Events: 3}
		l := New(cfg, "", "other", "gone")
		for i := range 5 {
			put(l, "r", string(rune('a'+i)), 10)
		}
		put(l, "s", "x", 0)
		l.Append(&hub.Publication{Everyone: true, Event: "all", Data: []byte{0xff}}, func(hub.Position) {})
		l.Append(&hub.Publication{App: "gone", Room: "r", Event: "nobody keeps it now"}, func(hub.Position) {})
		l.Append(&hub.Publication{App: "other", Room: "r", Event: "theirs"}, func(hub.Position) {})
		epoch := l.apps[""].epoch
		part, written := saved(t, l), time.Now()
		// What comes behind that has positions that the next one does not know.
		behind := put(l, "r", "behind the end", 0)
		time.Sleep(30 * time.Second)
		again := New(cfg, "", "other")
		done, err := restore(again, part, written)
		if err != nil || done.Events != 6 || done.Late != 0 {
			t.Fatalf("%+v, %v", done, err)
		}
		again.check(t)
		if got := read(again, "r", 2); got != "c@3 d@4 e@5 true" {
			t.Error(got)
		}
		if got := read(again, "r", 1); got != "c@3 d@4 e@5 false" {
			t.Error(got)
		}
		if got := read(again, "r", behind); got != "false" {
			t.Errorf("a position from behind the end gives %q", got)
		}
		n := put(again, "r", "f", 0)
		if n <= 7+leastGap || again.apps[""].epoch != epoch {
			t.Errorf("goes on with %d", n)
		}
		if got, want := read(again, "r", 7), fmt.Sprintf("f@%d true", n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := read(again, "r", n-1); got != fmt.Sprintf("f@%d true", n) {
			t.Errorf("who came before the first event is given %q", got)
		}
		if got := events(again.Read("", []hub.Span{{Everyone: true, After: 6, UpTo: n}}, always)); got != "all@7 true" {
			t.Error(got)
		}
		if got := events(again.Read("other", all("r"), always)); got != "theirs@1 true" {
			t.Errorf("another app has %q", got)
		}
		for _, after := range []uint64{behind, n - 2} { // with something behind it too
			if got := read(again, "r", after); got != fmt.Sprintf("f@%d false", n) {
				t.Errorf("a position from behind the end, %d, gives %q", after, got)
			}
		}
		time.Sleep(31 * time.Second)
		if got := read(again, "r", 7); got != fmt.Sprintf("f@%d true", n) {
			t.Errorf("a minute after they were sent: %q", got)
		}
		again.check(t)
	})
}

// sinceIs reads what entered a room, or reached everyone if that is empty, from a time on.
func sinceIs(l *Log, room string, at time.Time) string {
	return events(l.Read("", []hub.Span{{Room: room, Everyone: room == "", Since: at, UpTo: 1 << 50}}, always))
}

// Who asks for what came since a time is told that something of it may be missing where that
// is so, and only there, by a log that goes on as by the one before.
func TestGoesOnWithTimesOfWhatWasDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Age: time.Minute, Events: 2}
		l, began := New(cfg, ""), time.Now()
		at := func(seconds float64) time.Time {
			return began.Add(time.Duration(seconds * float64(time.Second)))
		}
		everyone := func() {
			l.Append(&hub.Publication{Everyone: true, Event: "all"}, func(hub.Position) {})
		}
		put(l, "gone", "0", 0) // dropped for its age, with all of its room
		for _, event := range []string{"a", "b", "c"} {
			time.Sleep(10 * time.Second)
			put(l, "r", event, 0) // a, at 10 s, is dropped for its room's bound
			everyone()
		}
		time.Sleep(31 * time.Second)
		l.Stats()               // which drops what is too old
		put(l, "later", "d", 0) // of a room that begins behind what was dropped
		never, _ := l.apps[""].quiet.apart("gone", "later")
		for goesOn := range 2 { // of what goes on, too, which knows less of quiet rooms
			for _, tt := range []struct {
				room  string
				since time.Time
				whole bool
			}{
				{"r", at(9), false}, {"r", at(10), false}, {"r", at(10.5), true}, {"r", at(29), true}, {"r", at(40), true},
				{"", at(10), false}, {"", at(10.5), true}, {"", at(40), true},
				{"gone", at(0), false}, {"gone", at(0.5), true},
				{"later", at(1), true}, {"later", at(60), true},
				{never, at(0), goesOn == 0}, {never, at(1), true},
			} {
				x := l.Read("", []hub.Span{{Room: tt.room, Everyone: tt.room == "", Since: tt.since, UpTo: 1 << 50}}, always)
				if x.Whole != tt.whole {
					t.Errorf("%q since %v: whole is %v", tt.room, tt.since.Sub(began), x.Whole)
				}
			}
			if got := sinceIs(l, "r", at(10.5)); got != "b@4 c@6 true" {
				t.Error(got)
			}
			again := New(cfg, "")
			if _, err := restore(again, saved(t, l), time.Now()); err != nil {
				t.Fatal(err)
			}
			again.check(t)
			l = again
		}
	})
}

// What was before the oldest gap that is known is gone as if it were too old: since when, is
// known.
func TestTimesOfWhatWasForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, began := New(Config{Age: time.Hour}, ""), time.Now()
		put(l, "quiet", "never seen again", 0)
		put(l, "r", "first", 0)
		for range 2 * maxGaps {
			again := New(Config{Age: time.Hour}, "")
			if _, err := restore(again, saved(t, l), time.Now()); err != nil {
				t.Fatal(err)
			}
			l = again
			time.Sleep(time.Second)
			put(l, "r", "e", 0)
		}
		l.check(t)
		for _, tt := range []struct {
			since time.Duration
			whole bool
		}{{0, false}, {5 * time.Second, false}, {(maxGaps - 1) * time.Second, false}, {maxGaps * time.Second, true}} {
			for _, room := range []string{"r", "quiet"} {
				x := l.Read("", []hub.Span{{Room: room, Since: began.Add(tt.since), UpTo: 1 << 50}}, always)
				if x.Whole != tt.whole {
					t.Errorf("%q since %v: whole is %v, with %d events", room, tt.since, x.Whole, len(x.List))
				}
			}
		}
	})
}

// All of a publication is in the file: what is to be known of one later belongs there too.
func TestAllOfAPublicationIsSaved(t *testing.T) {
	l := New(Config{Age: time.Minute}, "app")
	p := hub.Publication{App: "app"}
	v := reflect.ValueOf(&p).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case v.Type().Field(i).Name == "App", f.Kind() == reflect.Bool:
		case v.Type().Field(i).Name == "Cached": // for a broker, which has it by then
		case f.Kind() == reflect.String:
			f.SetString(v.Type().Field(i).Name + "\xff")
		default:
			f.SetBytes([]byte{0, 1, 0xff})
		}
	}
	l.Append(&p, func(hub.Position) {})
	narrowed := hub.Publication{App: "app", Event: "e"}
	narrowed.Narrow(hub.Union{Rooms: []string{"of two\xff", "another"}, Except: []string{"x", ""}})
	l.Append(&narrowed, func(hub.Position) {})
	again := New(Config{Age: time.Minute}, "app")
	if _, err := restore(again, saved(t, l), time.Now()); err != nil {
		t.Fatal(err)
	}
	x := again.Read("app", all(p.Room), always)
	if len(x.List) != 1 || !reflect.DeepEqual(x.List[0].Publication, p) {
		t.Errorf("%+v is %+v", p, x.List)
	}
	narrowed.Room, narrowed.Everyone = "another", false // a copy for each
	x = again.Read("app", all(narrowed.Room), always)
	if len(x.List) != 1 || !reflect.DeepEqual(x.List[0].Publication, narrowed) {
		t.Errorf("%+v is %+v", narrowed, x.List)
	}
}

// What is read is bounded as what is published, by the bounds that hold now; what was kept
// for longer than an app keeps anything is not gone on with.
func TestRestoreWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Age: time.Hour}, "")
		for i := range 100 {
			put(l, strconv.Itoa(i%2), "e", 1000)
			time.Sleep(time.Second)
		}
		part, written := saved(t, l), time.Now()
		for name, tt := range map[string]struct {
			cfg    Config
			after  time.Duration
			events int
			late   int
		}{
			"all":             {Config{Age: time.Hour}, 0, 100, 0},
			"events":          {Config{Age: time.Hour, Events: 7}, 0, 14, 0},
			"bytes":           {Config{Age: time.Hour, Bytes: 15_000}, 0, 11, 0},
			"age":             {Config{Age: 31 * time.Second}, 0, 31, 0},
			"nothing is left": {Config{Age: 31 * time.Second}, 32 * time.Second, 0, 1},
		} {
			again := New(tt.cfg, "")
			epoch := again.apps[""].epoch
			done, err := restore(again, part, written.Add(-tt.after))
			if err != nil || done.Late != tt.late || done.Events != tt.events {
				t.Errorf("%s: %+v, %v; want %d", name, done, err, tt.events)
			}
			if tt.late > 0 && again.apps[""].epoch != epoch {
				t.Errorf("%s: positions of a log that is too old are good", name)
			}
			if got := again.Stats().Bytes; got > again.apps[""].cfg.Bytes {
				t.Errorf("%s: %d bytes", name, got)
			}
			again.check(t)
		}
	})
}

// Restarts go on and on: what is told stays right, and what is known of them is bounded.
func TestManyRestarts(t *testing.T) {
	l := New(Config{Age: time.Hour}, "")
	first := put(l, "r", "first", 0)
	var last uint64
	for i := range 3 * maxGaps {
		again := New(Config{Age: time.Hour}, "")
		if _, err := restore(again, saved(t, l), time.Now()); err != nil {
			t.Fatal(i, err)
		}
		l = again
		l.check(t)
		last = put(l, "r", "e"+strconv.Itoa(i), 0)
	}
	if n := len(l.apps[""].gaps); n > maxGaps {
		t.Errorf("%d gaps", n)
	}
	if got := l.Read("", []hub.Span{{Room: "r", After: first, UpTo: last}}, always); got.Whole {
		t.Error("what was before the oldest gap that is known is told to be whole")
	}
	if got := l.Read("", []hub.Span{{Room: "r", After: l.apps[""].gaps[3].after, UpTo: last}}, always); !got.Whole || len(got.List) == 0 {
		t.Errorf("what was after it is not: %d", len(got.List))
	}
	if got := l.Read("", []hub.Span{{Room: "r", After: l.apps[""].gaps[3].after + 1, UpTo: last}}, always); got.Whole {
		t.Error("a position in a gap is good")
	}
}

// Two that go on with copies of one file do not take each other's positions for theirs.
func TestCopies(t *testing.T) {
	l := New(Config{Age: time.Hour}, "")
	put(l, "r", "e", 0)
	part := saved(t, l)
	var logs [2]*Log
	var ends [2]uint64
	for i := range logs {
		logs[i] = New(Config{Age: time.Hour}, "")
		if _, err := restore(logs[i], part, time.Now()); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			ends[i] = put(logs[i], "r", "e", 0)
		}
	}
	if ends[0] > ends[1] {
		logs[0], logs[1], ends[0], ends[1] = logs[1], logs[0], ends[1], ends[0]
	}
	// One position is from the future for one log, and in the gap of the other.
	if x := logs[1].Read("", []hub.Span{{Room: "r", After: ends[0] - 10, UpTo: ends[1]}}, always); x.Whole {
		t.Error("a position that another process gave is good")
	}
}

// FuzzRestore reads any part: it is refused, and the log is as it was, or what it holds
// agrees with itself.
func FuzzRestore(f *testing.F) {
	l := New(Config{Age: time.Hour, Events: 2}, "", "a")
	for i := range 9 {
		l.Append(&hub.Publication{App: []string{"", "a"}[i%2], Room: strconv.Itoa(i % 3), Everyone: i%4 == 0, Event: "e", Data: []byte("1")}, func(hub.Position) {})
	}
	union := &hub.Publication{Event: "u", Data: []byte("1")}
	union.Narrow(hub.Union{Rooms: []string{"0", "1", "3"}, Except: []string{"2"}})
	l.Append(union, func(hub.Position) {})
	f.Add(saved(f, l))
	again := New(Config{Age: time.Hour}, "", "a")
	if _, err := restore(again, saved(f, l), time.Now()); err != nil {
		f.Fatal(err)
	}
	f.Add(saved(f, again))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := New(Config{Age: 50 * 365 * 24 * time.Hour, Events: 3, Bytes: 3000}, "", "a")
		epoch := l.apps[""].epoch
		if _, err := restore(l, data, time.Now()); err != nil && (l.apps[""].epoch != epoch || l.Stats().Events > 0) {
			t.Error("what is refused has changed the log")
		}
		n := put(l, "0", "event", 1)
		l.check(t)
		if got := read(l, "0", n-1); got != fmt.Sprintf("event@%d true", n) {
			t.Error(got)
		}
		l.Read("", []hub.Span{{Room: "0", After: rand.Uint64N(n), UpTo: n}, {Everyone: true, After: 1, UpTo: n}}, always)
	})
}

// BenchmarkSave says how long 64 MiB take.
func BenchmarkSave(b *testing.B) {
	l := New(Config{Age: time.Hour, Events: 1 << 20}, "")
	for i := range 120_000 {
		put(l, "room-"+strconv.Itoa(i%1000), "event", 200)
	}
	part := saved(b, l)
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			saved(b, l)
		}
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			if _, err := restore(New(Config{Age: time.Hour, Events: 1 << 20}, ""), part, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
