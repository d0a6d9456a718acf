package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"poosh/test/process"
)

// The clients that TestPace moves from one process to the next, and the time for that.
const (
	paceClients = 5000
	paceLibrary = 300 // of them are socket.io's own, and come back by themselves
	paceOver    = 20 * time.Second
	paceEvents  = 3 // that are sent before, to all

	// paceWindow is what clients are counted in: much longer than it takes until one of
	// them sees its end, where each has to wait for a processor.
	paceWindow = 3 * time.Second
)

// Emigrants are clients of all dialects and transports that move from one process to the
// next.
type emigrants struct {
	from, to *fourfold

	mu      sync.Mutex // guards what follows
	ids     []string   // of Socktopus
	arrived []time.Time
	heard   []*tally
	faults  []error
	stalls  []stall
}

// A stall is a time during which this process did not run, and so could not see who came:
// they seem to come when it ends.
type stall struct{ from, to time.Time }

const (
	clockTick  = 5 * time.Millisecond
	leastStall = 4 * clockTick
)

// watchClock notes stalls until it is stopped.
func (c *emigrants) watchClock() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		tick := time.NewTicker(clockTick)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			now := time.Now()
			if now.Sub(last) > leastStall {
				c.stalls = append(c.stalls, stall{last, now})
			}
			last = now
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// stalled is for how long this process did not run before moments of the window that begins
// then: what came meanwhile is seen in that window. Whoever is seen first may be before or
// behind the clock, by as little as is no stall.
func (c *emigrants) stalled(at time.Time) (sum time.Duration) {
	for _, s := range c.stalls {
		if s.to.After(at.Add(-leastStall)) && s.to.Before(at.Add(paceWindow+leastStall)) {
			sum += s.to.Sub(s.from)
		}
	}
	return sum
}

// Clients of all dialects leave a process that ends over DRAIN_TIME, and come to the next
// one as evenly: in no three seconds more than a fifth above the pace. Each has heard all that was
// accepted before the end began, and what was sent while it was there still.
func TestPace(t *testing.T) {
	binary, err := process.Build(t.TempDir(), false) // without the race detector, which has no time for crowds
	if err != nil {
		t.Fatal(err)
	}
	c := &emigrants{
		from: startProgram(t, binary, "DRAIN_TIME="+paceOver.String(), "SHUTDOWN_TIMEOUT=40s"),
		to:   startProgram(t, binary, "SHUTDOWN_TIMEOUT=1s"), // pollers that it has do not come back
	}
	var entering, moving sync.WaitGroup
	for worker := range 8 {
		entering.Go(func() {
			for i := worker; i < paceClients-paceLibrary; i += 8 {
				move, err := c.enter(i)
				if err != nil {
					c.fault(i, err)
					return
				}
				moving.Go(func() { c.fault(i, move()) }) // ends with its connection to the process that ends
			}
		})
	}
	entering.Wait()
	if len(c.faults) > 0 {
		t.Fatal(c.faults[0])
	}
	c.from.waitRoom(t, "r", (paceClients-paceLibrary)*3/5)
	balancer := process.Balance(t, c.from.clientPort)
	library := enterLibrary(t, balancer)
	c.from.waitRoom(t, "library", len(library))
	for n := 1; n <= paceEvents; n++ {
		for _, d := range dialects()[1:] {
			if a, err := d.publish(c.from, "r", c.ids, eventText(0, n, 200)); err != nil || a.status != http.StatusOK {
				t.Fatalf("%s: event %d is answered %d %.200q, %v", d.name, n, a.status, a.body, err)
			}
		}
	}
	stopWatching := c.watchClock()
	began := time.Now()
	balancer.Choose(c.to.clientPort)
	c.from.signal(syscall.SIGTERM)
	var handed []int
	var sending sync.WaitGroup
	sending.Go(func() { handed = c.sendOn() }) // until it is refused
	moving.Wait()
	took := time.Since(began)
	for _, client := range library {
		c.arrived = append(c.arrived, client.wait(t, "connect", 2)[1].at)
	}
	stopWatching()
	sending.Wait()
	c.from.waitExit(patience)
	if code := c.from.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.from.log.Tail())
	}
	c.from.checkLog()
	for _, err := range c.faults[:min(len(c.faults), 5)] {
		t.Error(err)
	}
	c.checkPace(t, took)
	c.checkHeard(t, handed)
}

// fault notes what went wrong with a client, if anything did.
func (c *emigrants) fault(i int, err error) {
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.faults = append(c.faults, fmt.Errorf("client %d: %w", i, err))
	}
}

// startProgram is startFourfold for another binary.
func startProgram(t *testing.T, binary string, settings ...string) *fourfold {
	t.Helper()
	f := prepareFourfold(t, settings...)
	f.program = binary
	if err := f.launchAll(); err != nil {
		t.Fatalf("the server did not start: %v\n%s", err, f.log)
	}
	t.Cleanup(f.stop)
	return f
}

