package e2e

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
	"poosh/test/process"
)

// stops is how often TestStops stops a server. The default takes about a minute on
// two cores.
var stops = flag.Int("stops", 150, "how often TestStops stops a server under load")

const (
	stopWorkers = 3                // servers at a time
	stopWithin  = 10 * time.Second // SHUTDOWN_TIMEOUT: no end should need it
	stopAfter   = 250 * time.Millisecond
)

// Stopped at a random moment under the load of all dialects, the server exits well, over TLS
// as without, and every event that its sender was told 200 for has reached every client that was
// there and stayed, once and in order.
func TestStops(t *testing.T) {
	binary, err := process.Build(t.TempDir(), false) // without the race detector, which makes a start slow
	if err != nil {
		t.Fatal(err)
	}
	var sum stopSum
	var next atomic.Int64
	t.Run("workers", func(t *testing.T) {
		for i := range stopWorkers {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				w := &stopWorker{t: t, sum: &sum, binary: binary, dir: t.TempDir(), authority: certificatetest.New(t)}
				for n := next.Add(1); n <= int64(*stops) && !t.Failed(); n = next.Add(1) {
					w.round(n)
				}
				w.lastRound()
			})
		}
	})
	t.Logf("%d stops: %d sends answered 200, %d deliveries of them checked, %d clients stayed to the end (%d of them over TLS, of which %d streams, %d changed to WebSocket under load), %d mails; the longest end took %v",
		*stops, sum.sent.Load(), sum.delivered.Load(), sum.stayed.Load(), sum.secured.Load(), sum.streams.Load(), sum.upgraded.Load(), sum.mails.Load(), time.Duration(sum.longest.Load()))
	if sum.sent.Load() < int64(*stops) || sum.delivered.Load() < int64(*stops) || sum.upgraded.Load() < int64(*stops)/10 || sum.secured.Load() < int64(*stops)/10 || sum.streams.Load() < int64(*stops)/10 {
		t.Error("hardly anything happened: the test shows nothing")
	}
}

// A stopSum is what all rounds together came to.
type stopSum struct {
	sent, delivered, stayed, secured, streams, upgraded, mails, longest atomic.Int64
}

// A stopWorker stops one server after the other, all of them with one store of mail.
type stopWorker struct {
	t           *testing.T
	sum         *stopSum
	binary, dir string
	authority   *certificatetest.Authority
	mail        *mailLedger
}

// A stopRound is one server's life.
type stopRound struct {
	*fourfold
	w       *stopWorker
	n       int64
	synced  bool // clients are there before the first event
	ids     []string
	over    chan struct{} // closed when the process is gone
	clients sync.WaitGroup
	senders sync.WaitGroup

	mu     sync.Mutex // guards what follows
	acked  map[string]map[int]int
	heard  []*stayed
	faults []error
}

// A stayed client read until its connection ended.
type stayed struct {
	what string
	y    *tally
	err  error
}

func (w *stopWorker) start(overTLS bool) *fourfold {
	w.t.Helper()
	env := []string{"SHUTDOWN_TIMEOUT=" + stopWithin.String(), "PUSH_SOCKET_MESSAGES_PER_DEVICE=1000000"}
	var trusts *tls.Config
	if overTLS {
		cert, key, _ := w.authority.Write(w.dir, "e2e.example")
		env, trusts = append(env, "TLS_CERT="+cert, "TLS_KEY="+key), w.authority.Client()
	}
	for try := 1; ; try++ {
		f := prepareFourfold(w.t, env...)
		f.program, f.dir, f.trusts = w.binary, w.dir, trusts
		err := f.launchAll()
		if err == nil {
			return f
		}
		if try == 3 {
			w.t.Fatalf("the server did not start: %v\n%s", err, f.log)
		}
	}
}

// round starts a server, loads it, stops it at some moment, and looks at the ledger.
func (w *stopWorker) round(n int64) {
	overTLS := n%3 == 0
	r := &stopRound{fourfold: w.start(overTLS), w: w, n: n, synced: n%2 == 0, over: make(chan struct{}), acked: make(map[string]map[int]int)}
	if w.mail == nil {
		w.mail = newMailLedger(w.t, r.fourfold)
	}
	r.load()
	time.Sleep(rand.N(stopAfter))
	began := time.Now()
	r.signal(syscall.SIGTERM)
	r.waitExit(2 * stopWithin)
	took := time.Since(began)
	close(r.over)
	r.senders.Wait()
	r.clients.Wait()
	for longest := w.sum.longest.Load(); int64(took) > longest && !w.sum.longest.CompareAndSwap(longest, int64(took)); longest = w.sum.longest.Load() {
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		r.fault(fmt.Errorf("exit code %d", code))
	}
	if took > stopWithin/2 {
		r.fault(errors.New("everybody was ready to go, and the end took long"))
	}
	r.checkLog()
	r.checkLedger()
	if err := errors.Join(r.faults...); err != nil {
		w.t.Errorf("stop %d, clients first: %v, over TLS: %v, the end took %v:\n%v\n%s", n, r.synced, overTLS, took, err, r.log.Tail())
	}
}

