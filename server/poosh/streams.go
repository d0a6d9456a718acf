package poosh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"poosh/server/admission"
	"poosh/server/closed"
	"poosh/server/eventsource"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/metric"
	"poosh/server/peers"
	"poosh/server/respond"
	"poosh/server/socketio"
	"poosh/server/websocket"
)

// eventsPath is where clients get their rooms' events as Server-Sent Events.
const eventsPath = "/events"

// A noStream says why somebody got no stream.
type noStream uint8

const (
	noStreamMany noStream = iota
	noStreamAsked
	noStreamLeaving
)

var noStreamNames = [...]string{
	noStreamMany:    "too many connections for a stream",
	noStreamAsked:   "bad request for a stream",
	noStreamLeaving: "a stream while the server goes away",
}

// streams is GET /events: clients that are in the rooms that they name, as those of socket.io
// are in those that they join, with the same bounds and counts.
type streams struct {
	clients *Clients          // set once, as what follows
	sockets *websocket.Server // their connections count as WebSockets
	pages   *socketio.Server  // which origins may come
	every   time.Duration     // between heartbeats
	ends    *closed.Source
	refused *metric.Set[noStream]
	log     *slog.Logger
	node    string // begins ids
	door    admission.Door

	mu  sync.Mutex // guards all
	all map[*stream]struct{}
}

func newStreams(clients *Clients, sockets *websocket.Server, pages *socketio.Server, heartbeat time.Duration, ends *closed.Source, log *slog.Logger) *streams {
	return &streams{clients: clients, sockets: sockets, pages: pages, every: heartbeat, ends: ends, log: log,
		refused: metric.Closed[noStream](noStreamNames[:]), all: make(map[*stream]struct{})}
}

// idRest is how many characters of an id follow the name of its node, of socket.io and of streams;
// nodeName is how many that has.
const (
	idRest   = 20
	nodeName = 6
)

// newStreamID returns an id that nobody can guess, behind the name of the node, if there is one.
func newStreamID(node string) string {
	if node == "" {
		return rand.Text()
	}
	return node + rand.Text()[:idRest] // of 5 bits each
}

// NodeOf is the name of the node that has given an id to a client, in a cluster; "" for what is no such
// id. What reads like one is taken for one.
func NodeOf(id string) string {
	if len(id) != nodeName+idRest {
		return ""
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return ""
		}
	}
	return id[:nodeName]
}

// now is the clock of streams; it never jumps.
func (d *streams) now() time.Duration { return d.sockets.Now() }

// ServeHTTP answers GET with a stream, and HEAD with the headers that it has.
func (d *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.pages.CrossOrigin(w, r) {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		d.refused.Add(noStreamAsked, 1)
		w.Header().Set("Allow", "GET,HEAD,OPTIONS")
		respond.Express.Error(w, http.StatusMethodNotAllowed, "want GET "+eventsPath+"?room=a&room=b")
		return
	}
	wish, rooms, err := d.clients.readStreamWish(r)
	if err != nil {
		d.refused.Add(noStreamAsked, 1)
		respond.Express.Error(w, http.StatusBadRequest, err.Error())
		return
	}
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", eventsource.Type)
		w.Header().Set("Cache-Control", "no-store, no-transform")
		return
	}
	if !d.door.Enter() {
		d.refused.Add(noStreamLeaving, 1)
		d.refuse(w, r, http.StatusServiceUnavailable, "the server is going away, connect anew")
		return
	}
	if err := d.open(w, r, wish, rooms); err != nil {
		d.door.Leave()
		d.failed(w, r, err)
	}
}

// failed answers for a stream that did not begin.
func (d *streams) failed(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, websocket.ErrTooMany):
		d.refused.Add(noStreamMany, 1)
		d.refuse(w, r, http.StatusTooManyRequests, "too many connections")
	case errors.Is(err, loop.ErrTooMany): // it is answered
		d.refused.Add(noStreamMany, 1)
	default: // the connection is closed
		d.log.Debug("stream failed", "remote", r.RemoteAddr, "err", err)
	}
}

// refuse answers who may come again later.
func (d *streams) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	if eventsource.Refuse(w, r, why) {
		return
	}
	w.Header().Set("Retry-After", fmt.Sprint(int(eventsource.Later/time.Second)))
	w.Header().Set("Connection", "close")
	respond.Express.Error(w, status, why)
}

// open begins a stream.
func (d *streams) open(w http.ResponseWriter, r *http.Request, ask wish, rooms []string) error {
	s := &stream{door: d, id: newStreamID(d.node), remote: r.RemoteAddr, from: peers.Of(r.RemoteAddr), opened: d.now()}
	ask.ahead = ask.isAhead(d.clients.hub)
	if err := d.begin(s, w, r, func() {
		if !ask.ahead {
			s.listener = d.clients.enterStream(s, ask, rooms)
		}
	}); err != nil {
		return err
	}
	enter := func() { s.enter(ask, rooms) }
	// Not before it has begun, which may wait for its socket, and who waits for nobody else would for that.
	if ask.ahead && !ask.await(d.clients.hub, s.from, func() { s.conn.Guard(enter) }) {
		enter()
	}
	return nil
}

