package echo

// change has other settings count from now on: bounds for what is asked for from now on, and
// the application's address, unless there was none. What needs a restart stays.
func (d *Dialect) change(next Config) {
	now := d.rules.Load()
	sockets := next.SocketIO
	sockets.Recovery = now.SocketIO.Recovery
	next.SocketIO.Recovery = now.SocketIO.Recovery
	next.SocketIO.Closed, next.SocketIO.Traffic, next.SocketIO.Begin = now.SocketIO.Closed, now.SocketIO.Traffic, now.SocketIO.Begin
	next.Updates = now.Updates
	next.Gate, next.Begun, next.Sends, next.Rooms = now.Gate, now.Begun, now.Sends, now.Rooms
	next.Desk, next.Census, next.Bus, next.Once, next.Subscribe = now.Desk, now.Census, now.Bus, now.Once, now.Subscribe
	if d.asks != nil {
		d.asks.Change(next.Authorize)
	}
	d.api.Change(next.API)
	d.rules.Store(&rules{next, now.reader})
	d.sockets.Change(sockets)
}
