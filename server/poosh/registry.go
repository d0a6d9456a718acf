package poosh

import (
	"errors"
	"strings"
	"sync"

	"poosh/server/command"
	"poosh/server/hub"
)

// A Registry is asked before a client is in a room, in whatever process, and may refuse
// it. In one process alone there is none.
//
// answer is to be called once, from any goroutine, before Enter returns or later, within
// a time that the Registry bounds: until then what the client says waits. An error closes
// the client. Leave takes back one yes, of who has left, or was gone when the yes came;
// it must not block. Nobody is asked for the room of a client's own id.
type Registry interface {
	Enter(room string, answer func(error))
	Leave(room string)
}

// An asker asks a registry for one client, one room after the other, and has one that comes from
// another process wait until this one has come so far. What it says meanwhile waits.
type asker struct {
	clients  *Clients
	listener *listener
	session  session
	line     command.Line

	mu   sync.Mutex // guards gone, and what the listener owns
	gone bool
}

// errTooMuch is why a client is closed that asks for rooms and does not wait. A session
// may be on polling, whose requests cannot be stopped.
var errTooMuch = errors.New("too many rooms wait for an answer")

// maxWaiting is how many bytes of names may wait of one client.
const maxWaiting = 256 << 10

// Full implements [command.Owner]: a client may ask for all its rooms at once.
func (a *asker) Full(messages, bytes int) bool {
	return messages > a.clients.bounds.Load().rooms || bytes > maxWaiting
}

// Pause implements [command.Owner].
func (a *asker) Pause() bool { return false }

// Resume implements [command.Owner].
func (a *asker) Resume() {}

// want asks for a room, or has it wait for the answer to one before it.
func (a *asker) want(w wish) {
	if a.line.Busy() {
		switch a.line.Wait(a, len(w.room)+len(strings.Join(w.also, "")), func() {
			w.ahead = w.ahead && w.isAhead(a.clients.hub) // the one before it may have waited for the same place
			a.session.Guard(func() { a.ask(w) })
		}) {
		case command.Waits:
			return
		case command.TooMuch:
			a.clients.decided(a.session, errTooMuch)
			return
		}
	}
	a.ask(w)
}

func (a *asker) ask(w wish) {
	rooms := a.unasked(&w)
	if len(rooms) > 0 && !a.listener.sub.HasRoomFor(rooms) { // before others are bothered with it
		a.clients.decided(a.session, hub.ErrTooManyRooms)
		return
	}
	if len(rooms) == 0 && !w.ahead {
		a.clients.decided(a.session, a.enter(w, nil, nil))
		return
	}
	a.line.Begin()
	a.askFor(w, rooms, 0)
}

// unasked are the rooms that the registry has yet to be asked for.
func (a *asker) unasked(w *wish) (rooms []string) {
	if a.clients.registry == nil {
		return nil
	}
	for _, room := range w.rooms() {
		if !a.listener.sub.In(room) {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// askFor asks for the next of some rooms. The client is in none of them before it may be
// in all.
func (a *asker) askFor(w wish, rooms []string, next int) {
	if next == len(rooms) {
		a.come(w, rooms)
		return
	}
	a.clients.registry.Enter(rooms[next], func(err error) {
		if err != nil {
			a.answer(w, rooms[:next], err)
			return
		}
		a.askFor(w, rooms, next+1)
	})
}

// come lets a client in, once this process has come to where that was.
func (a *asker) come(w wish, granted []string) {
	if !w.await(a.clients.hub, a.listener.from, func() { a.answer(w, granted, nil) }) {
		a.answer(w, granted, nil)
	}
}

// answer decides the wish that is under way.
func (a *asker) answer(w wish, granted []string, err error) {
	a.session.Guard(func() { a.clients.decided(a.session, a.enter(w, granted, err)) })
	a.line.End(a)
}

// enter puts the client in rooms that the registry lets it into, unless there is an error.
func (a *asker) enter(w wish, granted []string, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		if err = hub.ErrClosed; !a.gone {
			err = a.clients.join(a.listener, a.session, &w)
		}
	}
	if err != nil {
		for _, room := range granted {
			a.clients.registry.Leave(room)
		}
	}
	return err
}

// close takes the client out of all its rooms. What is answered from now on is taken
// back.
func (a *asker) close() {
	a.line.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = true
	sub := a.listener.sub
	rooms := sub.Rooms()
	a.clients.leave(a.listener)
	if a.clients.registry == nil {
		return
	}
	for _, room := range rooms {
		if room != sub.ID() {
			a.clients.registry.Leave(room)
		}
	}
}