// begin begins a stream, seated by seat.
func (d *streams) begin(s *stream, w http.ResponseWriter, r *http.Request, seat func()) (err error) {
	s.mu.Lock() // who closes it waits until it has begun
	defer s.mu.Unlock()
	s.conn, err = eventsource.Accept(d.sockets, w, r, d.every, s)
	if err != nil {
		return err
	}
	d.ends.Opened()
	d.mu.Lock()
	d.all[s] = struct{}{}
	d.mu.Unlock()
	seat()
	if d.door.Closed() { // since it came in
		s.Leave()
	}
	s.conn.Start()
	return nil
}

// ended counts the end of a stream.
func (d *streams) ended(s *stream, why closed.Reason) {
	waiting := s.conn.Waiting()
	d.mu.Lock()
	delete(d.all, s)
	d.mu.Unlock()
	d.log.Debug("stream closed", "remote", s.remote, "session", s.id, "reason", why, "waiting", waiting)
	d.ends.Closed(why, s.id, s.from, d.now()-s.opened, waiting)
	d.door.Leave()
}

// list returns the streams there are.
func (d *streams) list() []*stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*stream, 0, len(d.all))
	for s := range d.all {
		list = append(list, s)
	}
	return list
}

// Len returns how many there are.
func (d *streams) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

// Kinds are those, by transport and version.
func (d *streams) Kinds() []metric.Sample {
	return []metric.Sample{metric.Of(d.Len(), streamTransport, "")}
}

// Refused are those that there are not, by reason.
func (d *streams) Refused() []metric.Sample {
	return d.refused.Samples(noStreamMany, noStreamLeaving, "")
}

// KickAll ends the streams that is says yes to, and returns how many it has ended. An
// EventSource comes back, unless its page closes it when it is told.
func (d *streams) KickAll(is func(*stream) bool) (n int) {
	for _, s := range d.list() {
		if is(s) && s.end(closed.Kicked, closed.Kicked.String()) {
			n++
		}
	}
	return n
}

// Leave takes nobody any more, and returns those who are there, to be sent away one by one.
func (d *streams) Leave() []*stream {
	d.door.Close()
	return d.list()
}

// Shutdown ends all streams. When ctx ends before they are gone, the rest is cut off and
// ctx's error returned.
func (d *streams) Shutdown(ctx context.Context) error {
	for _, s := range d.Leave() {
		s.Leave()
	}
	err := d.door.Wait(ctx)
	if err != nil {
		for _, s := range d.list() {
			s.conn.Abort(closed.Shutdown)
		}
	}
	return err
}

// enterStream seats a client of a stream in its rooms, with what it missed there, and in that
// of its own id. It returns nil for one that there is no room for, who is told.
func (c *Clients) enterStream(s *stream, ask wish, rooms []string) *listener {
	ask.room, ask.also = s.id, rooms
	if c.registry != nil && len(rooms) > 0 {
		return c.enterAsking(s, ask, rooms)
	}
	l := &listener{from: s.from, stream: s}
	for _, room := range rooms {
		l.taken += len(room) + roomCost
	}
	if c.quota != nil && l.taken > 0 && !c.quota.Take(l.from, 0, l.taken) {
		c.decided(s, errRoomsFull)
		return nil
	}
	if c.hub.Keeps(App) {
		l.trail = new(hub.Trail)
		l.sub = c.hub.Begin(App, s.id, s.id, len(rooms)+1, s, l.trail, c.streamAsk(s, &ask))
	} else {
		l.sub = c.hub.Register(App, s.id, len(rooms)+1, EncoderStream, s)
		if err := c.grantStream(l, &ask); err != nil {
			panic(err) // a new subscriber may be in so many
		}
	}
	c.entered.Add(uint64(len(rooms)))
	if len(rooms) > 0 {
		c.decided(s, nil)
	}
	return l
}

// enterAsking seats one in its own room, and in the others once a registry lets it. Until
// then what comes has no ids: they would be behind what it missed, and if it were cut off it
// would come back to there.
func (c *Clients) enterAsking(s *stream, ask wish, rooms []string) *listener {
	l := seat(c.hub, s.id, len(rooms), EncoderStream, s)
	l.from, l.stream = s.from, s
	l.asks = &asker{clients: c, listener: l, session: s}
	l.asks.want(ask)
	return l
}

// grantStream seats a client of a stream in its rooms, with what it missed there. One with a
// trail is in its own already.
func (c *Clients) grantStream(l *listener, w *wish) error {
	if l.trail != nil {
		_, err := c.hub.Recover(l.sub, l.trail, c.streamAsk(l.stream, w))
		return err
	}
	for _, room := range w.rooms() {
		if err := c.hub.Join(l.sub, room); err != nil {
			return err
		}
	}
	l.stream.Answer(l.stream.connected(w, hub.Recovery{}))
	return nil
}

// streamAsk is what a client of a stream wants of the hub, of the rooms that it named. In its
// own it is by then: nothing was sent to that before.
func (c *Clients) streamAsk(s *stream, w *wish) *hub.Ask {
	return &hub.Ask{
		Rooms: w.also, After: w.after, Last: w.last, Encoder: EncoderStreamIDs, Fits: s.Fits,
		Answer: func(r hub.Recovery) {
			c.recovered.count(w, r)
			s.Answer(s.connected(w, r))
		},
	}
}
