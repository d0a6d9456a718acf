package cluster

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"poosh/server/hub"
)

// What is read before a process is one of the cluster is bounded in bytes too. The oldest go, and what stays has
// no hole that is not known.
func TestOnceEarlyIsBounded(t *testing.T) {
	c := New(Config{Prefix: "test", Lease: time.Second, Timeout: time.Second, QueueBytes: 100_000})
	c.log = discard
	defer c.end()
	s := c.Source("radio").(*source)
	defer s.end()
	data := bytes.Repeat([]byte("x"), 10_000)
	s.Reads(true)
	for i := range 20 {
		if i == 15 {
			s.Reads(false)
			s.Reads(true)
		}
		s.Read(uint64(i)<<32, []*hub.Publication{{App: app, Room: "a", Data: data}}, nil)
		if st := s.Stats(); st.Waiting > c.cfg.QueueBytes {
			t.Fatalf("%d bytes wait after %d messages", st.Waiting, i+1)
		}
	}
	waiting := s.Stats().Waiting
	s.open()
	defer s.running.Wait()
	defer s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []int
	var gaps []int
	for _, e := range s.tapes[c.partition(app, "a", false).index].list {
		got = append(got, int(e.mark>>32))
		if e.gap {
			gaps = append(gaps, int(e.mark>>32))
		}
	}
	if want := []int{11, 12, 13, 14, 15, 16, 17, 18, 19}; !slices.Equal(got, want) || !slices.Equal(gaps, []int{15}) {
		t.Errorf("kept are %v with gaps in front of %v, want %v with one in front of 15", got, gaps, want)
	}
	if s.bytes != waiting || s.full.Load() != 11 {
		t.Errorf("%d bytes wait, %d before, and %d were dropped, want 11", s.bytes, waiting, s.full.Load())
	}
}

// So are messages of which nothing comes.
func TestOnceEarlyOfNothing(t *testing.T) {
	c := New(Config{Prefix: "test", Lease: time.Second, Timeout: time.Second, QueueBytes: 100_000})
	defer c.end()
	s := c.Source("radio").(*source)
	for i := range 2 * earlyMost {
		s.Read(uint64(i), nil, nil)
	}
	if len(s.early) != earlyMost || s.Stats().Full != 0 {
		t.Errorf("%d are kept, want %d, and %d counted, want none: nobody lacks them", len(s.early), earlyMost, s.Stats().Full)
	}
}
