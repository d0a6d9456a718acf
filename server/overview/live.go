package overview

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"poosh/server/eventstream"
	"poosh/server/metric"
	"poosh/server/respond"
)

const (
	// MaxWatchers is how many may watch at once.
	MaxWatchers = 24
	// behind is how many overviews may wait for a watcher; with one more it is cut off.
	behind = 3
)

// What a watcher is told who may not watch, or not any more.
var (
	errTooMany = errors.New("as many as may watch at once do")
	errClosed  = errors.New("the server is going away")
)

// Config is what is known of the process beside its readings.
type Config struct {
	Version, Go string
	Started     time.Time
	Processors  int
	MemoryLimit int64 // bytes; 0 for none
	// Apps are the applications of all dialects. It is called by [Live.Told] alone, on the
	// goroutine that reads the numbers: if something that it asks is stuck, who watches is
	// told no more, and who asks is told what was last known.
	Apps func() []App
	// Latency is that of the last minute or so; nil, or a result of nil, where it is not
	// measured. It is called as Apps is.
	Latency func() *Latency
	// Cluster is that of this moment; nil for a process that is alone. It is called as Apps is.
	Cluster func() *Cluster
}

// A Live is the overview of a process that goes on. Make one with [New]; its methods may
// be called from any goroutine.
type Live struct {
	cfg Config

	mu          sync.Mutex // guards what follows
	now, before Moment
	apps        []App // of now, as latency and cluster
	latency     *Latency
	cluster     *Cluster
	text        []byte // of now; nil as long as nobody asked
	made        int    // how many were written down, for tests
	watchers    map[*watcher]struct{}
	closed      bool
}

// New makes one that nobody has told of anything yet.
func New(cfg Config) *Live { return &Live{cfg: cfg, watchers: make(map[*watcher]struct{})} }

// A watcher is handed the bytes of each second.
type watcher struct {
	texts chan []byte   // Live alone sends
	over  chan struct{} // closed by Live, when it is cut off or the server ends
	end   bool          // the server ends; set before over is closed
}

// Told tells of the readings of a moment, about one second after those before. They must
// not change afterwards.
func (l *Live) Told(now time.Time, readings []metric.Reading) {
	apps := []App{}
	if l.cfg.Apps != nil {
		apps = append(apps, l.cfg.Apps()...)
	}
	var latency *Latency
	if l.cfg.Latency != nil {
		latency = l.cfg.Latency()
	}
	var cluster *Cluster
	if l.cfg.Cluster != nil {
		cluster = l.cfg.Cluster()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.now, l.text = l.now, Moment{now, readings}, nil
	l.apps, l.latency, l.cluster = apps, latency, cluster
	if len(l.watchers) == 0 {
		return
	}
	text := l.latest()
	for w := range l.watchers {
		select {
		case w.texts <- text:
		default:
			l.cutOff(w)
		}
	}
}

// latest is the overview of the last moment, written down once. l.mu is held.
func (l *Live) latest() []byte {
	if l.text != nil || l.now.At.IsZero() {
		return l.text
	}
	o := Of(l.now, l.before)
	o.Version, o.Go, o.Started = l.cfg.Version, l.cfg.Go, l.cfg.Started.UTC()
	o.Uptime = l.now.At.Sub(l.cfg.Started).Seconds()
	o.Process.Processors = l.cfg.Processors
	if l.cfg.MemoryLimit > 0 {
		o.Process.MemoryLimit = &l.cfg.MemoryLimit
	}
	o.Connections.Apps, o.Latency, o.Cluster = l.apps, l.latency, l.cluster
	text, err := json.Marshal(o)
	if err != nil {
		panic("overview: " + err.Error()) // of our own types
	}
	l.made++
	l.text = text
	return text
}

// last says why the watching is over.
func (w *watcher) last(s *eventstream.Stream) {
	if w.end {
		s.Event("end", []byte("{}"))
		s.Flush()
	}
}

// cutOff ends a watcher. l.mu is held.
func (l *Live) cutOff(w *watcher) {
	if _, there := l.watchers[w]; there {
		delete(l.watchers, w)
		close(w.over)
	}
}

// Close ends what all watch, and lets nobody watch any more.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for w := range l.watchers {
		w.end = true
		l.cutOff(w)
	}
}

// watch begins to watch. The last overview comes at once.
func (l *Live) watch() (*watcher, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case len(l.watchers) >= MaxWatchers:
		return nil, errTooMany
	}
	w := &watcher{texts: make(chan []byte, behind), over: make(chan struct{})}
	l.watchers[w] = struct{}{}
	if text := l.latest(); text != nil {
		w.texts <- text
	}
	return w, nil
}

// leave ends the watching of one who goes.
func (l *Live) leave(w *watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutOff(w)
}

// ServeOverview answers GET with the overview of this second.
func (l *Live) ServeOverview(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	text := l.latest()
	l.mu.Unlock()
	if text == nil {
		w.Header().Set("Retry-After", "1")
		respond.Go.Error(w, http.StatusServiceUnavailable, "the server has only just begun")
		return
	}
	respond.Go.Bytes(w, http.StatusOK, text)
}

// ServeStream answers GET with an overview a second, as Server-Sent Events: "overview",
// and "end" when the server goes away. It ends when its client goes or does not read, and
// with [Live.Close]. To one watcher too many it answers 503.
func (l *Live) ServeStream(w http.ResponseWriter, r *http.Request) {
	who, err := l.watch()
	if err == nil {
		defer l.leave(who)
	}
	s := eventstream.Begin(w, r, err)
	if s == nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			select {
			case <-who.over: // the server ends, and so does the request
				who.last(s)
			default:
			}
			return
		case <-who.over:
			who.last(s)
			return
		case text := <-who.texts:
			if s.Event("overview", text); !s.Flush() {
				return
			}
		}
	}
}
