package pushsocket_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/test/process"
)

// How the test loads the server, and how often it kills it.
const (
	killRounds  = 8
	killDevices = 6
	killSenders = 8   // for each device
	killAfter   = 100 // messages were answered 200 since the start, and a moment more
)

// A box is what a device was sent and what it was given.
type box struct {
	device *device

	mu     sync.Mutex
	queued map[string]bool // bodies whose sender got 200
	given  map[string]int  // how often a body came, over all connections
}

// Killed over and over in the middle of load, the server loses no message whose
// sender got 200, gives a connection none twice and each sender's in order.
func TestSIGKILL(t *testing.T) {
	p := start(t, "PUSH_SOCKET_MESSAGES_PER_DEVICE=1000000", "PUSH_SOCKET_BYTES_PER_DEVICE=1GiB", "PUSH_SOCKET_REQUESTS=off")
	boxes := make([]*box, killDevices)
	for i := range boxes {
		boxes[i] = &box{device: newDevice(t, p), queued: make(map[string]bool), given: make(map[string]int)}
	}
	var answered, unanswered atomic.Int64
	next := make([]int, killDevices*killSenders) // of each sender
	for range killRounds {
		target := answered.Load() + killAfter
		stop := make(chan struct{})
		var all sync.WaitGroup
		for i, b := range boxes {
			for s := range killSenders {
				all.Go(func() { b.post(i*killSenders+s, &next[i*killSenders+s], stop, &answered, &unanswered) }) // ends with stop
			}
			all.Go(func() { b.listen(t) }) // ends with the process
		}
		for end := time.Now().Add(process.Patience); answered.Load() < target && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		p.Kill()
		close(stop)
		all.Wait()
		client.CloseIdleConnections()
		p.Restart()
	}
	queued, lost, again, extra := 0, 0, 0, 0
	for _, b := range boxes {
		b.drain(t)
		queued += len(b.queued)
		for body := range b.queued {
			if b.given[body] == 0 {
				lost++
			}
		}
		for body, n := range b.given {
			again += n - 1
			if !b.queued[body] {
				extra++
			}
		}
	}
	t.Logf("%d kills under load: %d messages answered 200, %d lost; %d given again on a later connection, %d stored without an answer, %d requests without one",
		killRounds, queued, lost, again, extra, unanswered.Load())
	if lost != 0 || queued < killAfter*killRounds {
		t.Errorf("%d of %d messages are lost", lost, queued)
	}
}

// post sends messages, one after the other, until stop or until the server is gone.
func (b *box) post(sender int, next *int, stop chan struct{}, answered, unanswered *atomic.Int64) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		body := fmt.Sprintf("%d %d %s", sender, *next, strings.Repeat("x", rand.IntN(2000)))
		*next++
		_, queued, err := b.device.mail(b.device, body)
		if err != nil {
			unanswered.Add(1)
			return
		}
		if queued {
			b.mu.Lock()
			b.queued[body] = true
			b.mu.Unlock()
			answered.Add(1)
		}
	}
}

// listen takes messages and confirms half of them, until the server is gone.
func (b *box) listen(t *testing.T) {
	l, err := b.device.listen()
	if err != nil {
		return // killed before it was there
	}
	defer l.ws.Close()
	var check order
	for {
		m, err := l.message(process.Patience)
		if err != nil {
			return
		}
		b.take(t, m, &check)
		if rand.IntN(2) == 0 && l.received(m.ID) != nil {
			return
		}
	}
}

// drain takes everything that is left and confirms it.
func (b *box) drain(t *testing.T) {
	t.Helper()
	l, err := b.device.listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.ws.Close()
	// The last message comes behind all that were stored.
	if _, queued, err := b.device.mail(b.device, "end"); !queued || err != nil {
		t.Fatal(queued, err)
	}
	var check order
	for {
		m, err := l.message(process.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Body == "end" {
			return
		}
		b.take(t, m, &check)
	}
}

// An order is what one connection was given so far.
type order struct {
	ids  map[string]bool
	last map[int]int // number of the last message, by sender
}

// take notes a message. On a connection no id comes twice, and the messages of a
// sender in their order.
func (b *box) take(t *testing.T, m mail, check *order) {
	t.Helper()
	if check.ids == nil {
		check.ids, check.last = make(map[string]bool), make(map[int]int)
	}
	fields := strings.SplitN(m.Body, " ", 3)
	sender, _ := strconv.Atoi(fields[0])
	number, _ := strconv.Atoi(fields[1])
	if check.ids[m.ID] {
		t.Errorf("%s came twice on a connection", m.ID)
	}
	if last, ok := check.last[sender]; ok && number <= last {
		t.Errorf("message %d of sender %d came behind %d", number, sender, last)
	}
	check.ids[m.ID], check.last[sender] = true, number
	b.mu.Lock()
	b.given[m.Body]++
	b.mu.Unlock()
}
