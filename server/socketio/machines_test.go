package socketio

import (
	"fmt"
	"testing"
)

// The machines by themselves: what no order of events may do. What the session makes of
// them is the part of TestEveryOrder.

// paths calls visit with every sequence of events up to a length, and with what came of
// it: the states gone through and the effects.
func paths[S, E, D ~uint8](from S, last E, on func(S, E) (S, D), length int, visit func([]S, []E, []D)) {
	var walk func([]S, []E, []D)
	walk = func(states []S, events []E, effects []D) {
		visit(states, events, effects)
		if len(events) == length {
			return
		}
		for e := range last + 1 {
			to, do := on(states[len(states)-1], e)
			if do == 0 { // refused; what follows is another path's
				continue
			}
			walk(append(states[:len(states):len(states)], to), append(events[:len(events):len(events)], e), append(effects[:len(effects):len(effects)], do))
		}
	}
	walk([]S{from}, nil, nil)
}

// times counts an effect.
func times[D ~uint8](effects []D, effect D) (n int) {
	for _, do := range effects {
		if do&effect != 0 {
			n++
		}
	}
	return n
}

// refuses wants a state to be what it was where a table has no entry.
func refuses[S, E, D ~uint8](t *testing.T, states S, last E, on func(S, E) (S, D)) {
	t.Helper()
	for s := range states + 1 {
		for e := range last + 1 {
			if to, do := on(s, e); do == 0 && to != s {
				t.Errorf("state %d, event %d: nothing is done, but the state is %d", s, e, to)
			}
		}
	}
}

func TestLifeMachine(t *testing.T) {
	refuses(t, lifeClosed, lifeFetch, lifeState.on)
	reached := make(map[lifeState]bool)
	paths(lifeOpen, lifeFetch, lifeState.on, 6, func(states []lifeState, events []lifeEvent, effects []lifeEffect) {
		at := states[len(states)-1]
		reached[at] = true
		for i := range events {
			if states[i+1] <= states[i] {
				t.Errorf("%v: life went from %d to %d", events, states[i], states[i+1])
			}
		}
		want := map[lifeState][2]int{lifeKept: {1, 0}, lifeClosed: {1, 1}}[at]
		if got := [2]int{times(effects, lifeTell), times(effects, lifeForget)}; got != want {
			t.Errorf("%v: told and forgotten %v times in state %d, want %v", events, got, at, want)
		}
		if times(effects, lifeHang)+times(effects, lifeAbort) > 1 {
			t.Errorf("%v: closed more than once", events)
		}
		if (times(effects, lifeLinger) > 0) != (at == lifeKept || len(states) > 1 && states[len(states)-2] == lifeKept) {
			t.Errorf("%v: last words are kept without end, or not at all", events)
		}
	})
	if len(reached) != int(lifeClosed)+1 {
		t.Errorf("reached %v", reached)
	}
}

func TestNamespaceMachine(t *testing.T) {
	refuses(t, spaceLeft, spaceEnd, namespaceState.on)
	reached := make(map[namespaceState]bool)
	paths(spaceNever, spaceEnd, namespaceState.on, 7, func(states []namespaceState, events []namespaceEvent, effects []namespaceEffect) {
		at := states[len(states)-1]
		reached[at] = true
		// The handler hears of each coming one going, and of nothing else.
		inside := times(effects, spaceWelcome) - times(effects, spaceTell)
		if want := map[bool]int{true: 1}[at == spaceGreeting || at == spaceInside]; inside != want {
			t.Errorf("%v: the handler met %d more than left, want %d", events, inside, want)
		}
		// Each wish that the library was asked for it grants, or gets back.
		if n := len(effects); n > 0 && effects[n-1]&spaceDrop == 0 && (events[n-1] == spaceJoined || events[n-1] == spaceJoinLate) && states[n-1] != spaceJoining {
			t.Errorf("%v: a socket that nobody asked for was taken", events)
		}
		if n := len(effects); n > 0 && events[n-1] == spaceJoinLate && effects[n-1] != spaceDrop {
			t.Errorf("%v: who came when the session had ended was let in", events)
		}
		if times(effects, spaceRelease) != times(effects, spaceWelcome)-map[bool]int{true: 1}[at == spaceGreeting]-late(events, states) {
			t.Errorf("%v: what was held was not let go once for each welcome", events)
		}
	})
	if len(reached) != int(spaceLeft)+1 {
		t.Errorf("reached %v", reached)
	}
}

// late counts greetings that came too late.
func late(events []namespaceEvent, states []namespaceState) (n int) {
	for i, e := range events {
		if e == spaceGreetLate && states[i] == spaceGreeting {
			n++
		}
	}
	return n
}

func TestTransportMachine(t *testing.T) {
	refuses(t, viaSocketOnly, wayFetch, transportState.on)
	reached := map[transportState]bool{viaSocketOnly: true}
	paths(viaHandshake, wayFetch, transportState.on, 6, func(states []transportState, events []transportEvent, effects []transportEffect) {
		at := states[len(states)-1]
		reached[at] = true
		if got := times(effects, wayBegun); got != map[bool]int{true: 1}[len(events) > 0] || got > 0 && effects[0]&wayBegun == 0 {
			t.Errorf("%v: counted %d times as begun", events, got)
		}
		probes := times(effects, wayPair) - times(effects, wayUnpair)
		if want := map[bool]int{true: 1}[at == viaProbing || at == viaAsked || at == viaMoved]; probes != want {
			t.Errorf("%v: %d probes in state %d, want %d", events, probes, at, want)
		}
		if got := times(effects, wayTakeOver); got != map[bool]int{true: 1}[at == viaSocket] {
			t.Errorf("%v: taken over %d times in state %d", events, got, at)
		}
		for i, do := range effects {
			switch {
			case do&wayDismiss != 0 && do&wayUnpair == 0:
				t.Errorf("%v: a probe is closed and kept", events)
			case !states[i].polls() && (states[i+1] != states[i] || events[i] != wayPost):
				t.Errorf("%v: a WebSocket became something else", events)
			case (events[i] == wayPoll || events[i] == wayPost) != (do&wayServe != 0):
				t.Errorf("%v: event %d was not taken", events, events[i])
			case do&waySay != 0 && states[i+1] != viaMoved:
				t.Errorf("%v: last words go to who has not moved", events)
			}
		}
	})
	if len(reached) != int(viaSocketOnly)+1 {
		t.Errorf("reached %v", reached)
	}
	for e := range wayFetch + 1 {
		if to, do := viaSocketOnly.on(e); to != viaSocketOnly || do != 0 {
			t.Errorf("event %d made %d and %d of a WebSocket that never polled", e, to, do)
		}
	}
	if fmt.Sprint(viaHandshake.polls(), viaMoved.polls(), viaSocket.polls(), viaSocketOnly.polls()) != "true true false false" {
		t.Error("what is on polling is not what is")
	}
}
