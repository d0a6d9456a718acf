package dialect

import "net/netip"

// A Whom says which clients an operator means. What is not set means all of them.
type Whom struct {
	App     string       // the clients of one app; see [App.ID]
	ID      string       // the one of this id
	Room    *string      // those that are in a room, or channel
	Address netip.Prefix // those from an address, or from a network
}

// Has reports whether clients of an app are meant.
func (w *Whom) Has(app string) bool { return w.App == "" || w.App == app }

// Is reports whether a client is meant whose id and address are these; in says whether it
// is in a room.
func (w *Whom) Is(id, remote string, in func(room string) bool) bool {
	return (w.ID == "" || w.ID == id) && w.isFrom(remote) && (w.Room == nil || in(*w.Room))
}

func (w *Whom) isFrom(remote string) bool {
	if !w.Address.IsValid() {
		return true
	}
	at, err := netip.ParseAddrPort(remote)
	return err == nil && w.Address.Contains(at.Addr().Unmap().WithZone(""))
}
