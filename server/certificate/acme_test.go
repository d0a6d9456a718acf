package certificate

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"poosh/server/setting"
)

// unreachable are the settings for an authority that is not there.
func unreachable(t *testing.T) *Config {
	return &Config{Domains: []string{"a.example"}, Dir: t.TempDir(), CA: "https://127.0.0.1:1/dir", HTTPPort: setting.AnyPort}
}

// asks is the hello of an authority that asks for a name.
func asks(t *testing.T, name string) *tls.ClientHelloInfo {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	return &tls.ClientHelloInfo{ServerName: name, SupportedProtos: []string{alpnChallenge}, Conn: server}
}

// TestNeverWatched: a server that does not get as far as to watch has nothing to stop, and
// nothing to show. That nothing runs is shown by what looks at the end of all tests.
func TestNeverWatched(t *testing.T) {
	a, err := newAuthority(unreachable(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := a.Certificate(asks(t, "a.example")); c != nil || err == nil {
		t.Errorf("%v, %v", c, err)
	}
	if list := a.Leaves(); len(list) > 0 {
		t.Errorf("%v", list)
	}
}

// TestHelloAtStart has handshakes come while it begins to be watched.
func TestHelloAtStart(t *testing.T) {
	a, err := newAuthority(unreachable(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	hello := asks(t, "a.example")
	busy.Go(func() {
		for ctx.Err() == nil {
			if c, err := a.Certificate(hello); c != nil || err == nil {
				t.Errorf("%v, %v", c, err)
			}
			a.Leaves()
		}
	})
	busy.Go(func() { a.Watch(ctx, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}) })
	time.Sleep(100 * time.Millisecond)
	stop()
	busy.Wait()
}

// TestStrangersAsk: everybody can say hello as an authority does, which is no fault of ours
// and nothing for the log.
func TestStrangersAsk(t *testing.T) {
	var log record
	a, err := newAuthority(unreachable(t), log.log())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { a.Watch(ctx, nil) })
	eventually(t, "it to watch", func() bool { return a.now.Load() != nil })
	if c, err := a.Certificate(asks(t, "stranger.example")); c != nil || err == nil {
		t.Errorf("%v, %v", c, err)
	}
	eventually(t, "a word about the authority", func() bool { return log.Count("level=ERROR") > 0 })
	stop()
	watching.Wait()
	if log.Count("stranger.example") > 0 {
		t.Error(log.String())
	}
}
