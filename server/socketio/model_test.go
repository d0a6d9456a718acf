package socketio

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"poosh/server/closed"
)

// A model says what a session is to do, one step after the other: it has no locks, no
// goroutines, and states of its own. What it cannot know is left to the order of steps.
type model struct {
	eio      int
	life     lifeState
	via      transportState
	inside   bool
	joined   bool // ever
	waits    bool // a GET does
	talks    bool // the client has a WebSocket
	queue    []string
	events   int // that were delivered
	draining bool
	goesAway bool
	why      string // the code of WebSockets that close at the end

	// On the session's clock.
	now, heard, beat, probed, kept time.Duration
	awaited                        bool

	out outcome
}

// An action is what a client, the dialect or the operator does.
type action string

// What may be done.
const (
	doGet      action = "GET"
	doCut      action = "cut the GET"
	doBeat     action = "POST heartbeat"
	doEvent    action = "POST event"
	doClose    action = "POST close"
	doNonsense action = "POST nonsense"
	doLeave    action = "POST leave"
	doJoin     action = "POST join"
	doProbe    action = "open WebSocket"
	doAsk      action = "say 2probe"
	doMove     action = "say 5"
	doSay      action = "say heartbeat"
	doBabble   action = "say nonsense"
	doDrop     action = "drop WebSocket"
	doDeliver  action = "deliver"
	doKick     action = "kick"
	doShutdown action = "shutdown"
	doWait     action = "wait"
)

// posts is what a POST holds.
func (m *model) posts(a action) string {
	return map[action]string{doBeat: m.heartbeat(), doEvent: `42["x"]`, doClose: "1", doNonsense: "9", doLeave: "41", doJoin: "40"}[a]
}

// says is what is said on a WebSocket.
func (m *model) says(a action) string {
	return map[action]string{doAsk: "2probe", doMove: "5", doSay: m.heartbeat(), doBabble: "9"}[a]
}

func (m *model) heartbeat() string {
	if m.eio == 4 {
		return "3"
	}
	return "2"
}

// newModel is a session whose handshake over polling has been answered.
func newModel(eio int) *model {
	m := &model{eio: eio}
	if eio != 4 {
		m.inside, m.joined, m.queue = true, true, []string{"40"}
	}
	return m
}

// may reports whether something can be done.
func (m *model) may(a action) bool {
	switch {
	case a == doCut:
		return m.waits
	case a == doProbe:
		return !m.talks
	case m.says(a) != "", a == doDrop:
		return m.talks
	case a == doShutdown:
		return !m.draining
	case a == doWait:
		return m.life != lifeClosed
	}
	return true
}

// step does one thing.
func (m *model) step(a action) outcome {
	m.out = outcome{}
	switch {
	case a == doGet:
		m.get()
	case a == doCut:
		m.waits, m.queue = false, nil
		m.end(reasonClosed, "1000")
	case m.posts(a) != "":
		m.post(a)
	case a == doProbe:
		m.open()
	case m.says(a) != "":
		m.say(a)
	case a == doDrop:
		m.drop()
	case a == doDeliver:
		m.events++
		m.out.taken = fmt.Sprint(m.emit(fmt.Sprintf(`42["e",%d]`, m.events)))
	case a == doKick:
		m.shut("1000")
	case a == doShutdown:
		m.draining = true
		m.goesAway = m.life == lifeOpen
		if m.eio == 4 || m.via.polls() {
			m.shut("1001")
		} else {
			m.shut("cut")
		}
	case a == doWait:
		m.wait()
	}
	m.out.life, m.out.via, m.out.in = m.life, m.via, m.inside
	return m.out
}

// emit sends the client a packet.
func (m *model) emit(packet string) bool {
	switch {
	case m.life != lifeOpen:
		return false
	case !m.via.polls():
		m.hear(packet)
	case m.waits:
		m.free(packet)
	case packet != "3" || !slices.Contains(m.queue, "3"):
		m.queue = append(m.queue, packet)
	}
	return true
}

func (m *model) hear(packets ...string) {
	m.out.heard = strings.TrimSpace(m.out.heard + " " + strings.Join(packets, " "))
}

