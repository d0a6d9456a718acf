package echo

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/intake"
)

// listen returns what the application is told in a Redis from now on.
func listen(t *testing.T, redis *redistest.Server) <-chan string {
	t.Helper()
	at, err := intake.ParseAddress("redis://" + redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan string, 100)
	reads, err := intake.Start(intake.Config{Name: "test", Redis: at, Patterns: []string{updatedChannel}, Hub: hub.New(), Log: slog.New(slog.DiscardHandler), Reasons: []string{"told"},
		Read: func(m intake.Message) ([]*hub.Publication, string) { told <- string(m.Payload); return nil, "told" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reads.Stop(context.Background()) })
	until(t, "Redis knows who listens", func() bool { return strings.Contains(redis.Do("PUBSUB", "NUMPAT"), "1") })
	return told
}

// TestLastWords has what waits at the end be told, and what was just being told.
func TestLastWords(t *testing.T) {
	redis := redistest.Start(t)
	told := listen(t, redis)
	wire := redistest.NewWire(t, redis.Addr)
	at, err := intake.ParseAddress("redis://" + wire.Addr)
	if err != nil {
		t.Fatal(err)
	}
	wire.Hold()
	u := newUpdater(newPlace(t, nil).Dialect, at)
	for _, channel := range []string{"presence-a", "presence-b"} {
		u.note(channel)
	}
	until(t, "one is being told", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return len(u.changed) == 1
	})
	stopped := make(chan struct{})
	go func() { // ends with what stop waits for
		defer close(stopped)
		u.stop(context.Background())
	}()
	<-u.over.Done()
	wire.Release()
	for want := map[string]bool{"presence-a": true, "presence-b": true}; len(want) > 0; {
		select {
		case got := <-told:
			for channel := range want {
				if strings.Contains(got, channel+":members") {
					delete(want, channel)
				}
			}
		case <-time.After(patience):
			t.Fatalf("not told of %v", want)
		}
	}
	<-stopped
}