// enterLibrary connects clients of the socket.io library, of which each version has its part.
func enterLibrary(t *testing.T, balancer *process.Balancer) (all []*client) {
	t.Helper()
	d := drive(t, "node.js")
	versions, ways := []string{"1.7.4", "2.5.0", "4.8.1"}, []string{"polling", "websocket", "upgrade"}
	for i := range paceLibrary {
		all = append(all, d.open(opening{
			Version: versions[i%3], Way: ways[i/3%3], URL: "http://" + addr(balancer.Port), Rooms: []string{"library"},
		}))
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
		if c.way == "upgrade" {
			c.wait(t, "upgrade", 1)
		}
	}
	return all
}

// enter connects a client to the first process. move reads to its end there, and then
// connects to the next at once, as clients of Pusher do; others would wait a little.
func (c *emigrants) enter(i int) (move func() error, err error) {
	if i%5 == 4 {
		return c.enterPolling(3 + i/5%2)
	}
	d := dialects()[i%5]
	m, err := d.enter(c.from, kinds()[i/5%2], "r")
	if err != nil {
		return nil, err
	}
	if d.name == "Socktopus" {
		c.mu.Lock()
		c.ids = append(c.ids, m.id)
		c.mu.Unlock()
	}
	return func() error {
		defer m.Close()
		y := newTally(d)
		if err := m.readToEnd(y, paceOver+2*patience, d.closes); err != nil {
			return fmt.Errorf("%s: after %d events: %w", d.name, y.count, err)
		}
		c.comes(y)
		next, err := d.enter(c.to, m.kind, "r")
		if err != nil {
			return fmt.Errorf("%s: at the next process: %w", d.name, err)
		}
		return next.Close()
	}, nil
}

// enterPolling is enter for a client that polls.
func (c *emigrants) enterPolling(eio int) (move func() error, err error) {
	p := newBrowserPoller(c.from, 0, eio)
	if err := p.join("r"); err != nil {
		return nil, err
	}
	return func() error {
		defer p.close()
		y := newTally(pooshDialect(eio))
		if err := afterTheEnd(p.read(y, 1<<30)); err != nil {
			return fmt.Errorf("polling: %w", err)
		}
		c.comes(y)
		next := newBrowserPoller(c.to, 0, eio)
		defer next.close()
		if err := next.join("r"); err != nil {
			return fmt.Errorf("polling: at the next process: %w", err)
		}
		return nil
	}, nil
}

// comes notes a client that is about to connect to the next process, and what it has heard
// from the first.
func (c *emigrants) comes(y *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived, c.heard = append(c.arrived, time.Now()), append(c.heard, y)
}

// sendOn sends events to the first process until that takes none any more, and returns to
// how many clients each was handed.
func (c *emigrants) sendOn() (handed []int) {
	for n := 1; ; n++ {
		a, err := pooshDialect(3).publish(c.from, "r", nil, eventText(1, n, 100))
		if err != nil || a.status != http.StatusOK {
			return handed
		}
		to, _ := strconv.Atoi(a.header.Get("X-Poosh-Delivered"))
		handed = append(handed, to)
		time.Sleep(time.Second) // what is measured is the pace, and not the fan-out
	}
}

// checkPace looks at when clients came.
func (c *emigrants) checkPace(t *testing.T, took time.Duration) {
	slices.SortFunc(c.arrived, time.Time.Compare)
	even := float64(paceClients) / paceOver.Seconds()
	busiest, worst, from := 0, 0.0, 0
	for i, at := range c.arrived {
		for at.Sub(c.arrived[from]) >= paceWindow {
			from++
		}
		n := i - from + 1
		busiest = max(busiest, n)
		worst = max(worst, float64(n)/(paceWindow+c.stalled(c.arrived[from])).Seconds())
	}
	t.Logf("%d clients came in %v, at most %d in %v, %.0f a second without this process's own stalls; even are %.0f",
		len(c.arrived), took.Round(time.Millisecond), busiest, paceWindow, worst, even)
	if len(c.arrived) != paceClients {
		t.Errorf("%d clients came of %d", len(c.arrived), paceClients)
	}
	if worst > even*6/5 {
		each := make([]int, int(took.Seconds())+1)
		for _, at := range c.arrived {
			each[min(int(at.Sub(c.arrived[0]).Seconds()), len(each)-1)]++
		}
		t.Errorf("%.0f came in a second, more than a fifth above %.0f; in each %v", worst, even, each)
	}
	if took < paceOver*3/4 {
		t.Errorf("they came in %v", took)
	}
}

// checkHeard looks at what clients heard: everybody what was sent before, and of the rest
// each event as many as it was handed to.
func (c *emigrants) checkHeard(t *testing.T, handed []int) {
	heard := make([]int, len(handed))
	for _, y := range c.heard {
		if y.last[0] != paceEvents {
			t.Errorf("%s: a client heard %d events of %d", y.d.name, y.last[0], paceEvents)
			return
		}
		for n := range min(y.last[1], len(heard)) {
			heard[n]++
		}
	}
	t.Logf("%d events were sent meanwhile, the first to %d clients", len(handed), slices.Max(append(handed, 0)))
	if len(handed) < int(paceOver/time.Second)/2 {
		t.Errorf("only %d events were taken while clients left", len(handed))
	}
	if !slices.Equal(heard, handed) {
		t.Error(errors.New("events were not heard by as many as they were handed to"), fmt.Sprintf("%.500s, %.500s", fmt.Sprint(heard), fmt.Sprint(handed)))
	}
}
