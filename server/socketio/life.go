package socketio

// A session's life: it is open, is told to close, has ended, and is forgotten.
//
// This file, transport.go and namespace.go are the three machines of a session. Each
// is a table that says what an event makes of a state and what the session has to do
// about it, and no more: no lock, no clock, no connection. The session carries out, in
// the order that the effects stand in. What a table has no entry for changes nothing
// and is answered with no effect, which is how an event that comes too late, or twice,
// is refused.

// A lifeState is how far a session has come.
type lifeState uint8

const (
	lifeOpen    lifeState = iota
	lifeClosing           // it takes nothing more; its end follows
	lifeKept              // it has ended; its last words are kept for its client
	lifeClosed            // it has ended and nothing is left of it
)

// A lifeEvent is what happens to a session's life.
type lifeEvent uint8

const (
	lifeShut     lifeEvent = iota // it is asked to close in order
	lifeOverflow                  // too much waits for its client
	lifeEnd                       // it ends, and its client is told now or never
	lifeKeep                      // it ends, and its client is told by its next GET
	lifeFetch                     // its last words are fetched, or have waited long enough
)

// A lifeEffect is what the session has to do; several may be set.
type lifeEffect uint8

const (
	lifeHang   lifeEffect = 1 << iota // close the transport, or end if there is none to close
	lifeAbort                         // end, on a goroutine: the caller may hold a lock
	lifeLinger                        // forget the last words some time from now
	lifeTell                          // tell the library and the handler of the end
	lifeForget                        // forget the session
)

// over reports whether the session has ended.
func (s lifeState) over() bool { return s >= lifeKept }

type lifeStep struct {
	to lifeState
	do lifeEffect
}

var lifeSteps = [...][lifeFetch + 1]lifeStep{
	lifeOpen: {
		lifeShut:     {lifeClosing, lifeHang},
		lifeOverflow: {lifeClosing, lifeAbort},
		lifeEnd:      {lifeClosed, lifeTell | lifeForget},
		lifeKeep:     {lifeKept, lifeTell | lifeLinger},
	},
	lifeClosing: {
		lifeEnd:  {lifeClosed, lifeTell | lifeForget},
		lifeKeep: {lifeKept, lifeTell | lifeLinger},
	},
	lifeKept:   {lifeFetch: {lifeClosed, lifeForget}},
	lifeClosed: {},
}

// on is what an event makes of a state.
func (s lifeState) on(e lifeEvent) (lifeState, lifeEffect) {
	if step := lifeSteps[s][e]; step.do != 0 {
		return step.to, step.do
	}
	return s, 0
}

// live lets an event happen to the session's life. s.mu is held.
func (s *Session) live(e lifeEvent) lifeEffect {
	var do lifeEffect
	s.life, do = s.life.on(e)
	s.route()
	return do
}
