// Package rooms is what servers that are written by hand on a WebSocket library put
// around it: rooms under one lock each, and as much of Engine.IO 3 as the benchmark's
// clients speak. A client may also leave a room, by an event "leave", and a join is
// answered, by an event "joined": Socket.IO knows neither.
package rooms

import (
	"encoding/json"
	"sync"

	"poosh/test/bench/peers/publish"
)

// Welcome is what a client is told, one message each, when it is connected.
var Welcome = [][]byte{
	[]byte(`0{"sid":"bench","upgrades":[],"pingInterval":25000,"pingTimeout":60000}`),
	[]byte("40"),
}

// Rooms are the rooms of a server, whose connections are of type C. Send hands a
// message to the library for all connections of one room; it must neither keep the
// slice nor wait. Reply does so for one connection.
type Rooms[C comparable] struct {
	Send  func(to []C, message []byte)
	Reply func(to C, message []byte)

	mu    sync.RWMutex // guards rooms
	rooms map[string]*room[C]
}

type room[C comparable] struct {
	mu    sync.Mutex // guards what follows; held while a message is handed over
	gone  bool
	list  []C
	index map[C]int
}

// A Client is what is known of a connection. Its methods are called for one
// message after the other.
type Client[C comparable] struct {
	Conn  C
	rooms []string
}

// Take takes a message of a client.
func (r *Rooms[C]) Take(c *Client[C], message []byte) {
	if len(message) == 1 && message[0] == '2' {
		r.Reply(c.Conn, []byte("3"))
		return
	}
	var call []string
	if len(message) < 2 || message[0] != '4' || message[1] != '2' || json.Unmarshal(message[2:], &call) != nil || len(call) != 2 {
		return
	}
	switch call[0] {
	case "room":
		r.join(c, call[1])
	case "leave":
		for i, name := range c.rooms {
			if name == call[1] {
				c.rooms = append(c.rooms[:i], c.rooms[i+1:]...)
				r.leave(c.Conn, name)
				return
			}
		}
	}
}

// Close takes a client out of all its rooms.
func (r *Rooms[C]) Close(c *Client[C]) {
	for _, name := range c.rooms {
		r.leave(c.Conn, name)
	}
	c.rooms = nil
}

// Publish sends an event to its room.
func (r *Rooms[C]) Publish(e publish.Event) error {
	name, err := json.Marshal(e.Event)
	if err != nil {
		return err
	}
	message := make([]byte, 0, len(name)+len(e.Payload)+len("42[,]"))
	message = append(append(message, "42["...), name...)
	message = append(append(append(message, ','), e.Payload...), ']')
	r.mu.RLock()
	room := r.rooms[e.Room]
	r.mu.RUnlock()
	if room == nil {
		return nil
	}
	room.mu.Lock()
	defer room.mu.Unlock()
	r.Send(room.list, message)
	return nil
}

func (r *Rooms[C]) join(c *Client[C], name string) {
	for !r.find(name).add(c.Conn, func() {
		r.Reply(c.Conn, []byte(`42["joined","`+name+`"]`))
	}) { // its last client left in between
	}
	c.rooms = append(c.rooms, name)
}

// find returns a room, which it makes if there is none.
func (r *Rooms[C]) find(name string) *room[C] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rooms == nil {
		r.rooms = make(map[string]*room[C])
	}
	if r.rooms[name] == nil {
		r.rooms[name] = &room[C]{index: make(map[C]int)}
	}
	return r.rooms[name]
}

// add adds a connection and tells it so, before any event.
func (m *room[C]) add(conn C, tell func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return false
	}
	if _, in := m.index[conn]; !in {
		m.index[conn] = len(m.list)
		m.list = append(m.list, conn)
	}
	tell()
	return true
}

func (r *Rooms[C]) leave(conn C, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.rooms[name]
	if m != nil && m.remove(conn) {
		delete(r.rooms, name)
	}
}

// remove takes a connection out and reports whether nobody is left.
func (m *room[C]) remove(conn C) (empty bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, in := m.index[conn]
	if !in {
		return false
	}
	last := len(m.list) - 1
	m.list[i] = m.list[last]
	m.index[m.list[i]] = i
	m.list = m.list[:last]
	delete(m.index, conn)
	m.gone = last == 0
	return m.gone
}
