package intake

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// readBuffer and writeBuffer are what a connection has for bytes on their way.
const (
	readBuffer  = 64 << 10
	writeBuffer = 4 << 10
)

// dial reaches a Redis within ctx. Nothing of it goes on behind that.
func dial(ctx context.Context, at Address, name string, most int, timeout time.Duration) (rueidis.Client, error) {
	option := at.Option("poosh-"+name, timeout)
	option.ReadBufferEachConn, option.WriteBufferEachConn, option.RingScaleEachConn = readBuffer, writeBuffer, 4
	option.BlockingPoolSize, option.SelectDB = 1, 0
	option.ForceSingleClient = true // any server of a Redis Cluster has all messages
	option.Dialer.KeepAlive = -1    // watch asks, and knows when nobody reads
	a := &attempt{ctx: ctx, dial: dialBounded(most)}
	option.DialCtxFn = a.connect
	client, err := rueidis.NewClient(option)
	if a.end(); ctx.Err() != nil {
		if err == nil {
			client.Close()
		}
		return nil, ctx.Err()
	}
	return client, err
}

// An attempt to reach a Redis ends with its ctx, which rueidis does not take: connections that are being
// made then are given up, and those that were made are closed, so that nobody waits for an answer on them.
// Behind its end, connections are made and stay as rueidis has it.
type attempt struct {
	ctx  context.Context // set once, as what follows
	dial dialer

	mu    sync.Mutex    // guards what follows
	over  bool          // the attempt, however it went
	loose []func() bool // have connections be no part of it
}

// A dialer is how rueidis makes a connection.
type dialer = func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error)

// connect is a [dialer].
func (a *attempt) connect(ctx context.Context, address string, d *net.Dialer, secure *tls.Config) (net.Conn, error) {
	a.mu.Lock()
	over := a.over
	a.mu.Unlock()
	if over {
		return a.dial(ctx, address, d, secure)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.ctx, cancel)()
	conn, err := a.dial(ctx, address, d, secure)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.loose = append(a.loose, context.AfterFunc(a.ctx, func() { _ = conn.Close() }))
	}
	return conn, nil
}

// end has what was made stay, unless the time is up.
func (a *attempt) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, loose := range a.loose {
		loose()
	}
}
