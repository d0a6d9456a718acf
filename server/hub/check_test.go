package hub

import (
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A hub at work is found to be right at every moment, and one that is spoilt is not.
func TestCheck(t *testing.T) {
	h, k := New(), &kind{}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() { // ends with its last round
			for i := range 200 {
				var b inbox
				s := h.Register("", strconv.Itoa(w)+"-"+strconv.Itoa(i), 10, k, &b)
				for room := range 5 {
					if err := h.Join(s, strconv.Itoa(room)); err != nil {
						t.Error(err)
					}
				}
				h.Leave(s, "3")
				h.Unregister(s)
			}
		})
	}
	for range 100 {
		if err := h.Check(); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	var b inbox
	s := h.Register("", "a", 10, k, &b)
	if err := h.Join(s, "spoilt"); err != nil {
		t.Fatal(err)
	}
	h.apps[""].rooms["spoilt"].count++
	if err := h.Check(); err == nil || !strings.Contains(err.Error(), `room "spoilt": counts 2, seats 1`) {
		t.Errorf("found %v", err)
	}
}
