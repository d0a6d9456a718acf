package app

import "poosh/server/sends"

// NextID returns the id of a send that is accepted.
func (a *App) NextID() string { return a.shared.Sends.Next() }

// Watched reports whether somebody wants to be told of sends.
func (a *App) Watched() bool { return a.shared.Sends.Watched() }

// Report tells those who watch of an event that was handed to so many connections, or -1 where nobody knows
// it of all processes. data
// is what was published, size that of what was sent, and from the sender's address, empty
// for a client.
func (a *App) Report(id, channel, event string, data []byte, size, handed int, from string) {
	a.shared.Sends.Report(sends.Send{
		ID: id, Dialect: "pusher", App: a.ID(), Room: channel, Event: event, Size: size, Handed: max(handed, 0), Uncounted: handed < 0,
		From: from, Payload: data,
	})
}
