package socketio

// A namespaceState is where a client stands with the default namespace; see life.go
// for what a machine is.
type namespaceState uint8

const (
	spaceNever    namespaceState = iota // it never was there
	spaceJoining                        // the library is at it; packets wait
	spaceGreeting                       // the handler is being told
	spaceInside
	spaceLeft // it was there, or the session ended before
)

// A namespaceEvent is what happens between a client and the namespace.
type namespaceEvent uint8

const (
	spaceJoin      namespaceEvent = iota // it wants in
	spaceJoined                          // the library has let it in
	spaceJoinLate                        // so it has, but the session is closing or over
	spaceGreet                           // the handler has been told that it is there
	spaceGreetLate                       // so it has, but the session is over
	spaceLeave                           // it wants out
	spaceEnd                             // its session ends
)

// A namespaceEffect is what the session has to do; several may be set.
type namespaceEffect uint8

const (
	spaceAsk     namespaceEffect = 1 << iota // ask the library to let it in
	spaceWelcome                             // tell the handler that it is there, then [spaceGreet]
	spaceRelease                             // let go what was held back meanwhile, both ways
	spaceDrop                                // take back what the library has done
	spaceTell                                // tell the handler that it left
)

// holds reports whether the client is not told anything yet, nor heard: the library
// writes its answer before the handler knows the client, and the handler may write
// before the answer.
func (s namespaceState) holds() bool { return s == spaceJoining || s == spaceGreeting }

type namespaceStep struct {
	to namespaceState
	do namespaceEffect
}

var namespaceSteps = [...][spaceEnd + 1]namespaceStep{
	spaceNever: {
		spaceJoin:     {spaceJoining, spaceAsk},
		spaceJoined:   {spaceNever, spaceDrop},
		spaceJoinLate: {spaceNever, spaceDrop},
	},
	spaceJoining: {
		spaceJoined: {spaceGreeting, spaceWelcome},
		// The session ended while the library was at it, which has not noticed.
		spaceJoinLate: {spaceLeft, spaceDrop},
	},
	spaceGreeting: {
		spaceJoined:    {spaceGreeting, spaceDrop},
		spaceJoinLate:  {spaceGreeting, spaceDrop},
		spaceGreet:     {spaceInside, spaceRelease},
		spaceGreetLate: {spaceLeft, spaceTell},
	},
	spaceInside: {
		spaceJoined:   {spaceInside, spaceDrop},
		spaceJoinLate: {spaceInside, spaceDrop},
		spaceLeave:    {spaceLeft, spaceTell},
		spaceEnd:      {spaceLeft, spaceTell},
	},
	spaceLeft: {
		spaceJoin:     {spaceJoining, spaceAsk},
		spaceJoined:   {spaceLeft, spaceDrop},
		spaceJoinLate: {spaceLeft, spaceDrop},
	},
}

// on is what an event makes of a state.
func (s namespaceState) on(e namespaceEvent) (namespaceState, namespaceEffect) {
	if step := namespaceSteps[s][e]; step.do != 0 {
		return step.to, step.do
	}
	return s, 0
}

// move lets an event happen between the client and the namespace. s.mu is held.
func (s *Session) move(e namespaceEvent) namespaceEffect {
	var do namespaceEffect
	s.space, do = s.space.on(e)
	s.route()
	return do
}
