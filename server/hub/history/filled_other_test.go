package history

import (
	"testing"
	"time"

	"poosh/server/hub"
)

// Whoever was there as the log came to a place without it, is told no position behind what it did not get: not where it came in
// another log than the one that was filled, and not where that began anew.
func TestWhoIsThereIsToldWhatItHas(t *testing.T) {
	const epoch = 7
	at := func(epoch, n uint64) hub.Position { return hub.Position{Epoch: epoch, Number: n} }
	for name, c := range map[string]struct {
		jump func(l *Log)
		want hub.Position
	}{
		"filled, in another log": {func(l *Log) { l.Fill("", at(8, 0)).Done(at(8, 9)) }, at(8, 0)},
		"filled, in a log that began while it was there": {func(l *Log) {
			l.Reach("", at(8, 3))
			l.Fill("", at(8, 0)).Done(at(8, 9))
		}, at(8, 3)},
		"begun anew":                 {func(l *Log) { l.Begin("", at(epoch, 9)) }, at(epoch, 2)},
		"begun anew, in another log": {func(l *Log) { l.Begin("", at(8, 9)) }, at(8, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			l := New(Config{Age: time.Minute}, "")
			h := hub.NewWith(nil, l)
			l.Reach("", at(epoch, 2))
			there := connect(h, "there")
			c.jump(l)
			for range 2 {
				if got := there.ask(t, h, &hub.Ask{Rooms: []string{"r"}}); got.Head != c.want {
					t.Errorf("who was there is told %v, want %v", got.Head, c.want)
				}
			}
			late := connect(h, "late")
			if got := late.ask(t, h, &hub.Ask{Rooms: []string{"r"}}); got.Head.Number != 9 {
				t.Errorf("who came later is told %v", got.Head)
			}
		})
	}
}

// A log that is forgotten while it is filled knows nothing, since it lacks what is published then.
func TestForgottenWhileFilled(t *testing.T) {
	l := New(Config{Age: time.Minute}, "")
	at := func(n uint64) hub.Position { return hub.Position{Epoch: 7, Number: n} }
	l.Reach("", at(1))
	f := l.Fill("", at(0))
	f.Enter(&hub.Publication{Room: "r", Event: "a"}, at(2), time.Now())
	l.Forget("")
	f.Done(at(2))
	if x := l.Read("", []hub.Span{{Room: "r", UpTo: 2}}, always); x.Whole || len(x.List) > 0 {
		t.Errorf("it has %d, whole %v", len(x.List), x.Whole)
	}
}
