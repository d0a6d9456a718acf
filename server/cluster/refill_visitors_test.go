package cluster

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
)

// placed is an encoder whose frames begin with their place.
type placed struct{}

func (placed) Encode(p *hub.Publication) []byte { return append([]byte(hub.NoPosition), p.Data...) }

func (placed) Place(frame []byte, at hub.Position) { at.Put(frame) }

// A visitor is somebody who comes back to where it was, whenever it is sent away, and goes now and then. It gets
// numbers from 1 on.
type visitor struct {
	n    *library
	name string
	draw *rand.Rand // its goroutine's

	mu    sync.Mutex // guards what follows
	last  hub.Position
	got   int // the last number
	fault string
	over  bool // the connection
}

// Deliver implements [hub.Receiver].
func (v *visitor) Deliver(frame []byte) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return false
	}
	at, _ := hub.ParsePosition(string(frame[:hub.PositionSize]))
	if text := string(frame[hub.PositionSize:]); v.fault == "" && text != strconv.Itoa(v.got+1) {
		v.fault = fmt.Sprintf("behind %d at %v came %s at %v", v.got, v.last, text, at)
	}
	v.got, v.last = v.got+1, at
	return true
}

// Missed implements [hub.Misser].
func (v *visitor) Missed() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.over = true
}

func (v *visitor) state() (over bool, got int, fault string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.over, v.got, v.fault
}

// answer notes what it is told: where it is from now on.
func (v *visitor) answer(r hub.Recovery) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	if !r.Whole && v.fault == "" {
		v.fault = fmt.Sprintf("behind %d at %v it was told no, at %v", v.got, v.last, r.Head)
	}
	v.last = r.Head
}

// visit is one connection, on which it asks again now and then.
func (v *visitor) visit(stop func() bool) {
	v.mu.Lock()
	v.over = false
	v.mu.Unlock()
	var trail hub.Trail
	sub, _ := v.n.hub.RegisterKept(app, v.name, 10, placed{}, v, &trail)
	defer v.n.hub.Unregister(sub)
	for range 1 + v.draw.IntN(20) {
		v.mu.Lock()
		after := v.last
		v.mu.Unlock()
		if _, err := v.n.hub.Recover(sub, &trail, &hub.Ask{Rooms: []string{"r"}, After: after, Answer: v.answer}); err != nil {
			panic(err)
		}
		time.Sleep(time.Duration(v.draw.IntN(4)) * time.Millisecond) // as clients do: what it meets is chance
		if over, _, fault := v.state(); over || fault != "" || stop() {
			return
		}
	}
	v.Missed()
}

// A node is cut off for longer than the backlog holds, again and again, while others publish and clients are there and come
// and go: nobody is told no, and everybody gets each event once and in order. What drops out of the backlog as it comes
// back is found too.
func TestVisitorsOfNodeCutOff(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	cfg := config(t, at(redis.Addr))
	cfg.Backlog = shortBacklog
	far, wire := wired(t, cfg, redis.Addr)
	a, b := openLibrary(t, cfg, much), openLibrary(t, far, much)
	begin := a.head()
	var over, sated atomic.Bool
	var visitors []*visitor
	var visiting, sending sync.WaitGroup
	for i := range 8 {
		v := &visitor{n: b, name: fmt.Sprint("v", i), draw: rand.New(rand.NewPCG(1, uint64(i))), last: begin}
		visitors = append(visitors, v)
		visiting.Go(func() { // ends when it has all
			for _, _, fault := v.state(); fault == "" && !sated.Load(); _, _, fault = v.state() {
				v.visit(sated.Load)
			}
		})
	}
	t.Cleanup(visiting.Wait)
	t.Cleanup(func() { sated.Store(true) })
	var sent atomic.Int64
	sending.Go(func() {
		for !over.Load() {
			if err := a.publish("r", strconv.FormatInt(sent.Load()+1, 10)); err != nil {
				t.Error(err)
				return
			}
			sent.Add(1)
		}
	})
	t.Cleanup(sending.Wait)
	t.Cleanup(func() { over.Store(true) })
	for round := range uint64(12) {
		b.cutOff(wire.Cut)
		from := sent.Load()
		until(t, "others have published", func() bool { return sent.Load() > from+100 })
		wire.Heal()
		b.again(round + 1)
	}
	over.Store(true)
	sending.Wait()
	all := int(sent.Load())
	for _, v := range visitors {
		until(t, "it has all that was published", func() bool {
			_, got, fault := v.state()
			return got >= all || fault != ""
		})
	}
	sated.Store(true)
	visiting.Wait()
	for _, v := range visitors {
		if _, got, fault := v.state(); got != all || fault != "" {
			t.Errorf("%s has %d of %d: %s", v.name, got, all, fault)
		}
	}
	b.has("r", begin, numbered(1, all))
	if n := b.count.unfilled.Load(); n != 0 {
		t.Errorf("%d times it went on without:\n%s", n, b.log)
	}
}
