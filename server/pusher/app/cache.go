package app

import (
	"container/list"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"poosh/server/hub"
	"poosh/server/pusher/tally"
)

// A cache keeps the last event of each cache channel of an app for a while, also
// of those where nobody listens. It is bounded in bytes: the event that was
// published longest ago goes first. Only who may publish puts something into it.
//
// Which channels were found empty, and the app told so, is known beside it: anybody
// may subscribe to a cache channel of any name, and must not push events out with
// that. The one looked at longest ago is forgotten first, and told of once more if
// it is met again. In a cluster an event may come by a process that knows of no emptiness; so
// nobody holds a channel for empty for longer than an event is kept, and none that was there
// goes unnoticed as it goes.
type cache struct {
	count   func(what tally.Thing, n int)
	forgets bool // set once: in a cluster

	mu     sync.Mutex // guards what follows
	limit  int        // bytes
	ttl    time.Duration
	size   int
	byName map[string]*list.Element
	order  *list.List                  // of *kept, the latest in front
	misses *lru.LRU[string, time.Time] // channels whose emptiness has been told, and when
}

// maxMisses bounds the empty channels that are known of one app; each takes about
// 300 bytes.
const maxMisses = 10_000

// kept is the last event of one channel.
type kept struct {
	channel string
	event   *hub.Publication
	at      time.Time
}

// overhead is about what an entry takes beside its texts, in bytes.
const overhead = 300

func (k *kept) size() int {
	return len(k.channel) + overhead + len(k.event.Event) + len(k.event.Data)
}

func newCache(limit int, ttl time.Duration, across bool, count func(what tally.Thing, n int)) *cache {
	misses, err := lru.NewLRU[string, time.Time](maxMisses, nil)
	if err != nil {
		panic(err) // for a size that is not positive
	}
	return &cache{limit: limit, ttl: ttl, forgets: across, count: count, byName: make(map[string]*list.Element), order: list.New(), misses: misses}
}

// put makes an event its channel's last. One that is larger than the whole cache is
// not kept, and neither is what was there before it.
func (c *cache) put(channel string, event *hub.Publication) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.misses.Remove(channel)
	if e := c.byName[channel]; e != nil {
		c.drop(e)
	}
	k := &kept{channel, event, time.Now()}
	if k.size() > c.limit {
		c.count(tally.CacheEvicted, 1)
		return
	}
	c.byName[channel] = c.order.PushFront(k)
	c.size += k.size()
	c.fit()
}

// fit has the events go that are too many. c.mu is held.
func (c *cache) fit() {
	for c.size > c.limit {
		c.drop(c.order.Back())
		c.count(tally.CacheEvicted, 1)
	}
}

// bound has other bounds count, for what is kept already too.
func (c *cache) bound(limit int, ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit, c.ttl = limit, ttl
	c.fit()
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
	if left = c.ttl - time.Since(k.at); left <= 0 {
		c.drop(e)
		return nil, 0
	}
	return k.event, left
}

// filled notes that a channel is not empty, whoever keeps its event.
func (c *cache) filled(channel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.misses.Remove(channel)
}

// knowsMiss reports whether the app was told that a channel is empty.
func (c *cache) knowsMiss(channel string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known(channel)
}

// known is knowsMiss with mu held.
func (c *cache) known(channel string) bool {
	at, known := c.misses.Get(channel)
	return known && !(c.forgets && time.Since(at) >= c.ttl)
}

// missed notes that a channel was found empty. It reports whether that is news
// since the channel was last not empty.
func (c *cache) missed(channel string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known(channel) || c.byName[channel] != nil {
		return false
	}
	c.misses.Add(channel, time.Now())
	return true
}
