package socketio

// A transportState is what a session is carried by; see life.go for what a machine is.
// It begins with the first or the last: a client polls and may open a WebSocket beside
// it later, a probe, that takes over; or it opens one at once.
type transportState uint8

const (
	viaHandshake transportState = iota // polling, and no request came since the handshake
	viaPolling
	viaProbing    // a WebSocket has opened beside polling
	viaAsked      // it has said 2probe: the client waits for its GET to be answered
	viaMoved      // it has said 5 to a session that takes no more: last words go there
	viaSocket     // a WebSocket that took over
	viaSocketOnly // a WebSocket from the beginning
)

// A transportEvent is what happens to what a session is carried by.
type transportEvent uint8

const (
	wayPoll     transportEvent = iota // a GET
	wayPost                           // a POST
	wayProbe                          // a WebSocket that may take over, to a session that is open
	wayAsk                            // its 2probe
	wayMove                           // its 5
	wayMoveLate                       // its 5, to a session that is not open any more
	wayProbeEnd                       // its end
	wayEnd                            // the session ends
	wayKeep                           // the session ends with last words for a GET, or for the probe
	wayFetch                          // these have been fetched, or have waited long enough
)

// A transportEffect is what the session has to do; several may be set.
type transportEffect uint8

const (
	wayBegun    transportEffect = 1 << iota // count the client as one that came back
	wayServe                                // take the request: a GET is answered when there is something
	wayPair                                 // keep the WebSocket as the probe
	wayPace                                 // free GETs that wait, now and then
	wayTakeOver                             // move all that waits for a GET to the WebSocket
	waySay                                  // write the last words, if there are any yet, to the WebSocket
	wayUnpair                               // forget the probe
	wayDismiss                              // and close it
)

// polls reports whether the session is on polling, with a probe or without.
func (s transportState) polls() bool { return s < viaSocket }

type transportStep struct {
	to transportState
	do transportEffect
}

var transportSteps = [...][wayFetch + 1]transportStep{
	viaHandshake: {
		wayPoll:  {viaPolling, wayBegun | wayServe},
		wayPost:  {viaPolling, wayBegun | wayServe},
		wayProbe: {viaProbing, wayBegun | wayPair},
	},
	viaPolling: {
		wayPoll:  {viaPolling, wayServe},
		wayPost:  {viaPolling, wayServe},
		wayProbe: {viaProbing, wayPair},
	},
	viaProbing: {
		wayPoll:     {viaProbing, wayServe},
		wayPost:     {viaProbing, wayServe},
		wayAsk:      {viaAsked, wayPace},
		wayMove:     {viaSocket, wayTakeOver | wayUnpair},
		wayProbeEnd: {viaPolling, wayUnpair},
		wayEnd:      {viaPolling, wayUnpair | wayDismiss},
		wayKeep:     {viaPolling, wayUnpair | wayDismiss},
	},
	viaAsked: {
		wayPoll:     {viaAsked, wayServe},
		wayPost:     {viaAsked, wayServe},
		wayMove:     {viaSocket, wayTakeOver | wayUnpair},
		wayMoveLate: {viaMoved, waySay},
		wayProbeEnd: {viaPolling, wayUnpair},
		wayEnd:      {viaPolling, wayUnpair | wayDismiss},
		// A client that was told that its WebSocket works may come there, and never
		// poll again: wayKeep changes nothing.
		wayFetch: {viaPolling, wayUnpair | wayDismiss},
	},
	viaMoved: {
		wayPoll:     {viaMoved, wayServe},
		wayPost:     {viaMoved, wayServe},
		wayProbeEnd: {viaPolling, wayUnpair},
		wayEnd:      {viaPolling, wayUnpair | wayDismiss},
		wayKeep:     {viaMoved, waySay},
		wayFetch:    {viaPolling, wayUnpair | wayDismiss},
	},
	viaSocket: {wayPost: {viaSocket, wayServe}}, // one may have been under way
	// Its id is no secret to those in its room, who may not speak for it.
	viaSocketOnly: {},
}

// on is what an event makes of a state.
func (s transportState) on(e transportEvent) (transportState, transportEffect) {
	if step := transportSteps[s][e]; step.do != 0 {
		return step.to, step.do
	}
	return s, 0
}

// carry lets an event happen to what carries the session. s.mu is held.
func (s *Session) carry(e transportEvent) transportEffect {
	var do transportEffect
	s.via, do = s.via.on(e)
	s.route()
	return do
}
