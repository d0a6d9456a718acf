package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// openNodes opens a Node client of each version and way given, all of them in
// the room "joined", and waits until each is as far as it gets.
func openNodes(t *testing.T, s *server, d *driver, versions, ways []string, listen ...string) []*client {
	t.Helper()
	var all []*client
	for _, version := range versions {
		for _, way := range ways {
			all = append(all, d.open(opening{
				Version: version, Way: way, URL: s.clientURL(), Listen: listen, Rooms: []string{"joined"},
			}))
		}
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
		if c.way == "upgrade" {
			c.wait(t, "upgrade", 1)
		}
	}
	s.waitRoom(t, "joined", len(all))
	return all
}

// A server that dies without a word and comes back finds its clients again, of
// each version, and they hear what is sent then.
func TestClientsFindAServerThatDied(t *testing.T) {
	s := start(t)
	d := drive(t, "node.js")
	all := openNodes(t, s, d, versions, []string{"polling", "websocket", "upgrade"}, "again")
	s.crash()
	for _, c := range all {
		// What a client calls it depends on what it was doing; it must come back
		// from each, and "io server disconnect" is the one it does not come back from.
		if reason := c.wait(t, "disconnect", 1)[0].Text; !slices.Contains([]string{"transport close", "transport error"}, reason) {
			t.Errorf("%s: disconnect %q", c.id, reason)
		}
	}
	s.restart()
	for _, c := range all {
		reports := c.wait(t, "connect", 2)
		if reports[0].SID == reports[1].SID {
			t.Errorf("%s: the session %s is the one from before", c.id, reports[1].SID)
		}
	}
	s.waitRoom(t, "joined", len(all))
	s.send(t, "joined", "again", `1`)
	for _, c := range all {
		c.events(t, "again", 1)
	}
}

// A server that is asked to end delivers what it has accepted first: each event
// that a sender was told 200 for is received by each client that was there. The
// clients then take it for a lost connection and come back.
func TestDrainLosesNothingAccepted(t *testing.T) {
	s := start(t, "SHUTDOWN_TIMEOUT=20s")
	d := drive(t, "node.js")
	all := openNodes(t, s, d, []string{"1.0.6", "1.3.4", "1.7.4", "2.5.0", "4.8.1"}, []string{"polling", "websocket", "upgrade"}, "n")
	var sockets []*rawSocket
	for i := range 300 {
		ws, err := joinSocket(s.clientPort, 3+i%2, "joined", "")
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		sockets = append(sockets, ws)
	}
	everybody := len(all) + len(sockets)
	s.waitRoom(t, "joined", everybody)

	type heard struct {
		numbers []int
		err     error
	}
	hearing := make([]chan heard, len(sockets))
	for i, ws := range sockets {
		hearing[i] = make(chan heard, 1)
		go func() { // ends with its connection
			messages, _, err := ws.hearEnd(2 * patience)
			hearing[i] <- heard{numbersOf(messages), err}
		}()
	}

	// Posts go on until the port is closed, several at a time.
	const senders, each = 4, 1_000_000
	var count atomic.Int64
	accepted := make([][]int, senders)
	faults := make(chan error, senders)
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			pad := strings.Repeat("x", 2000)
			for n := i * each; ; n++ {
				payload := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, pad)
				a, err := s.tryPost(body("joined", "n", payload), token(payload))
				switch {
				case err != nil:
					return // the port is closed
				case a.status == 200 && a.header.Get("X-Poosh-Delivered") == strconv.Itoa(everybody):
					accepted[i] = append(accepted[i], n)
					count.Add(1)
				case a.status != 503:
					faults <- fmt.Errorf("event %d: status %d %q, handed to %s connections of %d",
						n, a.status, a.body, a.header.Get("X-Poosh-Delivered"), everybody)
					return
				}
			}
		})
	}
	eventually(t, patience, "some events to be accepted", func() bool { return count.Load() >= 100 || len(faults) > 0 })
	s.signal(syscall.SIGTERM)
	sending.Wait()
	if len(faults) > 0 {
		t.Error(<-faults)
	}
	s.waitExit(patience)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, s.log.Tail())
	}
	s.checkLog()
	t.Logf("%d events accepted", count.Load())
	check := func(numbers []int) error {
		for i, want := range accepted {
			if err := missing(want, slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return n/each != i })); err != nil {
				return fmt.Errorf("sender %d: %w", i, err)
			}
		}
		return nil
	}

	for i := range sockets {
		h := <-hearing[i]
		if err := errors.Join(h.err, check(h.numbers)); err != nil {
			t.Fatalf("raw client %d: %v", i, err)
		}
	}
	for _, c := range all {
		if reason, want := c.wait(t, "disconnect", 1)[0].Text, farewell(c.id); reason != want {
			t.Errorf("%s: disconnect %q, want %s", c.id, reason, want)
		}
		var texts []string
		for _, r := range c.seen("packet") {
			texts = append(texts, "4"+unquote(t, r.Text))
		}
		if err := check(numbersOf(texts)); err != nil {
			t.Errorf("%s: %v", c.id, err)
		}
	}
	s.restart()
	for _, c := range all {
		c.wait(t, "connect", 2)
	}
	s.waitRoom(t, "joined", len(all))
}

// numbersOf reads the numbers of the events "n" among messages.
func numbersOf(messages []string) []int {
	var numbers []int
	for _, m := range messages {
		if rest, ok := strings.CutPrefix(m, `42["n",{"n":`); ok {
			digits, _, _ := strings.Cut(rest, ",")
			n, _ := strconv.Atoi(digits)
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// missing says what of want is not in got, or not in its order.
func missing(want, got []int) error {
	if !slices.IsSorted(got) {
		return errors.New("the events came in another order than they were sent in")
	}
	for _, n := range want {
		if _, ok := slices.BinarySearch(got, n); !ok {
			return fmt.Errorf("event %d of %d was accepted and never came; %d came", n, len(want), len(got))
		}
	}
	return nil
}

// An end that takes longer than it may is an end all the same.
func TestShutdownHasADeadline(t *testing.T) {
	s := start(t, "SHUTDOWN_TIMEOUT=1s", "MAX_BODY_BYTES=64KiB", "OUTBOX_BYTES=16MiB")
	ws, err := joinSocket(s.clientPort, 3, "stalled", "")
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	s.waitRoom(t, "stalled", 1)
	payload := quote(strings.Repeat("x", 60000))
	eventually(t, patience, "bytes to wait for a client that does not read", func() bool {
		s.send(t, "stalled", "e", payload)
		return s.status(t).queuedBytes > 1<<20
	})
	began := time.Now()
	s.signal(syscall.SIGTERM)
	s.waitExit(patience)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %v, SHUTDOWN_TIMEOUT is 1s", took)
	}
	s.checkLog()
}

// farewell is what clients say of a server that has gone away. Those who poll find
// their session unknown or nobody there, as when the Node server had gone.
func farewell(client string) string {
	if strings.Contains(client, "polling") {
		return "transport error"
	}
	return "transport close"
}
