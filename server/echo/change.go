package echo

// change has other settings count from now on: bounds for what is asked for from now on, and
// the application's address, unless there was none. What needs a restart stays.
func (d *Dialect) change(next Config) {
	if d.asks != nil {
		d.asks.Change(next.Authorize)
	}
	d.api.Change(next.API)
	d.bounds.Store(&next.Bounds)
	d.sockets.Change(next.SocketIO)
}
