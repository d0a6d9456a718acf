package rooms

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"poosh/test/bench/peers/publish"
)

// recorder is a library whose connections are numbers.
type recorder struct {
	mu  sync.Mutex // guards got
	got map[int][]string
}

func (r *recorder) rooms() *Rooms[int] {
	r.got = make(map[int][]string)
	reply := func(to int, message []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got[to] = append(r.got[to], string(message))
	}
	return &Rooms[int]{
		Reply: reply,
		Send: func(to []int, message []byte) {
			for _, c := range to {
				reply(c, message)
			}
		},
	}
}

func TestRoomsDeliverToWhoIsInside(t *testing.T) {
	var r recorder
	all := r.rooms()
	one, two := &Client[int]{Conn: 1}, &Client[int]{Conn: 2}
	publishTo := func(room, payload string) {
		t.Helper()
		if err := all.Publish(publish.Event{Room: room, Event: "e", Payload: json.RawMessage(payload)}); err != nil {
			t.Fatal(err)
		}
	}
	all.Take(one, []byte("2"))
	all.Take(one, []byte(`42["room","a"]`))
	all.Take(two, []byte(`42["room","a"]`))
	all.Take(two, []byte(`42["room","b"]`))
	publishTo("a", "1")
	publishTo("b", "2")
	all.Take(one, []byte(`42["leave","a"]`))
	all.Take(one, []byte(`42["leave","a"]`))
	publishTo("a", "3")
	all.Close(two)
	publishTo("a", "4")
	want := map[int][]string{
		1: {"3", `42["joined","a"]`, `42["e",1]`},
		2: {`42["joined","a"]`, `42["joined","b"]`, `42["e",1]`, `42["e",2]`, `42["e",3]`},
	}
	for c := range want {
		if !slices.Equal(r.got[c], want[c]) {
			t.Errorf("client %d got %q, want %q", c, r.got[c], want[c])
		}
	}
	if len(all.rooms) != 0 {
		t.Errorf("%d rooms are left that nobody is in", len(all.rooms))
	}
}

// Who joins a room as its last client leaves it must not end in one that is gone.
func TestRoomsOutliveTheirLastClient(t *testing.T) {
	var r recorder
	all := r.rooms()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			c := &Client[int]{Conn: i}
			for n := range 200 {
				all.Take(c, []byte(`42["room","a"]`))
				if err := all.Publish(publish.Event{Room: "a", Event: "e", Payload: json.RawMessage(fmt.Sprint(i*1000 + n))}); err != nil {
					t.Error(err)
				}
				all.Take(c, []byte(`42["leave","a"]`))
			}
		})
	}
	group.Wait()
	for i := range 8 {
		for n := range 200 {
			if !slices.Contains(r.got[i], fmt.Sprintf(`42["e",%d]`, i*1000+n)) {
				t.Fatalf("client %d was in the room and did not get its event %d", i, n)
			}
		}
	}
}
