//go:build unix

package cluster

import (
	"syscall"
	"time"
)

// A rigFault is what happens in a round.
type rigFault struct {
	name  string
	do    func(*rig)
	ends  bool // connections to the victim end
	reset bool // Redis forgets everything: connections may end everywhere
	more  bool // it is played where that is asked for
	apart bool // the victim is apart from Redis: who came meanwhile may be closed
}

// rigFaults are those of nodes and of their wires; what happens to Redis, its engine knows. Each takes some time before and after, for the workers.
var rigFaults = []rigFault{
	{name: "nothing", do: func(r *rig) { r.pause(2500) }},
	{name: "SIGKILL", ends: true, do: func(r *rig) {
		r.pause(1000)
		r.happened("", "node %d is killed", r.round.victim)
		r.nodes[r.round.victim].Kill()
		r.pause(int(lease/time.Millisecond) * 3 / 2) // over its lease, or not
		r.nodes[r.round.victim].Restart()
		r.pause(1000)
	}},
	{name: "SIGKILL, which the others see", ends: true, more: true, do: func(r *rig) {
		r.pause(1000)
		r.outlives(r.nodes[r.round.victim])
		r.nodes[r.round.victim].Restart()
		r.pause(1000)
	}},
	{name: "SIGTERM", ends: true, do: func(r *rig) {
		r.pause(1000)
		r.nodes[r.round.victim].Terminate()
		r.pause(1000)
		r.nodes[r.round.victim].Restart()
		r.pause(1000)
	}},
	{name: "a short SIGSTOP", apart: true, do: func(r *rig) { r.stands(time.Second) }},
	{name: "a long SIGSTOP", apart: true, do: func(r *rig) { r.stands(lease + 2*time.Second) }},
	{name: "a short cut", apart: true, do: func(r *rig) { r.cuts(500 * time.Millisecond) }},
	{name: "a long cut", apart: true, do: func(r *rig) { r.cuts(lease + 2*time.Second) }},
}

// pause lets the workers work for up to so many milliseconds, and for half of that at the least.
func (r *rig) pause(most int) {
	time.Sleep(time.Duration(most/2+r.dice.IntN(most/2)) * time.Millisecond)
}

// stands has the victim stand still.
func (r *rig) stands(d time.Duration) {
	r.pause(1000)
	r.happened("", "node %d stops", r.round.victim)
	r.nodes[r.round.victim].Signal(syscall.SIGSTOP)
	time.Sleep(d)
	r.nodes[r.round.victim].Signal(syscall.SIGCONT)
	r.pause(1000)
}

// cuts takes Redis from the victim.
func (r *rig) cuts(d time.Duration) {
	r.pause(1000)
	r.happened("", "node %d is cut off", r.round.victim)
	r.nodes[r.round.victim].wires.Cut()
	time.Sleep(d)
	r.nodes[r.round.victim].wires.Heal()
	r.pause(1000)
}

// rigReaped is how long it may take at the most until the others know who went with a node: its lease, and what a
// busy machine needs.
const rigReaped = lease + 20*time.Second

// outlives kills a node and, before it is there again, looks whether the others and the application know who is
// still there.
func (r *rig) outlives(n *rigNode) {
	r.calm.Store(true)
	defer r.calm.Store(false)
	r.happened("", "node %d is killed", r.round.victim)
	n.Kill()
	r.dead = n
	began := time.Now()
	r.quietSubscriptions()
	r.quietQuestions()
	r.quietOnline()
	r.quietKnown()
	r.dead = nil
	if took := time.Since(began); took > rigReaped {
		r.blame("the others know of node %d after %v", r.round.victim, took)
	} else {
		r.t.Logf("round %d: the others know who went with node %d after %v", r.round.number, r.round.victim, took.Round(time.Millisecond))
	}
}
