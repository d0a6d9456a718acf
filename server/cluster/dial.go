package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/redis/rueidis"
)

// readBuffer and writeBuffer are what a connection has for bytes on their way: rueidis
// would take 512 KiB for each.
const (
	readBuffer  = 64 << 10
	writeBuffer = 32 << 10
)

// clientOption is how rueidis is to reach the engine. It finds out by itself whether one
// address is that of a Redis Cluster.
func clientOption(cfg *Config, name string) rueidis.ClientOption {
	option := cfg.Redis.Option("poosh-"+name, cfg.Timeout)
	option.BlockingPoolSize = 2 * (partitions + 1)
	option.ReadBufferEachConn, option.WriteBufferEachConn, option.RingScaleEachConn = readBuffer, writeBuffer, 8
	option.ClusterOption = rueidis.ClusterOption{ShardsRefreshInterval: 5 * time.Second}
	return option
}

// Option is how rueidis is to reach an engine as name, with so long for each command.
func (e Engine) Option(name string, timeout time.Duration) rueidis.ClientOption {
	option := rueidis.ClientOption{
		InitAddress: e.addresses, Username: e.user, Password: e.password, SelectDB: e.db,
		ClientName: name,

		DisableCache: true, // which would have the engine track keys
		DisableRetry: true, // what may be said twice is for us to know
		// Commands are few: what is much has a connection of its own.
		PipelineMultiplex: -1,

		ConnWriteTimeout: timeout,
		Dialer:           net.Dialer{Timeout: timeout, KeepAlive: time.Second},
	}
	if e.tls {
		option.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} // the name is that of each address
	}
	if e.master != "" {
		option.Sentinel = rueidis.SentinelOption{
			TLSConfig: option.TLSConfig, Dialer: option.Dialer,
			MasterSet: e.master, Username: e.sentinelUser, Password: e.sentinelPassword, ClientName: option.ClientName,
			TopologyRefreshInterval: 5 * time.Second, // a message of the Sentinels may be missed
		}
	}
	return option
}

// dial reaches the engine within ctx, and tries again until then: a node may start a moment
// before its engine does.
func dial(ctx context.Context, cfg *Config, name string) (rueidis.Client, error) {
	last := errors.New("no answer")
	for {
		client, err := dialOnce(ctx, cfg, name)
		if err == nil {
			return client, nil
		}
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil, last // which says more than that time is up
		}
		last = err
		select {
		case <-ctx.Done():
			return nil, last
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// dialOnce is dial that does not try again.
func dialOnce(ctx context.Context, cfg *Config, name string) (rueidis.Client, error) {
	type reached struct {
		client rueidis.Client
		err    error
	}
	// rueidis takes no context. Left alone, this ends within a few times cfg.Timeout.
	done := make(chan reached, 1)
	go func() {
		client, err := rueidis.NewClient(clientOption(cfg, name))
		done <- reached{client, err}
	}()
	select {
	case r := <-done:
		return r.client, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.client.Close()
			}
		}()
		return nil, ctx.Err()
	}
}