// lastRound fetches the mail that is left.
func (w *stopWorker) lastRound() {
	if w.mail == nil {
		return
	}
	f := w.start(false)
	defer f.stop()
	w.mail.settle(w.t, f)
	w.sum.mails.Add(int64(len(w.mail.queued)))
}

func (r *stopRound) fault(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, err)
}

// load begins everything. In a synced round it returns when those who stay are in
// their rooms, and nothing was sent before.
func (r *stopRound) load() {
	var ready sync.WaitGroup
	for _, d := range dialects() {
		for range 2 {
			r.member(d, &ready)
		}
	}
	for range 2 {
		r.stream(&ready)
	}
	for i, browser := range []int{0, 1} {
		r.poller(browser, 3+i, false, &ready)
		r.poller(browser, 3+i, true, &ready)
	}
	if r.synced {
		ready.Wait()
		r.waitRoom(r.w.t, "r", 2*2+4+2) // of Poosh: an answer to a POST does not say that it is there
	}
	for range 4 {
		r.clients.Go(r.storm) // ends with the process
	}
	for i, d := range dialects() {
		if i == 1 {
			continue // EIO 4 is sent what EIO 3 is
		}
		for s := range 2 {
			r.senders.Go(func() { r.send(d, s) })
		}
	}
	r.clients.Go(func() { r.w.mail.listen(r.fourfold, r.fault) })
	for s := range 2 {
		r.senders.Go(func() { r.w.mail.send(r.fourfold, s, r.fault) })
	}
}

// stay notes what a client has heard that was there until its connection ended.
func (r *stopRound) stay(what string, y *tally, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, &stayed{what, y, err})
}

// member is a client with a WebSocket that stays.
func (r *stopRound) member(d *dialect, ready *sync.WaitGroup) {
	ready.Add(1)
	id := fmt.Sprint(r.n, len(r.ids))
	if d.name == "Socktopus" {
		r.ids = append(r.ids, id)
	}
	r.clients.Go(func() {
		k := kinds()[rand.IntN(3)]
		ws, err := k.open(r.fourfold, d.port(r.fourfold), d.target(id), "")
		if err == nil {
			err = d.join(ws, "r")
		}
		ready.Done()
		if err != nil {
			if r.synced {
				r.fault(fmt.Errorf("%s, %s: joining: %w", d.name, k.name, err))
			}
			return
		}
		y := newTally(d)
		y.late = !r.synced
		m := &member{rawSocket: ws, kind: k}
		defer ws.Close()
		err = m.readToEnd(y, 2*stopWithin, d.closes)
		if !r.synced && y.count == 0 {
			return // it may not have been there yet
		}
		r.stay(d.name+", "+k.name, y, err)
	})
}

// poller is a client that polls and stays, or that changes to WebSocket meanwhile.
func (r *stopRound) poller(browser, eio int, upgrades bool, ready *sync.WaitGroup) {
	ready.Add(1)
	r.clients.Go(func() {
		p := newBrowserPoller(r.fourfold, browser, eio)
		err := p.open()
		var entering sync.WaitGroup
		entering.Go(func() { // ends with its answer; polls do not wait for it
			if err == nil {
				err := p.enter("r")
				if err != nil && r.synced {
					r.fault(fmt.Errorf("%s: joining: %w", p, err))
				}
			}
			ready.Done()
		})
		defer func() {
			entering.Wait()
			p.close()
		}()
		if err != nil {
			return
		}
		y := newTally(pooshDialect(eio))
		y.late = !r.synced
		what := p.String() + ", polling"
		if upgrades {
			var changed bool
			if changed, err = p.upgrade(y, rand.N(stopAfter/2)); changed {
				what = p.String() + ", upgraded"
				r.w.sum.upgraded.Add(1)
			}
		} else {
			err = afterTheEnd(p.read(y, 1<<30))
		}
		if !r.synced && y.count == 0 {
			return
		}
		r.stay(what, y, err)
	})
}

