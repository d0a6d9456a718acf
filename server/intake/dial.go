package intake

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// readBuffer and writeBuffer are what a connection has for bytes on their way.
const (
	readBuffer  = 64 << 10
	writeBuffer = 4 << 10
)

// dial reaches a Redis within ctx.
func dial(ctx context.Context, at Address, name string, most int, timeout time.Duration) (rueidis.Client, error) {
	option := at.Option("poosh-"+name, timeout)
	option.ReadBufferEachConn, option.WriteBufferEachConn, option.RingScaleEachConn = readBuffer, writeBuffer, 4
	option.BlockingPoolSize, option.SelectDB = 1, 0
	option.ForceSingleClient = true // any server of a Redis Cluster has all messages
	option.Dialer.KeepAlive = -1    // watch asks, and knows when nobody reads
	option.DialCtxFn = dialBounded(most)
	type reached struct {
		client rueidis.Client
		err    error
	}
	// rueidis takes no context. Left alone, this ends within a few times the timeout.
	done := make(chan reached, 1)
	go func() {
		client, err := rueidis.NewClient(option)
		done <- reached{client, err}
	}()
	select {
	case got := <-done:
		return got.client, got.err
	case <-ctx.Done():
		go func() {
			if got := <-done; got.err == nil {
				got.client.Close()
			}
		}()
		return nil, ctx.Err()
	}
}
