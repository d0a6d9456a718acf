package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"poosh/server/pushsocket/store/postgrestest"
)

// PUSH_SOCKET_DB_MAX_BYTES holds without the database's help, and what is confirmed makes
// room though tables do not shrink.
func TestPostgresBytes(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	s := openAt(t, where, Limits{BytesOnDisk: 2 << 20, SenderPercent: 100})
	e := s.engine.(*postgres)
	look := func() { e.count(t.Context(), patience) }
	d := register(t, s, "k", "1", 1)
	random := make([]byte, 10_000) // which cannot be compressed
	rand.NewChaCha8([32]byte{1}).Read(random)
	body := fmt.Sprintf(`"%x"`, random)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		_, _, err = s.Queue(t.Context(), d.ID, []Outgoing{outgoing(body, address("k", "1"))}, nil)
		look()
	}
	if !errors.Is(err, errDatabaseFull) || !errors.Is(err, ErrUnavailable) || n < 50 || n > 400 {
		t.Fatalf("after %d messages: %v", n, err)
	}
	if _, err := s.Register(t.Context(), address("x", "1"), keys(1)); !errors.Is(err, ErrKeysFull) {
		t.Error(err)
	}
	confirmAll(t, s, d)
	look()
	queue(t, s, d, address("k", "1"), body)
	register(t, s, "x", "1", 1)
}

// What is in tables that are beyond the bound cannot be counted, or takes too long: their size
// counts. A start is not refused, and when it can be counted again that counts.
func TestPostgresCannotBeCounted(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	s := openAt(t, where, Limits{SenderPercent: 100})
	d := register(t, s, "k", "1", 1)
	random := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{1}).Read(random)
	queue(t, s, d, address("k", "1"), fmt.Sprintf(`"%x"`, random))
	confirmAll(t, s, d) // tables stay as large
	alter(t, s, `ALTER TABLE bodies RENAME COLUMN text TO hidden`)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, where, Limits{BytesOnDisk: 1 << 20})
	e := s.engine.(*postgres)
	full := func(is bool) {
		t.Helper()
		_, _, err := s.Queue(t.Context(), d.ID, []Outgoing{outgoing(`"x"`, address("k", "1"))}, nil)
		if is != errors.Is(err, errDatabaseFull) || !is && err != nil {
			t.Error(err)
		}
	}
	full(true)
	alter(t, s, `ALTER TABLE bodies RENAME COLUMN hidden TO text`)
	e.count(t.Context(), patience)
	full(false)
	if wait := e.count(t.Context(), 0); wait < measureEvery {
		t.Error(wait)
	}
	full(true)
	e.count(t.Context(), patience)
	full(false)
}

// What tables grew since it was counted what is in them is added to that; and it never is
// more than they take.
func TestGauge(t *testing.T) {
	var g gauge
	is := func(want int64) {
		t.Helper()
		if n := g.used.Load(); n != want {
			t.Errorf("%d, want %d", n, want)
		}
	}
	g.sized(100)
	is(100)
	g.is(30, 100)
	is(30)
	g.sized(120)
	is(50)
	g.sized(20) // VACUUM FULL
	is(20)
	g.sized(120)
	g.unknown()
	is(120)
}
