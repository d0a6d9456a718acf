// Package websocketclient opens WebSockets to servers that nobody vouches for.
package websocketclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// MaxHead bounds what is read until a WebSocket is open, in bytes: the answer's head, and
// what TLS and a proxy on the way say before it.
const MaxHead = 64 << 10

// ErrHead says that a server has not come to the end of its answer in [MaxHead] bytes.
var ErrHead = errors.New("the head of the answer has no end")

// Dial opens a WebSocket as d does, whose handshake knows no bound of its own on what it
// reads. What comes once the connection is open is bounded by SetReadLimit, as ever. d must
// not have a NetDialTLSContext, and is not changed: any number of goroutines may use one.
func Dial(ctx context.Context, d *websocket.Dialer, address string, header http.Header) (*websocket.Conn, *http.Response, error) {
	dial := d.NetDialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	left := &allowance{bytes: MaxHead}
	own := *d
	own.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &bounded{Conn: c, left: left}, nil
	}
	conn, res, err := own.DialContext(ctx, address, header)
	if err == nil {
		left.lift()
	}
	return conn, res, err
}

// An allowance is how much may still be read until there is no bound any more.
type allowance struct {
	mu    sync.Mutex // guards what follows; reads are by one goroutine at a time, but by any
	bytes int
	none  bool // there is no bound
}

func (a *allowance) lift() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.none = true
}

// of is how much of n bytes may be read.
func (a *allowance) of(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.none {
		return n
	}
	return min(n, a.bytes)
}

func (a *allowance) take(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes -= n
}

// A bounded connection has an allowance.
type bounded struct {
	net.Conn
	left *allowance
}

func (b *bounded) Read(p []byte) (int, error) {
	may := b.left.of(len(p))
	if may <= 0 && len(p) > 0 {
		return 0, ErrHead
	}
	n, err := b.Conn.Read(p[:may])
	b.left.take(n)
	return n, err
}
