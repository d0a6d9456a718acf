// Gws is a server as one writes it on github.com/lxzan/gws: a goroutine for each
// connection, and broadcasts that the library queues and writes.
package main

import (
	"log"
	"net/http"

	"github.com/lxzan/gws"

	"poosh/test/bench/peers/publish"
	"poosh/test/bench/peers/rooms"
)

// handler is the library's way to tell of connections.
type handler struct {
	gws.BuiltinEventHandler
	rooms *rooms.Rooms[*gws.Conn]
}

const clientKey = "client"

func (h *handler) OnOpen(conn *gws.Conn) {
	conn.Session().Store(clientKey, &rooms.Client[*gws.Conn]{Conn: conn})
	for _, message := range rooms.Welcome {
		conn.WriteAsync(gws.OpcodeText, message, nil)
	}
}

func (h *handler) OnClose(conn *gws.Conn, _ error) {
	if c, ok := clientOf(conn); ok {
		h.rooms.Close(c)
	}
}

func (h *handler) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	if c, ok := clientOf(conn); ok {
		h.rooms.Take(c, message.Bytes())
	}
}

func clientOf(conn *gws.Conn) (*rooms.Client[*gws.Conn], bool) {
	v, _ := conn.Session().Load(clientKey)
	c, ok := v.(*rooms.Client[*gws.Conn])
	return c, ok
}

func main() {
	cfg := publish.FromEnv()
	all := &rooms.Rooms[*gws.Conn]{
		Send: func(to []*gws.Conn, message []byte) {
			b := gws.NewBroadcaster(gws.OpcodeText, message)
			defer b.Close()
			for _, conn := range to {
				_ = b.Broadcast(conn) // of one that is closed, OnClose tells
			}
		},
		Reply: func(to *gws.Conn, message []byte) { to.WriteAsync(gws.OpcodeText, message, nil) },
	}
	upgrader := gws.NewUpgrader(&handler{rooms: all}, &gws.ServerOption{})
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go conn.ReadLoop() // ends with the connection
	})
	go func() { log.Fatal(http.ListenAndServe(cfg.Clients, mux)) }()
	log.Fatal(http.ListenAndServe(cfg.Senders, publish.Handler(cfg.Secret, all.Publish)))
}
