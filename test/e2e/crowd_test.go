package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// crowd is how many clients connect at once, and pollers how many of them do so
// over polling alone.
const crowd, crowdPollers = 3000, 150

// Thousands of clients connect at once and join in the very packets they connect
// with. A server that tells a client of its session before it listens to it
// loses the joins of the quickest.
func TestEveryJoinOfACrowdCounts(t *testing.T) {
	s := start(t)
	room := "crowd"
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex // guards what follows
		sockets []*rawSocket
		faults  []error
	)
	ready := make(chan struct{})
	for i := range crowd {
		eio := 3 + i%2
		from := fmt.Sprintf("127.0.0.%d", 2+i%50)
		wg.Go(func() {
			<-ready
			ws, err := joinAtOnce(s.clientPort, eio, room, from)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				faults = append(faults, err)
			} else {
				sockets = append(sockets, ws)
			}
		})
	}
	// Each has its part of a session over polling: the open packet, then the join
	// in the first POST, before the first poll has an answer.
	var pollers []*poller
	for i := range crowdPollers {
		wg.Go(func() {
			<-ready
			p := poll(t, s, []string{"EIO=3", "EIO=4", "EIO=3&b64=1"}[i%3])
			p.post(`42["room",` + quote(room) + `]`)
			mu.Lock()
			defer mu.Unlock()
			pollers = append(pollers, p)
		})
	}
	close(ready)
	wg.Wait()
	defer func() {
		for _, ws := range sockets {
			ws.Close()
		}
	}()
	if len(faults) > 0 {
		t.Fatalf("%d of %d did not connect: %v", len(faults), crowd, faults[0])
	}
	s.waitRoom(t, room, crowd+crowdPollers)

	if got := s.send(t, room, "all", `"hear"`); got != crowd+crowdPollers {
		t.Errorf("handed to %d connections, want %d", got, crowd+crowdPollers)
	}
	if got := s.broadcast(t, "all", `"everyone"`); got != crowd+crowdPollers {
		t.Errorf("without a room, handed to %d connections, want %d", got, crowd+crowdPollers)
	}
	for _, ws := range sockets {
		for _, want := range []string{`42["all","hear"]`, `42["all","everyone"]`} {
			got, err := ws.hear(patience, want, func(m string) bool { return strings.HasPrefix(m, `42["all"`) })
			if err != nil || got != want {
				t.Fatalf("heard %q, %v; want %s", got, err, want)
			}
		}
	}
	for _, p := range pollers {
		for _, want := range []string{`42["all","hear"]`, `42["all","everyone"]`} {
			if got := p.hear(`42["all"`); got != want {
				t.Fatalf("polling, heard %q, want %s", got, want)
			}
		}
	}
}
