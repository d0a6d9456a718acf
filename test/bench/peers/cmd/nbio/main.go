// Nbio is a server as one writes it on github.com/lesismal/nbio: its pollers serve
// all connections, without a goroutine for each.
package main

import (
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"

	"poosh/test/bench/peers/publish"
	"poosh/test/bench/peers/rooms"
)

// maxFrame is above every event: the library sends more than that in fragments.
const maxFrame = 1 << 20

func main() {
	logging.SetLevel(logging.LevelError)
	cfg := publish.FromEnv()
	all := &rooms.Rooms[*websocket.Conn]{
		Send: func(to []*websocket.Conn, message []byte) {
			for _, conn := range to {
				_ = conn.WriteMessage(websocket.TextMessage, message) // of one that is closed, OnClose tells
			}
		},
		Reply: func(to *websocket.Conn, message []byte) { _ = to.WriteMessage(websocket.TextMessage, message) },
	}
	upgrader := websocket.NewUpgrader()
	upgrader.OnOpen(func(conn *websocket.Conn) {
		conn.SetSession(&rooms.Client[*websocket.Conn]{Conn: conn})
		for _, message := range rooms.Welcome {
			_ = conn.WriteMessage(websocket.TextMessage, message)
		}
	})
	upgrader.OnMessage(func(conn *websocket.Conn, _ websocket.MessageType, message []byte) {
		if c, ok := conn.Session().(*rooms.Client[*websocket.Conn]); ok {
			all.Take(c, message)
		}
	})
	upgrader.OnClose(func(conn *websocket.Conn, _ error) {
		if c, ok := conn.Session().(*rooms.Client[*websocket.Conn]); ok {
			all.Close(c)
		}
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/socket.io/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = upgrader.Upgrade(w, r, nil) // it answers what it refuses
	})
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{cfg.Clients}, Handler: mux,
		IOMod: nbhttp.IOModNonBlocking, MaxWebsocketFramePayloadSize: maxFrame,
	})
	if err := engine.Start(); err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Fatal(http.ListenAndServe(cfg.Senders, publish.Handler(cfg.Secret, all.Publish)))
	}() // ends with the process
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	engine.Stop()
}
