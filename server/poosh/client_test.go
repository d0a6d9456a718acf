package poosh

import (
	"strconv"
	"testing"

	"poosh/server/hub"
)

// A client is in the room of its own id, beside as many others as it may join.
func TestOwnRoom(t *testing.T) {
	h := hub.New()
	var own, other inbox
	s := seat(h, "own", 2, plainEncoder{}, &own).sub
	if err := h.Join(seat(h, "other", 2, plainEncoder{}, &other).sub, "own"); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := h.Join(s, strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Join(s, "own"); err != nil {
		t.Errorf("joining its own room gives %v", err)
	}
	if err := h.Join(s, "one more"); err != hub.ErrTooManyRooms {
		t.Errorf("a room more than it may join gives %v", err)
	}
	// Who joins another's room gets what comes there, and each of them once.
	if took := h.Publish(&hub.Publication{App: App, Room: "own", Event: "e", Data: []byte("1")}); took != 2 {
		t.Errorf("%d took it", took)
	}
	if a, b := own.take(), other.take(); len(a) != 1 || len(b) != 1 {
		t.Errorf("received %q and %q", a, b)
	}
	h.Unregister(s)
	if took := h.Publish(&hub.Publication{App: App, Room: "own", Event: "e", Data: []byte("1")}); took != 1 {
		t.Errorf("%d took what is for one who has left", took)
	}
}
