package socketio

import (
	"io"
	"net/http"
	"sync"

	engineparser "github.com/zishang520/socket.io/parsers/engine/v3/packet"
	"github.com/zishang520/socket.io/parsers/socket/v3/parser"
	"github.com/zishang520/socket.io/servers/engine/v3"
	"github.com/zishang520/socket.io/servers/engine/v3/transports"
	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

// This file is the seam to zishang520/socket.io. The library keeps the
// namespaces, the connecting and disconnecting of sockets and the encoding of
// its packets. Below it stands our engine.io, bound with Server.Bind; rooms are
// the hub's, so its adapter does nothing.
//
// Its listeners are kept in plain fields: one general emitter for each
// connection would weigh more than the connection.

// library is the socket.io server of zishang520 over our engine.
type library struct {
	io     *socket.Server
	accept types.EventListener // the library's listener for new connections
	blank  *types.HttpContext  // stands for every request: the library would keep each one's headers
}

func newLibrary(cfg Config, connected func(*Session, *socket.Socket)) *library {
	lib := new(library)
	// A request that is over ends the goroutine that the library ties to it.
	blank, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		panic(err)
	}
	lib.blank = types.NewHttpContext(nowhere{make(http.Header)}, blank)
	lib.blank.Flush()

	opts := socket.DefaultServerOptions()
	opts.SetServeClient(false)
	opts.SetConnectTimeout(cfg.ConnectTimeout)
	opts.SetAdapter(noRooms{})
	opts.SetParser(passThrough{})
	lib.io = socket.NewServer(nil, opts)
	lib.io.Bind(&engineServer{BaseServer: engine.MakeBaseServer(), library: lib})
	_ = lib.io.On("connection", func(args ...any) { // fails only for a nil listener
		sock := args[0].(*socket.Socket)
		connected(sock.Conn().(*engineSocket).session, sock)
	})
	return lib
}

// engineServer is what the library binds to.
type engineServer struct {
	engine.BaseServer
	library *library
}

// On keeps the one listener that the library has.
func (e *engineServer) On(event types.EventName, listeners ...types.EventListener) error {
	if event == "connection" {
		e.library.accept = listeners[0]
		return nil
	}
	return e.BaseServer.On(event, listeners...)
}

// engineSocket is a session as the library sees it. The library meets it when its
// client asks for the namespace, and again when it asks once more: who never does
// costs the library nothing.
type engineSocket struct {
	types.EventEmitter // nil: the methods below are all that the library calls
	session            *Session

	mu       sync.Mutex // guards what follows; taken before Session.mu, which questions of the library lock
	over     bool       // the session has ended
	protocol int        // as the library was told
	// The library's listeners, set while it accepts the connection.
	data, closed types.EventListener
}

// connect lets the library accept the session and connect it to the default
// namespace. The library does not block here: it goes on in a goroutine of its own,
// which ends with [Session.connected].
func (e *engineSocket) connect(protocol int) {
	e.mu.Lock()
	if e.over {
		e.mu.Unlock()
		return
	}
	e.protocol = protocol
	e.session.server.library.accept(e)
	data := e.data
	e.mu.Unlock()
	if protocol == 4 && data != nil { // the others are connected unasked; nil: it ended just now
		data(&parser.Packet{Type: parser.CONNECT, Nsp: "/"})
	}
}

// disconnect lets the library forget the session: for now, or with over for good.
func (e *engineSocket) disconnect(reason string, over bool) {
	e.mu.Lock()
	e.over = e.over || over
	closed := e.closed
	e.data, e.closed = nil, nil
	e.mu.Unlock()
	if closed != nil {
		closed(reason)
	}
}

// On keeps the listeners that the library sets from within connect.
func (e *engineSocket) On(event types.EventName, listeners ...types.EventListener) error {
	if event == "data" {
		e.data = listeners[0]
	}
	return nil
}

func (e *engineSocket) Once(event types.EventName, listeners ...types.EventListener) error {
	if event == "close" {
		e.closed = listeners[0]
	}
	return nil
}

func (e *engineSocket) RemoveListener(types.EventName, types.EventListener) bool { return true }

func (e *engineSocket) Id() string                  { return e.session.engineID }
func (e *engineSocket) RemoteAddress() string       { return e.session.remote }
func (e *engineSocket) Request() *types.HttpContext { return e.session.server.library.blank }

// Protocol tells apart only what the library does: protocol 2 is 3 to it. The library
// asks from within connect, and afterwards for what it writes.
func (e *engineSocket) Protocol() int { return max(3, e.protocol) }

func (e *engineSocket) ReadyState() string {
	if e.session.isOpen() {
		return "open"
	}
	return "closed"
}

func (e *engineSocket) Close(bool) { e.session.Close(reasonForced, reasonForced.String()) }

// Write takes a packet of the library's.
func (e *engineSocket) Write(data io.Reader, _ *engineparser.Options, _ engine.SendCallback) engine.Socket {
	if text, err := io.ReadAll(data); err == nil { // from memory
		e.session.written(text)
	}
	return e
}

func (e *engineSocket) Send(data io.Reader, opts *engineparser.Options, done engine.SendCallback) engine.Socket {
	return e.Write(data, opts, done)
}

// The rest of engine.Socket is of no use to a server that brings its own engine.
func (e *engineSocket) SetReadyState(string)            {}
func (e *engineSocket) Transport() transports.Transport { return nil }
func (e *engineSocket) Upgraded() bool                  { return true }
func (e *engineSocket) Upgrading() bool                 { return false }
func (e *engineSocket) MaybeUpgrade(transports.Transport) {
}
func (e *engineSocket) Construct(string, engine.BaseServer, transports.Transport, *types.HttpContext, int) {
}

// noRooms is the library's adapter: rooms and broadcasts are the hub's.
type noRooms struct{}

// New returns the adapter of a namespace.
func (noRooms) New(nsp socket.Namespace) socket.Adapter {
	a := &adapter{socket.MakeAdapter()}
	a.Construct(nsp)
	return a
}

type adapter struct{ socket.Adapter }

func (*adapter) AddAll(socket.SocketId, *types.Set[socket.Room]) {}
func (*adapter) Del(socket.SocketId, socket.Room)                {}
func (*adapter) DelAll(socket.SocketId)                          {}

// passThrough is the library's parser. Packets are decoded before they come to
// the library, with bounds and without losing a digit of the arguments.
type passThrough struct{}

func (passThrough) NewEncoder() parser.Encoder { return parser.NewEncoder() }
func (passThrough) NewDecoder() parser.Decoder { return new(decoder) }

// decoder hands packets that are decoded already to the library's listener.
type decoder struct {
	types.EventEmitter // nil: the methods below are all that the library calls
	decoded            types.EventListener
}

func (d *decoder) On(_ types.EventName, listeners ...types.EventListener) error {
	d.decoded = listeners[0]
	return nil
}

func (d *decoder) RemoveListener(types.EventName, types.EventListener) bool { return true }
func (d *decoder) Add(data any) error                                       { d.decoded(data); return nil }
func (d *decoder) Destroy()                                                 {}
