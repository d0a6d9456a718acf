//go:build unix

package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/presence"
	"poosh/server/presence/presencetest"
)

var holderSeeds = newSeeds("holder.seed", 1, 2, 3)

// A heldModel is what two nodes were asked about ids, and answered.
type heldModel struct {
	mu     sync.Mutex // guards what follows
	clock  int64      // of tokens
	claims []*claimed
	bars   map[string]int64 // ids, by the latest time that a bar holds for which was answered
	wrong  []string
}

// A claimed is a claim, and what became of it.
type claimed struct {
	*presence.Claim
	by       *claimant
	given    bool
	refused  bool
	released bool
}

func (m *heldModel) tick() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock++
	return m.clock
}

// claim asks for an id with a token that was made a moment ago, or some time before.
func (m *heldModel) claim(k *claimant, id string, age int64) {
	c := &claimed{Claim: k.Claimant.New(id, max(1, m.tick()-age)), by: k}
	m.mu.Lock()
	m.claims = append(m.claims, c)
	m.mu.Unlock()
	k.Holder.Claim(c.Claim, func(err error) {
		told := k.Told(c.Claim)
		m.mu.Lock()
		defer m.mu.Unlock()
		if c.given || c.refused || told != "" {
			m.wrong = append(m.wrong, fmt.Sprintf("a claim of %s is answered %v behind %v, %v and %q", id, err, c.given, c.refused, told))
		}
		c.given, c.refused = err == nil, err != nil
	})
}

// kick bars an id for all tokens, and then for those of before, as Socktopus does.
func (m *heldModel) kick(k *claimant, id string) {
	now := m.tick()
	k.Holder.Bar(presencetest.App, []string{id}, 0, 300*time.Millisecond, func(_ map[string]int64, err error) {
		if err != nil {
			return
		}
		k.Holder.Bar(presencetest.App, []string{id}, now, time.Hour, func(_ map[string]int64, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if err == nil {
				m.bars[id] = max(m.bars[id], now)
			}
		})
	})
}

// release gives back one of the claims that were given.
func (m *heldModel) release(draw *rand.Rand) {
	m.mu.Lock()
	there := slices.DeleteFunc(slices.Clone(m.claims), func(c *claimed) bool { return !c.given || c.released })
	if len(there) == 0 {
		m.mu.Unlock()
		return
	}
	c := there[draw.IntN(len(there))]
	c.released = true
	m.mu.Unlock()
	c.by.Holder.Release(c.Claim)
}

// differs says what is not as it should be: each id has the one that got it last, or nobody, and nobody by a
// token of before it was barred.
func (m *heldModel) differs(a *claimant, all []string) (list []string) {
	there, err := a.Holder.Held(a.T.Context(), presencetest.App, all)
	if err != nil {
		return []string{err.Error()}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	have := make(map[string]int)
	for i, c := range m.claims {
		told := c.by.Told(c.Claim)
		switch {
		case !c.given && !c.refused:
			list = append(list, fmt.Sprintf("claim %d of %s has no answer", i, c.ID))
		case len(told) > 1:
			list = append(list, fmt.Sprintf("claim %d of %s is told %s", i, c.ID, told))
		case c.given && !c.released && told == "":
			have[c.ID]++
			if c.Made <= m.bars[c.ID] {
				list = append(list, fmt.Sprintf("claim %d of %s, of %d, is there behind a bar of %d", i, c.ID, c.Made, m.bars[c.ID]))
			}
		}
	}
	for i, id := range all {
		if n := have[id]; n > 1 || there[i] != (n == 1) {
			list = append(list, fmt.Sprintf("%s is held: %v, and has %d", id, there[i], n))
		}
	}
	return append(list, m.wrong...)
}

// Whatever two nodes ask about ids, and whatever becomes of their connections and of Redis: when all is well again each
// id is one's who was told so and has heard nothing else, or nobody's.
func TestHolderModel(t *testing.T) {
	holderSeeds.each(t, func(t *testing.T, draw *rand.Rand) {
		redis := redistest.Start(t)
		cfg := config(t, at(redis.Addr))
		cfg.Timeout, cfg.Lease = time.Second, 3*time.Second
		a, b, wire := claimants(t, cfg, redis.Addr)
		all := ids(6)
		m := &heldModel{bars: make(map[string]int64)}
		healed := time.Now() // when the wire is well again
		for end := time.Now().Add(8 * time.Second); time.Now().Before(end); {
			k := []*claimant{a, b}[draw.IntN(2)]
			id := all[draw.IntN(len(all))]
			switch n := draw.IntN(100); {
			case n < 55:
				m.claim(k, id, draw.Int64N(4))
			case n < 75:
				m.kick(k, id)
			default:
				m.release(draw)
			}
			if draw.IntN(3) == 0 {
				time.Sleep(time.Duration(draw.IntN(8)) * time.Millisecond)
			}
			switch n := draw.IntN(600); {
			case time.Now().Before(healed):
				continue
			case n == 0:
				wire.Cut()
			case n == 1:
				wire.Hold()
			case n == 2:
				redis.Do("FLUSHALL")
				continue
			default:
				wire.Heal()
				wire.Release()
				continue
			}
			healed = time.Now().Add(time.Duration(100+draw.IntN(1500)) * time.Millisecond)
		}
		wire.Heal()
		wire.Release()
		b.away(false)
		var left []string
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if left = m.differs(a, all); len(left) == 0 || time.Now().After(end) {
				break
			}
		}
		if len(left) > 0 {
			t.Errorf("of %d claims: %s", len(m.claims), strings.Join(left[:min(len(left), 10)], "; "))
		}
	})
}