// send sends events, one after the other, each until it is taken, until the server is
// gone.
func (r *stopRound) send(d *dialect, from int) {
	ids := r.ids
	if d.name == "Socktopus" {
		ids = r.ids[from : from+1]
	}
	for n := 1; ; {
		a, err := d.publish(r.fourfold, "r", ids, eventText(from, n, 20+rand.IntN(2000)))
		switch {
		case err != nil:
			return // it may have arrived, or not
		case a.status == http.StatusOK:
			r.mu.Lock()
			if r.acked[d.begins] == nil {
				r.acked[d.begins] = make(map[int]int)
			}
			r.acked[d.begins][from] = n
			r.mu.Unlock()
			r.w.sum.sent.Add(1)
			n++
		case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "",
			a.status == http.StatusBadGateway && !r.synced: // its recipient is not there yet
			select {
			case <-r.over:
				return
			case <-time.After(5 * time.Millisecond):
			}
		case a.status == http.StatusBadGateway:
			return // its recipient was sent away
		default:
			r.fault(fmt.Errorf("%s: event %d of sender %d is answered %d %.200q", d.name, n, from, a.status, a.body))
			return
		}
	}
}

// checkLedger compares what was promised with what was heard.
func (r *stopRound) checkLedger() {
	for _, h := range r.heard {
		if h.err != nil {
			r.faults = append(r.faults, fmt.Errorf("%s: after %d events: %w", h.what, h.y.count, h.err))
			continue
		}
		r.w.sum.stayed.Add(1)
		if r.trusts != nil {
			r.w.sum.secured.Add(1)
			if h.y.d.name == "/events" {
				r.w.sum.streams.Add(1)
			}
		}
		begins := h.y.d.begins
		if h.y.d.name == "/events" {
			begins = pooshDialect(4).begins // it is sent what these are
		}
		for from, n := range r.acked[begins] {
			got, ok := h.y.last[from]
			if !ok && (h.y.late || h.y.d.name == "Socktopus") {
				continue // not to it, or before its time
			}
			if got < n || got > n+1 {
				r.faults = append(r.faults, fmt.Errorf("%s: has events of sender %d up to %d, and %d was answered 200", h.what, from, got, n))
			}
		}
		r.w.sum.delivered.Add(int64(h.y.count))
	}
}

// storm has clients come and go until the server is gone.
func (r *stopRound) storm() {
	for {
		select {
		case <-r.over:
			return
		default:
		}
		all := dialects()
		if rand.IntN(1+len(all)) == 0 {
			if err := r.visitStream(); err != nil {
				r.fault(err)
			}
			continue
		}
		d, k := all[rand.IntN(len(all))], stormKinds()[rand.IntN(len(stormKinds()))]
		if err := r.visit(d, k, rand.IntN(6)); err != nil {
			r.fault(fmt.Errorf("a visitor of %s, %s: %w", d.name, k.name, err))
		}
	}
}

// stormKinds are those that need no proxy, and leave no session behind that the end
// would wait for.
func stormKinds() []kind {
	return slices.DeleteFunc(kinds(), func(k kind) bool { return k.pause || k.proxy != "" || k.inTheir })
}

// visit is one client that goes at some point. What it hears must be in order; that it
// fails is no fault, the server may be gone.
func (r *stopRound) visit(d *dialect, k kind, how int) error {
	if how == 0 { // no further than a half of its head
		c, err := dialFrom(d.port(r.fourfold), "")
		if err == nil {
			_, _ = c.Write(plainHead(d.target("half"), sampleKey)[:40])
			c.Close()
		}
		return nil
	}
	ws, err := k.open(r.fourfold, d.port(r.fourfold), d.target(fmt.Sprint("visitor ", rand.Int())), d.own)
	if err != nil {
		return nil
	}
	defer ws.Close()
	if how == 1 || d.join(ws, "r") != nil {
		return nil
	}
	y := newTally(d)
	y.late = true
	if how == 5 {
		m := &member{rawSocket: ws, kind: k}
		err := m.readToEnd(y, 2*stopWithin, d.closes)
		if y.count > 0 {
			r.stay(d.name+", a visitor, "+k.name, y, err)
		}
		return nil
	}
	ws.SetReadDeadline(time.Now().Add(time.Duration(how) * 5 * time.Millisecond))
	for {
		op, message, err := ws.next()
		if err != nil || op == opClose {
			break
		}
		if err := y.take(message); err != nil {
			return err
		}
	}
	if how == 2 { // as a browser that leaves a page
		_, _ = ws.Write(frame(true, opClose, "\x03\xe9"))
	}
	return nil
}
