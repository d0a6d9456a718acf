// Zishang520 is github.com/zishang520/socket.io as it comes, behind the publish
// side of the Node server Poosh.
package main

import (
	"encoding/json"
	"log"
	"net/http"

	"github.com/zishang520/socket.io/servers/socket/v3"

	"poosh/test/bench/peers/publish"
)

func main() {
	cfg := publish.FromEnv()
	opts := socket.DefaultServerOptions()
	opts.SetAllowEIO3(true)
	io := socket.NewServer(nil, opts)
	_ = io.On("connection", func(args ...any) {
		client := args[0].(*socket.Socket)
		_ = client.On("room", func(args ...any) {
			if len(args) > 0 {
				if room, ok := args[0].(string); ok {
					client.Join(socket.Room(room))
				}
			}
		})
	})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io.ServeHandler(opts))
	go func() { log.Fatal(http.ListenAndServe(cfg.Clients, mux)) }()

	log.Fatal(http.ListenAndServe(cfg.Senders, publish.Handler(cfg.Secret, func(e publish.Event) error {
		var payload any
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			return err
		}
		return io.To(socket.Room(e.Room)).Emit(e.Event, payload)
	})))
}
