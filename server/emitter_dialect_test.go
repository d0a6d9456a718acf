package server

import (
	"context"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
)

// messages is how many have come from the Redis of emitters.
func (s *Server) messages() (n float64) {
	for _, d := range s.dialects {
		if d.name != "emitter" {
			continue
		}
		for _, r := range d.Metrics() {
			if r.Name == "emitter_redis_messages_total" {
				n = r.Samples[0].Value
			}
		}
	}
	return n
}

// What emitters publish while a process starts is published once it has what the last one left, and so is
// kept behind that.
func TestEmitterWaitsForTheStart(t *testing.T) {
	redis := redistest.Start(t)
	settings := map[string]string{"EMITTER_REDIS": "redis://" + redis.Addr, "HISTORY": "5m", "HISTORY_FILE": filepath.Join(t.TempDir(), "history")}
	first := run(t, settings, nil)
	first.listen(t, "news")
	first.send(t, "news", "event", "1")
	first.stop()
	if err := first.wait(t); err != nil {
		t.Fatal(err)
	}
	s, err := New(configured(t, settings), discard)
	if err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, "messages are read", func() bool { return strings.Contains(redis.Do("PUBSUB", "NUMPAT"), "1") })
	raw, err := hex.DecodeString("9283a47479706502a46461746193a26576a47465787402a36e7370a12f82a5726f6f6d7391a46e657773a5666c61677380")
	if err != nil {
		t.Fatal(err)
	}
	redis.Do("PUBLISH", "socket.io#emitter", string(raw))
	redistest.Until(t, "the message is read", func() bool { return s.messages() == 1 })
	if st := s.hub.Stats(); st.Published != 0 {
		t.Errorf("published before what there was is restored: %+v", st)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }() // ends with stop
	redistest.Until(t, "both events are kept", func() bool { return s.kept.Stats().Events == 2 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A process that does not get as far as serving hands nothing out, and counts that.
func TestEmitterOfAStartThatFails(t *testing.T) {
	redis := redistest.Start(t)
	s, err := New(configured(t, map[string]string{"EMITTER_REDIS": "redis://" + redis.Addr}), discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.loop.Close()
	redistest.Until(t, "messages are read", func() bool { return strings.Contains(redis.Do("PUBSUB", "NUMPAT"), "1") })
	redis.Do("PUBLISH", "socket.io#emitter", "x")
	redistest.Until(t, "the message is read", func() bool { return s.messages() == 1 })
	s.drain(patience)
	for _, r := range s.dialects[len(s.dialects)-1].Metrics() {
		for _, sample := range r.Samples {
			if r.Name == "emitter_redis_dropped_total" && strings.Join(sample.Labels, "") == "shutdown" && sample.Value != 1 {
				t.Errorf("%v dropped for the end", sample.Value)
			}
		}
	}
}
