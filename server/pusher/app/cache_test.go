package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"poosh/server/hub"
	"poosh/server/pusher/tally"
)

func TestCacheIsBounded(t *testing.T) {
	evicted := 0
	c := newCache(10*(overhead+100), time.Hour, false, func(what tally.Thing, n int) {
		if what == tally.CacheEvicted {
			evicted += n
		}
	})
	event := &hub.Publication{Data: make([]byte, 90)}
	for i := range 1000 {
		c.put(string(rune('a'+i%26))+strings.Repeat("x", i%7), event)
		if c.size > c.limit || len(c.byName) != c.order.Len() {
			t.Fatalf("%d bytes in %d entries", c.size, len(c.byName))
		}
	}
	if evicted < 900 {
		t.Errorf("%d evictions are counted", evicted)
	}
	if c.missed("empty") != true || c.missed("empty") != false {
		t.Error("emptiness is news once")
	}
	c.put("empty", event)
	if got, _ := c.get("empty"); got != event || c.missed("empty") {
		t.Error("the last event is not kept")
	}
	// What is larger than all takes nothing else with it.
	entries := len(c.byName)
	c.put("huge", &hub.Publication{Data: make([]byte, 1<<20)})
	if got, _ := c.get("huge"); got != nil || len(c.byName) != entries {
		t.Errorf("%d of %d entries are left", len(c.byName), entries)
	}
	c.put("empty", &hub.Publication{Data: make([]byte, 1<<20)})
	if got, _ := c.get("empty"); got != nil || !c.missed("empty") {
		t.Error("an event that is not the last is kept")
	}
}

// TestMissesEvictNoEvents has strangers look at empty cache channels of all names.
func TestMissesEvictNoEvents(t *testing.T) {
	c := newCache(100*(overhead+200), time.Hour, false, func(tally.Thing, int) {})
	event := &hub.Publication{Data: make([]byte, 90)}
	c.put("cache-price", event)
	size := c.size
	for i := range 150_000 {
		c.missed(fmt.Sprintf("cache-%0190d", i))
	}
	if got, _ := c.get("cache-price"); got != event || c.size != size {
		t.Errorf("%v is kept in %d bytes", got, c.size)
	}
	if n := c.misses.Len(); n != maxMisses {
		t.Errorf("%d empty channels are known", n)
	}
}
