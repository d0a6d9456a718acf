// Package rotation is about secrets that are being replaced: who still shows the one
// before. It compares none; whoever does says which one was right.
package rotation

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"poosh/server/metric"
	"poosh/server/peers"
)

// Who shows a secret, or what was made with it.
type Who uint8

// All there are.
const (
	Sender Who = iota // who publishes
	Client            // who listens, with what an application has signed for it
	whos
)

var names = [whos]string{Sender: "sender", Client: "client"}

const (
	// sayEvery is how long nothing is said again of one address.
	sayEvery = 10 * time.Minute
	// maxAddresses bounds the addresses that this is known of; the one spoken of longest ago
	// is forgotten first.
	maxAddresses = 1000
)

// A Watch counts who still uses the previous secret of one application, and says in the
// log who that is: of each address, or network, that
// publishes now and then, and as often of one that listens, since those may be thousands.
// Make one with [New]; its methods may be called from any goroutine.
type Watch struct {
	log    *slog.Logger // set once
	counts [whos]atomic.Uint64

	mu   sync.Mutex // guards said
	said *lru.LRU[who, time.Time]
}

// A who is of whom the log speaks.
type who struct {
	by   Who
	from netip.Addr // none for all clients
}

// New returns the watch of an application of a dialect.
func New(dialect, app string, log *slog.Logger) *Watch {
	said, err := lru.NewLRU[who, time.Time](maxAddresses, nil)
	if err != nil {
		panic(err) // for a size that is not positive
	}
	return &Watch{log: log.With("dialect", dialect, "app", app), said: said}
}

// Used notes that who comes from an address has been let in by the previous secret.
func (w *Watch) Used(by Who, remote string) {
	n := w.counts[by].Add(1)
	about := who{by: by}
	if by != Client {
		about.from = peers.Of(remote)
	}
	if w.isNews(about, time.Now()) {
		w.log.Warn("the previous secret is still in use: give the new one to whoever this is, and then unset the previous one",
			"by", names[by], "remote", remote, "times", n)
	}
}

// isNews reports whether somebody is to be spoken of.
func (w *Watch) isNews(about who, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, known := w.said.Get(about); known && now.Sub(at) < sayEvery {
		return false
	}
	w.said.Add(about, now)
	return true
}

// Samples are how often the previous secret was used since the start, by whom.
func (w *Watch) Samples() []metric.Sample {
	list := make([]metric.Sample, whos)
	for by, name := range names {
		list[by] = metric.Of(w.counts[by].Load(), name)
	}
	return list
}
