package pusher

import (
	"container/list"
	"sync"
	"time"

	"poosh/server/hub"
)

// A cache keeps the last event of each cache channel of an app for a while, also
// of those where nobody listens. It is bounded in bytes: the event that was
// published longest ago goes first.
type cache struct {
	limit int // bytes
	ttl   time.Duration

	mu     sync.Mutex // guards what follows
	size   int
	byName map[string]*list.Element
	order  *list.List // of *kept, the latest in front
}

// kept is what is known of one channel.
type kept struct {
	channel string
	event   *hub.Publication // nil: only that its emptiness has been reported
	at      time.Time
}

// overhead is about what an entry takes beside its texts, in bytes.
const overhead = 300

func (k *kept) size() int {
	n := len(k.channel) + overhead
	if k.event != nil {
		n += len(k.event.Event) + len(k.event.Data)
	}
	return n
}

func newCache(limit int, ttl time.Duration) *cache {
	return &cache{limit: limit, ttl: ttl, byName: make(map[string]*list.Element), order: list.New()}
}

// put makes an event its channel's last.
func (c *cache) put(channel string, event *hub.Publication) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set(&kept{channel, event, time.Now()})
}

// set replaces an entry. c.mu is held.
func (c *cache) set(k *kept) {
	if e := c.byName[k.channel]; e != nil {
		c.drop(e)
	}
	c.byName[k.channel] = c.order.PushFront(k)
	c.size += k.size()
	for c.size > c.limit {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	k := c.order.Remove(e).(*kept)
	delete(c.byName, k.channel)
	c.size -= k.size()
}

// get returns a channel's last event and how long it will be kept yet, or nil.
func (c *cache) get(channel string) (event *hub.Publication, left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byName[channel]
	if e == nil {
		return nil, 0
	}
	k := e.Value.(*kept)
	if k.event == nil {
		return nil, 0
	}
	if left = c.ttl - time.Since(k.at); left <= 0 {
		c.drop(e)
		return nil, 0
	}
	return k.event, left
}

// missed notes that a channel was found empty. It reports whether that is news
// since the channel was last not empty.
func (c *cache) missed(channel string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName[channel] != nil {
		return false
	}
	c.set(&kept{channel: channel})
	return true
}
