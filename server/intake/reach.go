package intake

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// Reach looks whether a Redis is there, lets this process in and lets it read what is to be read, for
// who checks the settings, within ctx. setting is the name of that with the address, which the error
// begins with; it has no secret.
func Reach(ctx context.Context, setting string, at Address, patterns, channels []string) error {
	where := func(err error) error { return fmt.Errorf("%s: %s %w", setting, at, worded(at, err)) }
	var err error
	for turn := range at.Servers() {
		if err = reach(ctx, at.At(turn), patterns, channels); err == nil {
			return nil
		}
	}
	return where(err)
}

func reach(ctx context.Context, at Address, patterns, channels []string) error {
	client, err := dial(ctx, at, "check", defaultMaxMessage, timeout)
	if err != nil {
		return err
	}
	defer client.Close()
	conn, release := client.Dedicate()
	defer release()
	defer conn.Close()
	conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) {}})
	r := &Reader{cfg: Config{Patterns: patterns, Channels: channels}}
	return r.subscribe(ctx, conn)
}
