package history

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// apart is a name that falls where none of some rooms does, and with them one that falls where
// the first does.
func (q *quiet) apart(rooms ...string) (apart, beside string) {
	for i := 0; apart == "" || beside == ""; i++ {
		name := "room-" + strconv.Itoa(i)
		alone := true
		for n, room := range rooms {
			if q.place(name) == q.place(room) {
				if alone = false; n == 0 {
					beside = name
				}
			}
		}
		if alone {
			apart = name
		}
	}
	return apart, beside
}

// A room that was silent for longer than anything is kept has lost what it lost, and nothing for
// what others lost meanwhile.
func TestQuietRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, began := New(Config{Age: time.Minute}, ""), time.Now()
		put(l, "quiet", "a", 0)
		for range 5 { // until a minute before the last, both of 2 and of 3 are gone
			put(l, "busy", "b", 0)
			time.Sleep(30 * time.Second)
		}
		put(l, "busy", "b", 0)
		never, beside := l.apps[""].quiet.apart("quiet", "busy")
		for _, tt := range []struct {
			room  string
			after uint64
			want  string
		}{
			{"quiet", 1, "true"}, {"quiet", 0, "false"},
			{"busy", 4, "b@5 b@6 b@7 true"}, {"busy", 3, "b@5 b@6 b@7 false"},
			{never, 0, "true"},                        // it had none
			{beside, 1, "true"}, {beside, 0, "false"}, // nobody knows of which of the two that was
		} {
			if got := read(l, tt.room, tt.after); got != tt.want {
				t.Errorf("%q behind %d: %s, want %s", tt.room, tt.after, got, tt.want)
			}
		}
		for room, want := range map[string]string{"quiet": "true", never: "true"} {
			if got := sinceIs(l, room, began.Add(time.Second)); got != want {
				t.Errorf("%q since a second behind the beginning: %s, want %s", room, got, want)
			}
		}
		if got := sinceIs(l, "quiet", began); got != "false" {
			t.Error(got)
		}
		// It speaks again, and what it lost then is remembered too.
		put(l, "quiet", "c", 0)
		if got := read(l, "quiet", 1); got != "c@8 true" {
			t.Error(got)
		}
		time.Sleep(2 * time.Minute)
		put(l, "busy", "b", 0)
		for after, want := range map[uint64]string{1: "false", 7: "false", 8: "true"} {
			if got := read(l, "quiet", after); got != want {
				t.Errorf("later, behind %d: %s, want %s", after, got, want)
			}
		}
		// A process that goes on knows of quiet rooms what it knows of all: where the log is cut.
		again := New(Config{Age: time.Minute}, "")
		if _, err := restore(again, saved(t, l), time.Now()); err != nil {
			t.Fatal(err)
		}
		for after, want := range map[uint64]string{7: "false", 8: "true"} {
			for _, room := range []string{"quiet", never} {
				if got := read(again, room, after); got != want {
					t.Errorf("of the next process, %q behind %d: %s, want %s", room, after, got, want)
				}
			}
		}
		l.Forget("")
		if got := read(l, "quiet", 9); got != "false" {
			t.Errorf("forgotten: %s", got)
		}
		l.check(t)
	})
}