func (m *model) tell(what string) {
	if m.out.told != "" {
		what = m.out.told + ", " + what
	}
	m.out.told = what
}

// free answers the GET that waits.
func (m *model) free(packet string) {
	if m.waits {
		m.waits, m.out.freed = false, packet
	}
}

// hangUp is the end of the WebSocket, which is a probe or all there is.
func (m *model) hangUp(how string) {
	if m.talks {
		m.talks, m.out.ended = false, how
	}
	if m.via.polls() && m.via > viaPolling {
		m.via = viaPolling
	}
}

// words takes the last words of a session that has ended.
func (m *model) words() []string {
	words := m.queue
	m.queue, m.life = nil, lifeClosed
	return words
}

func (m *model) get() {
	const unknown, bad = "400 Session ID unknown", "400 Bad request"
	switch {
	case m.life == lifeClosed:
		m.out.reply = unknown
	case m.life == lifeKept:
		words := m.words()
		if !m.goesAway {
			words = append(words, "1")
		}
		m.out.reply = strings.Join(words, " ")
		m.hangUp(m.why)
	case !m.via.polls():
		m.out.reply = bad
	default:
		m.free("6")
		m.via = max(m.via, viaPolling)
		m.out.reply = "waits"
		m.waits = len(m.queue) == 0
		if !m.waits {
			m.out.reply = strings.Join(m.queue, " ")
			m.queue = nil
		}
	}
}

func (m *model) open() {
	switch {
	case m.life == lifeClosed:
		m.out.reply = "400 Session ID unknown"
	case m.life == lifeKept || m.via > viaPolling:
		m.out.reply = "400 Bad request"
	default:
		m.out.reply = "101"
		m.talks, m.via, m.probed = true, viaProbing, m.now
	}
}

func (m *model) post(a action) {
	if m.life != lifeOpen {
		m.out.reply = "400 Session ID unknown"
		return
	}
	m.via = max(m.via, viaPolling)
	m.out.reply = "ok"
	if !m.packet(a) {
		m.out.reply = "400 Bad request"
	}
}

// packet handles what the client sends, and reports whether it may.
func (m *model) packet(a action) bool {
	m.heard = m.now
	good := true
	switch a {
	case doBeat, doSay:
		if m.eio != 4 {
			m.emit("3")
		} else if m.awaited {
			m.awaited, m.beat = false, m.now
		}
	case doAsk:
		good = m.eio != 4
		if good {
			m.emit("3probe")
		}
	case doEvent:
		good = m.inside || m.eio != 4
		if m.inside {
			m.tell("x")
		}
	case doLeave:
		if m.inside {
			m.tell("left: client namespace disconnect")
		}
		m.inside = false
	case doJoin:
		good = !m.inside || m.eio != 4
		if good {
			m.join()
		}
	case doClose:
		m.end(reasonClosed, "1000")
	case doNonsense, doBabble:
		good = false
	}
	if !good {
		m.end(reasonPacket, "1002")
	}
	return good
}

func (m *model) join() {
	if !m.inside {
		m.tell("joined")
	}
	m.inside, m.joined = true, true
	if m.eio == 4 {
		m.emit(`40{"sid":"ID"}`)
	} else {
		m.emit("40")
	}
}

func (m *model) say(a action) {
	switch {
	case !m.via.polls():
		m.packet(a)
	case a == doAsk:
		m.heard = m.now
		m.hear("3probe")
		m.via = viaAsked
	case a == doMove && m.life == lifeKept:
		m.heard = m.now
		m.hear(m.words()...)
		m.hangUp(m.why)
	case a == doMove:
		m.heard = m.now
		m.free("6")
		m.hear(m.queue...)
		m.via, m.queue = viaSocket, nil
	default:
		m.hangUp("1002")
	}
}

// drop is the client closing its WebSocket.
func (m *model) drop() {
	m.talks = false
	if m.via.polls() {
		m.via = min(m.via, viaPolling)
		return
	}
	m.end(reasonClosed, "")
}

// shut closes the session in order.
func (m *model) shut(code string) {
	switch {
	case m.life != lifeOpen:
	case m.via.polls():
		m.end(reasonForced, "1000")
	default:
		m.end(closed.ByServer, code) // which is what the connection ended for
	}
}
