package poosh

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"time"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/socketio"
)

// RecoveredEvent tells a client that asked for what it missed, and for no answer, what
// became of that.
const RecoveredEvent = "poosh:recovered"

// A wish is what a client's join asks for.
type wish struct {
	room string
	also []string // rooms that it wishes to be in by the same step; only with since
	// since, in an app that is kept, says that the client wants to know positions from now
	// on; and what it wants to be given.
	since  bool
	missed bool         // it asks for what came before
	after  hub.Position // behind that, or
	last   int          // so many of the newest; see [hub.Ask]
	ahead  bool         // this process has yet to come to after, or had when it was asked for
	ack    socketio.Ack
}

// rooms are all that the client wishes to be in.
func (w *wish) rooms() []string { return append([]string{w.room}, w.also...) }

// noLog is a position in a log that there is not: that of who asks for one that cannot be read.
var noLog = hub.Position{Epoch: math.MaxUint64}

// read reads the argument behind a room's name: {since: ...} with a position, a number of
// events or "all". A page that has seen nothing yet may say {since: null}, or undefined,
// which arrives as {}. Any other argument is none, as all were to the Node server.
//
// Beside it may stand {rooms: [...]}, further rooms: who is in several and knows one
// position has to ask for all in one step. What it is given of one room would be behind
// what it missed of the next, and if it is cut off in between, lost.
func (w *wish) read(arg []byte, name func([]byte) (string, error)) error {
	var fields map[string]json.RawMessage
	if len(arg) == 0 || arg[0] != '{' || json.Unmarshal(arg, &fields) != nil {
		return nil
	}
	since, ok := fields["since"]
	rooms, several := fields["rooms"]
	if w.since = ok || len(fields) == 0 || several && len(fields) == 1; !w.since {
		return nil
	}
	var names []json.RawMessage
	if several && json.Unmarshal(rooms, &names) == nil {
		for _, text := range names {
			room, err := name(text)
			if err != nil {
				return err
			}
			if room != w.room {
				w.also = append(w.also, room)
			}
		}
		slices.Sort(w.also)
		w.also = slices.Compact(w.also)
	}
	if ok {
		w.readSince(since)
	}
	return nil
}

func (w *wish) readSince(since []byte) {
	switch since[0] {
	case 'n', 'f': // null, false
	case '"':
		w.readText(since)
	default:
		w.missed = true
		var n float64
		if json.Unmarshal(since, &n) != nil || n < 1 || n != math.Trunc(n) {
			w.after = noLog
			return
		}
		w.last = int(min(n, math.MaxInt32))
	}
}

func (w *wish) readText(since []byte) {
	text, err := auth.JSString(since)
	if err != nil {
		w.missed, w.after = true, noLog
		return
	}
	w.readWord(text)
}

// readWord reads a position or "all".
func (w *wish) readWord(text string) {
	switch text {
	case "":
	case "all":
		w.missed, w.last = true, -1
	default:
		w.readPosition(text)
	}
}

func (w *wish) readPosition(text string) {
	w.missed = true
	var ok bool
	if w.after, ok = hub.ParsePosition(text); !ok {
		w.after = noLog
	}
}

// isAhead reports whether the client comes from a place that this process has yet to come to. What takes
// the log's lock is asked once, and stands in ahead then.
func (w *wish) isAhead(h *hub.Hub) bool {
	return w.missed && h.Keeps(App) && h.Ahead(App, w.after)
}

// await has then called once this process has come so far, for who comes from a network; see
// [hub.Hub.Await].
func (w *wish) await(h *hub.Hub, from netip.Addr, then func()) bool {
	return w.ahead && h.Await(App, []hub.Position{w.after}, from, then)
}

// recover has a client in a room from a position on, and tells it what became of that. If it
// has asked for more than it can take too often, what it asks for is said not to fit, unlooked
// at.
func (c *Clients) recover(l *listener, s session, w *wish) error {
	enc := EncoderIDs
	if l.encoder == Encoder4 {
		enc = EncoderIDs4
	}
	now, refused := time.Since(c.began), false
	spent := l.fruitless.Spent(now)
	_, err := c.hub.Recover(l.sub, l.trail, &hub.Ask{
		Rooms: w.rooms(), After: w.after, Last: w.last, Encoder: enc,
		Fits: func(frames, bytes int) bool {
			fits := !spent && s.Fits(frames, bytes)
			refused = refused || !fits
			return fits
		},
		Answer: func(r hub.Recovery) {
			c.recovered.count(w, r)
			s.Answer(answer(w, r))
		},
	})
	if refused {
		l.fruitless.Note(now)
	}
	return err
}

// answer is what a client is told, as the one argument of its ack or of an event.
func answer(w *wish, r hub.Recovery) []byte {
	told := struct {
		Room      string `json:"room"`
		ID        string `json:"id"`
		Recovered *bool  `json:"recovered"` // null for who asked for nothing that was before
		Missed    int    `json:"missed"`
	}{Room: w.room, ID: r.Head.String(), Missed: r.Missed}
	if w.missed {
		told.Recovered = &r.Whole
	}
	text, err := json.Marshal(told)
	if err != nil {
		panic(err) // it has texts and numbers
	}
	if w.ack == "" {
		return socketio.EventFrame(RecoveredEvent, text)
	}
	return socketio.AckFrame(w.ack, text)
}
