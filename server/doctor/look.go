package doctor

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
)

// A Look is something of a dialect that its caller looks at, beside what is the same everywhere.
type Look struct {
	What string // is looked at, for where it cannot be told
	Well string // is what stands in the report where nothing is wrong
	// Do looks. It returns nil where all is well, a [*Wrong] for a fault, and another error where it cannot
	// be told. connect opens a WebSocket as clients do, through what is examined, with a deadline for all
	// that is read; whoever opens one closes it. Do returns soon after ctx ended.
	Do func(ctx context.Context, connect func(at *url.URL) (*websocket.Conn, error)) error
}

// A Wrong is a fault that a [Look] found.
type Wrong struct {
	ID   string // one of [IDs]
	Seen string // as [Fault].Seen
}

func (w *Wrong) Error() string { return w.Seen }

// look has a caller look at something.
func (x *exam) look(ctx context.Context, l Look) {
	err := l.Do(ctx, func(at *url.URL) (*websocket.Conn, error) {
		conn, a := x.upgradeTo(ctx, at, nil)
		if conn == nil {
			return nil, errors.New("WebSockets do not work: " + a.what())
		}
		_ = conn.SetReadDeadline(time.Now().Add(2*oneStep + x.Patience)) // it never fails
		return conn, nil
	})
	wrong, is := errors.AsType[*Wrong](err)
	switch {
	case err == nil:
		x.good(l.Well)
	case is:
		x.fault(wrong.ID, wrong.Seen)
	default:
		x.skip(l.What, err.Error())
	}
}
