package history

import (
	"testing"
	"time"

	"poosh/server/hub"
)

// TestForget: a log that lacks publications is of no use to anybody, the next process neither,
// also where somebody enters one more who does not know yet.
func TestForget(t *testing.T) {
	h, l := site(t, Config{})
	publish(h, "r", "1", "2")
	h.Publish(&hub.Publication{Everyone: true, Event: "all"})
	epoch := l.apps[""].epoch
	h.Forget("")
	l.check(t)
	if st := l.Stats(); st.Events != 0 || st.Rooms != 0 || st.Bytes != 0 {
		t.Errorf("%+v are left", st)
	}
	for _, number := range []uint64{1, 2, 3} {
		c := connect(h, "c")
		got, err := h.Recover(c.sub, &c.trail, &hub.Ask{Rooms: []string{"r"}, After: hub.Position{Epoch: epoch, Number: number}})
		if err != nil || got.Whole || got.Missed != 0 {
			t.Errorf("who knows %d: %+v, %v", number, got, err)
		}
		h.Unregister(c.sub)
	}
	publish(h, "r", "late")
	again := New(Config{Age: time.Minute}, "")
	if done, err := restore(again, saved(t, l), time.Now()); err != nil || done.Events != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	again.check(t)
	if again.apps[""].epoch == epoch {
		t.Error("the next process goes on with it")
	}
}
