package poosh

// subscriptions are a [Registry] that lets everybody in, once what is published to the room
// reaches this process: a client that is told that it is there misses nothing. While nobody can
// say when that will be, it is let in all the same.
type subscriptions func(app, room string, answer func(error))

// Enter implements [Registry].
func (s subscriptions) Enter(room string, answer func(error)) {
	s(App, room, func(error) { answer(nil) })
}

// Leave implements [Registry].
func (s subscriptions) Leave(string) {}
