// Goemitter emits with the emitter of github.com/zishang520/socket.io/adapters/redis: goemitter PORT
// SCRIPT, which is that of emit.js. It is a module of its own, so that the server needs none of it.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	adapter "github.com/zishang520/socket.io/adapters/redis/v3"
	"github.com/zishang520/socket.io/adapters/redis/v3/emitter"
	"github.com/zishang520/socket.io/servers/socket/v3"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(port, text string) error {
	var script [][3][]any
	if err := json.Unmarshal([]byte(text), &script); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	defer client.Close()
	io := emitter.NewEmitter(adapter.NewRedisClient(ctx, client), nil)
	for _, e := range script {
		to := io.To(rooms(e[0])...).Except(rooms(e[1])...)
		if err := emit(to, e[2]); err != nil {
			return err
		}
	}
	return nil
}

func emit(to emitter.BroadcastOperatorInterface, args []any) error {
	if args[0] == "$disconnect" {
		return to.DisconnectSockets(false)
	}
	for i := range args {
		args[i] = value(args[i])
	}
	return to.Emit(args[0].(string), args[1:]...)
}

func rooms(names []any) (list []socket.Room) {
	for _, n := range names {
		list = append(list, socket.Room(n.(string)))
	}
	return list
}

// value is one of the script with what JSON has not.
func value(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = value(v[i])
		}
	case map[string]any:
		if text, ok := v["$buffer"].(string); ok {
			b, err := hex.DecodeString(text)
			if err != nil {
				panic(err)
			}
			return b
		}
		if ms, ok := v["$date"].(float64); ok {
			return time.UnixMilli(int64(ms))
		}
		if _, ok := v["$undefined"]; ok {
			return nil
		}
		for k := range v {
			v[k] = value(v[k])
		}
	}
	return v
}
