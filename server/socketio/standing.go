package socketio

import (
	"strconv"

	"poosh/server/closed"
	"poosh/server/loop"
	"poosh/server/metric"
	"poosh/server/standing"
)

// Describe says what kind of connection the client has, such as "EIO4 websocket", and
// whether what was last delivered waits for the client to ask for it. It never blocks,
// so it may be called with a room locked.
func (s *Session) Describe() (kind string, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind()
	waits = len(s.held) > 0 || s.poll != nil && len(s.poll.frames) > 0
	return k.version() + " " + k.transport(), waits
}

// Standing is what an operator is told of the session; see [standing.Stander].
func (s *Session) Standing() standing.Client {
	why, _ := s.Ending()
	waiting := s.Waiting()
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kind()
	return standing.Client{
		Transport: k.transport(), Version: k.version(), Remote: s.remote,
		Since: standing.Since(s.server.uptime() - s.opened), Waiting: waiting, Ending: why,
	}
}

// Find returns the session that requests name by an id, or nil.
func (srv *Server) Find(id string) *Session { return srv.find(id) }

// Standing yields the sessions there are, with the ids that [Server.Find] finds them by. No
// lock is held meanwhile.
func (srv *Server) Standing(yield func(id string, who standing.Stander) bool) {
	for _, s := range srv.all() {
		if !yield(s.engineID, s) {
			return
		}
	}
}

// A kind is what a session is carried by and how it is spoken to.
type kind uint8

const (
	carriers = 3
	versions = 3 // EIO2 to EIO4
	oldest   = 2
	kinds    = carriers * versions
)

var transportNames = [carriers]string{"websocket", "polling", "jsonp"}

func (k kind) transport() string { return transportNames[k%carriers] }

func (k kind) version() string { return "EIO" + strconv.Itoa(int(k/carriers)+oldest) }

// kind is what the session is now. s.mu is held.
func (s *Session) kind() kind {
	carrier := 0
	switch {
	case s.poll == nil:
	case s.jsonp:
		carrier = 2
	default:
		carrier = 1
	}
	return kind((s.Protocol()-oldest)*carriers + carrier)
}

// recount has the server's sums agree with what the session is. Whoever changes what
// [Session.kind] asks for calls it. s.mu is held.
func (s *Session) recount() {
	if now := s.kind(); s.counts && now != s.counted {
		s.server.kinds[s.counted].Add(-1)
		s.server.kinds[now].Add(1)
		s.counted = now
	}
}

// count begins to count the session, or ends that. s.mu is held.
func (s *Session) count(yes bool) {
	if s.counts == yes {
		return
	}
	s.counts = yes
	if yes {
		s.counted = s.kind()
		s.server.kinds[s.counted].Add(1)
	} else {
		s.server.kinds[s.counted].Add(-1)
	}
}

// Kinds are how many sessions there are, by transport and version. They are sums: it
// costs the same however many there are.
func (srv *Server) Kinds() []metric.Sample {
	list := make([]metric.Sample, 0, kinds)
	for k := range kind(kinds) {
		list = append(list, metric.Of(max(0, srv.kinds[k].Load()), k.transport(), k.version()))
	}
	return list
}

// Ending says why the session takes nothing any more, empty while it does, and whether
// that is because too much waited for the client. It never blocks, so it may be called
// with a room locked.
func (s *Session) Ending() (why string, slow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.why != closed.None:
		return s.countedAs(s.why).String(), s.why == reasonSlow || s.why == loop.ErrWriteTimeout
	case s.conn != nil:
		if why, slow = s.conn.Ending(); why != "" {
			return why, slow
		}
	}
	if s.life != lifeOpen {
		return s.countedAs(reasonForced).String(), false
	}
	return "", false
}
