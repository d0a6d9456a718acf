package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	pacePusher  = 100 // are pusher-js, and do so too
	paceRaw     = paceClients - paceLibrary - pacePusher
	paceOver    = 20 * time.Second
	paceEvents  = 3 // that are sent before, to all

	paceWindow = time.Second // what clients are counted in
)

// Emigrants are clients of all dialects and transports that move from one process to the
// next, to which they come through balancers that note when it answers each.
type emigrants struct {
	from, to  *fourfold
	next      *fourfold // to as clients see it, behind the balancers
	balancers map[int]*process.Balancer

	mu     sync.Mutex // guards what follows
	ids    []string   // of Socktopus
	heard  []*tally
	faults []error
	stalls []stall
}

// A stall is a time during which this process or the next one did not run, and so could not
// take who came: they seem to come when it ends.
type stall struct{ from, to time.Time }

const (
	clockTick  = 5 * time.Millisecond
	leastStall = 4 * clockTick
)

// watchClock notes stalls until it is stopped: it asks the next process whether it lives,
// again and again.
func (c *emigrants) watchClock() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	asking := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	go func() { // ends with stop
		defer close(ended)
		defer asking.CloseIdleConnections()
		tick := time.NewTicker(clockTick)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			if a, err := tryAsk(asking, http.MethodGet, c.to.clientURL()+"/live", ""); err != nil || a.status != http.StatusOK {
				c.fault(-1, fmt.Errorf("the next process: %d, %v", a.status, err))
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

// stalled is for how long nobody was taken before moments of the window that begins then: who
// came meanwhile is seen in that window. A stall in which clients came is one for as much as
// they were fewer than even: a herd has no time for the clock either, and is no stall. Whoever
// is seen first may be before or behind the clock, by as little as is no stall.
func (c *emigrants) stalled(at time.Time, arrived []time.Time) (sum time.Duration) {
	for _, s := range c.stalls {
		if s.to.After(at.Add(-leastStall)) && s.to.Before(at.Add(paceWindow+leastStall)) {
			from, _ := slices.BinarySearchFunc(arrived, s.from, time.Time.Compare)
			to, _ := slices.BinarySearchFunc(arrived, s.to, time.Time.Compare)
			sum += max(s.to.Sub(s.from)-paceOver*time.Duration(to-from)/paceClients, 0)
		}
	}
	return sum
}

// Clients of all dialects leave a process that ends over DRAIN_TIME, and come to the next
// one as evenly: in no second does that take more than a fifth above the pace. Each has heard all that was
// accepted before the end began, and what was sent while it was there still.
func TestPace(t *testing.T) {
	binary, err := process.Build(t.TempDir(), false) // without the race detector, which has no time for crowds
	if err != nil {
		t.Fatal(err)
	}
	c := &emigrants{
		from: startProgram(t, binary, "DRAIN_TIME="+paceOver.String(), "SHUTDOWN_TIMEOUT=40s",
			"PUSH_SOCKET_AUTH_TIMEOUT=10m", "PING_TIMEOUT=10m"), // raw clients wait until all are there, and say nothing meanwhile
		to: startProgram(t, binary, "SHUTDOWN_TIMEOUT=1s"), // pollers that it has do not come back
	}
	c.balance(t)
	var entering, moving sync.WaitGroup
	for worker := range 8 {
		entering.Go(func() {
			for i := worker; i < paceRaw; i += 8 {
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
	c.mu.Lock()
	faults := c.faults
	c.mu.Unlock()
	if len(faults) > 0 {
		t.Fatal(faults[0])
	}
	inRoom := 0
	for i := range paceRaw {
		if emigrantKinds[i%len(emigrantKinds)].room {
			inRoom++
		}
	}
	c.from.waitRoom(t, "r", inRoom)
	libraries := c.enterLibraries(t)
	for n := 1; n <= paceEvents; n++ {
		for _, d := range dialects()[1:] {
			if a, err := d.publish(c.from, "r", c.ids, eventText(0, n, 200)); err != nil || a.status != http.StatusOK {
				t.Fatalf("%s: event %d is answered %d %.200q, %v", d.name, n, a.status, a.body, err)
			}
		}
	}
	stopWatching := c.watchClock()
	began := time.Now()
	c.balancers[c.from.clientPort].Choose(c.to.clientPort)
	c.balancers[c.from.pusherPort].Choose(c.to.pusherPort)
	c.from.signal(syscall.SIGTERM)
	var handed []int
	var sending sync.WaitGroup
	sending.Go(func() { handed = c.sendOn() }) // until it is refused
	moving.Wait()
	for _, client := range libraries {
		client.wait(t, "connect", 2)
	}
	took := time.Since(began)
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
	for line := range strings.Lines(c.from.log.String()) {
		if strings.Contains(line, "clients did not leave at the pace") {
			t.Fatal("the process that ended had no time to keep its pace, so nothing is known of that: ", line)
		}
	}
	c.checkPace(t, took)
	c.checkHeard(t, handed)
}

// balance puts balancers in front of the next process. Clients of libraries come through
// two of them to the first one, too.
func (c *emigrants) balance(t *testing.T) {
	next, behind := *c.to, *c.to.server
	next.server, c.next = &behind, &next
	c.balancers = make(map[int]*process.Balancer)
	for _, port := range []*int{&behind.clientPort, &next.pusherPort, &next.socktopusPort, &next.pushSocketPort} {
		b := process.Balance(t, *port)
		c.balancers[*port], *port = b, b.Port
	}
	for _, port := range []int{c.from.clientPort, c.from.pusherPort} {
		c.balancers[port] = process.Balance(t, port)
	}
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

// arrived is when the next process answered each client that came.
func (c *emigrants) arrived() (all []time.Time) {
	for _, port := range []int{c.to.clientPort, c.to.pusherPort, c.to.socktopusPort, c.to.pushSocketPort} {
		for _, b := range c.balancers {
			all = append(all, b.Came(port)...)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// checkPace looks at when clients came.
func (c *emigrants) checkPace(t *testing.T, took time.Duration) {
	arrived := c.arrived()
	if len(arrived) < paceClients { // a library may try twice
		t.Fatalf("%d clients came of %d", len(arrived), paceClients)
	}
	even := float64(paceClients) / paceOver.Seconds()
	busiest, worst, from := 0, 0.0, 0
	for i, at := range arrived {
		for at.Sub(arrived[from]) >= paceWindow {
			from++
		}
		n := i - from + 1
		busiest = max(busiest, n)
		worst = max(worst, float64(n)/(paceWindow+c.stalled(arrived[from], arrived)).Seconds())
	}
	var standing time.Duration
	for _, s := range c.stalls {
		standing += s.to.Sub(s.from)
	}
	t.Logf("%d clients came in %v, at most %d in %v, %.0f a second without stalls, which were %v in all; even are %.0f",
		len(arrived), took.Round(time.Millisecond), busiest, paceWindow, worst, standing.Round(time.Millisecond), even)
	if worst > even*6/5 {
		each := make([]int, int(took.Seconds())+1)
		for _, at := range arrived {
			each[min(int(at.Sub(arrived[0]).Seconds()), len(each)-1)]++
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

// pusherModules are where pusher-js is installed.
var pusherModules = filepath.Join("..", "pusher", "node_modules")

// enterLibraries connects clients of the socket.io library, of which each version has its
// part, and of pusher-js, and waits until they are in their rooms.
func (c *emigrants) enterLibraries(t *testing.T) (all []*client) {
	t.Helper()
	if _, err := os.Stat(pusherModules); err != nil {
		t.Fatal("pusher-js is not installed: npm ci --prefix test/pusher")
	}
	d := drive(t, "node.js")
	versions, ways := []string{"1.7.4", "2.5.0", "4.8.1"}, []string{"polling", "websocket", "upgrade"}
	for i := range paceLibrary {
		all = append(all, d.open(opening{
			Version: versions[i%3], Way: ways[i/3%3], URL: "http://" + addr(c.balancers[c.from.clientPort].Port), Rooms: []string{"library"},
		}))
	}
	for range pacePusher {
		all = append(all, d.open(opening{Version: "pusher-js", Way: "websocket", URL: "http://" + addr(c.balancers[c.from.pusherPort].Port),
			Rooms: []string{"library"}, Options: map[string]any{"key": pusherKey}}))
	}
	for _, client := range all {
		client.wait(t, "connect", 1)
		if client.way == "upgrade" {
			client.wait(t, "upgrade", 1)
		}
	}
	c.from.waitRoom(t, "library", paceLibrary)
	return all
}
