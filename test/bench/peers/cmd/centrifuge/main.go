// Centrifuge is github.com/centrifugal/centrifuge with its defaults, behind the
// publish side of the Node server Poosh. Clients speak its own JSON protocol.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"

	"github.com/centrifugal/centrifuge"

	"poosh/test/bench/peers/publish"
)

// publication is what subscribers of a channel get.
type publication struct {
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

func main() {
	cfg := publish.FromEnv()
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		log.Fatal(err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			reply(centrifuge.SubscribeReply{}, nil)
		})
	})
	if err := node.Run(); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{}))
	go func() { log.Fatal(http.ListenAndServe(cfg.Clients, mux)) }()

	log.Fatal(http.ListenAndServe(cfg.Senders, publish.Handler(cfg.Secret, func(e publish.Event) error {
		data, err := json.Marshal(publication{e.Event, e.Payload})
		if err != nil {
			return err
		}
		_, err = node.Publish(e.Room, data)
		return err
	})))
}
