package pusher_test

import (
	"testing"

	"poosh/server/pusher"
	"poosh/server/pusher/pushertest"
)

// BenchmarkMessages sends a message over one connection and reads the answer.
func BenchmarkMessages(b *testing.B) {
	s := pushertest.New(b, pusher.Config{})
	p := s.Dial()
	b.ReportAllocs()
	for b.Loop() {
		p.Quiet()
	}
}
