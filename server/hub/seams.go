package hub

// A Broker carries publications between the hubs of several processes. A hub has
// none unless it is given one to [NewWith].
//
// The hub calls it from any goroutine.
type Broker interface {
	// Publish takes over a publication of this process, and reports what
	// [Hub.Publish] then reports. It sees to it that each hub is handed it by
	// [Hub.Deliver] once, this one too, and every hub those of a room in the same
	// order. It may be called with a room's turn held, so it must not wait for
	// another process.
	Publish(p *Publication) int

	// Occupied says that a room of this process has its first seat, Vacated that
	// it lost its last one, or that this is so of the room of all subscribers of
	// an app. For one room the calls alternate and come one after the other. They
	// are made with the room locked: they must neither wait nor call the hub.
	Occupied(app, room string, everyone bool)
	Vacated(app, room string, everyone bool)
}

// A Log keeps publications for those who come back. A hub has none unless it is
// given one to [NewWith].
type Log interface {
	// Append enters a publication that reaches this process and calls deliver, once,
	// which hands it to the subscribers. No other publication of its app is entered or
	// delivered meanwhile, so that a subscriber of several rooms gets them in the order
	// of the log; and none while the log is read for a newcomer who is then seated
	// with what it missed as the welcome of [Hub.Join]. deliver encodes nothing and
	// waits for no socket.
	Append(p *Publication, deliver func())
}
