package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// used waits until the use of a device is written.
func used(t testing.TB, s *keeper, key string) Device {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		d, err := s.Find(t.Context(), address(key, "1"))
		if err != nil {
			t.Fatal(err)
		}
		if !d.Used.IsZero() || time.Now().After(end) {
			return d
		}
	}
}

// Identities that were only registered go after a time, those that are not used
// any more after a longer one, with all they have; the others stay.
func TestExpireIdentities(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{Identities: 60})
		ctx := t.Context()
		me := register(t, s, "me", "1", 1)
		var gone []DeviceID
		for i := range 45 {
			d := register(t, s, fmt.Sprint("unused", i), "1", 2)
			gone = append(gone, d.ID)
			queue(t, s, me, address(fmt.Sprint("unused", i), "1"), `"lost"`)
		}
		left := register(t, s, "left", "1", 1)
		if err := s.Remove(ctx, left.ID); err != nil {
			t.Fatal(err)
		}
		s.Used(me)
		s.Used(me) // at once: counts once
		if d := used(t, s, "me"); time.Since(d.Used).Abs() > time.Minute {
			t.Errorf("%+v", d)
		}
		queue(t, s, me, address("me", "1"), `"kept"`)
		past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		if r, err := s.ExpireIdentities(ctx, past, past); err != nil || r.Identities != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		r, err := s.ExpireIdentities(ctx, future, past)
		slices.Sort(r.Devices)
		if err != nil || r.Identities != 45 || !slices.Equal(r.Devices, gone) {
			t.Errorf("%+v, %v", r, err)
		}
		if bodies, _ := pending(t, s, me); !slices.Equal(bodies, []string{`"kept"`}) {
			t.Error(bodies)
		}
		// A revoked identity is kept like one that was used.
		if _, err := s.Register(ctx, address("left", "1"), keys(0)); err != ErrRegistered {
			t.Error(err)
		}
		if u, err := s.Usage(ctx); err != nil || u.Identities != 2 || u.Prekeys != 1 || u.Messages != 1 || u.Unused != 0 {
			t.Errorf("%+v, %v", u, err)
		}
		if r, err := s.ExpireIdentities(ctx, past, future); err != nil || r.Identities != 2 {
			t.Errorf("%+v, %v", r, err)
		}
		if d := register(t, s, "left", "1", 0); d.ID <= me.ID {
			t.Error("an id is used again")
		}
	})
}

// The bound on identities is not met for good.
func TestIdentitiesComeBack(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{Identities: 3})
		ctx := t.Context()
		for i := range 3 {
			register(t, s, fmt.Sprint(i), "1", 1)
		}
		if _, err := s.Register(ctx, address("x", "1"), keys(0)); err != ErrFull {
			t.Error(err)
		}
		r, err := s.RemoveIdentity(ctx, "1")
		if err != nil || r.Identities != 1 || len(r.Devices) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := s.RemoveIdentity(ctx, "1"); err != ErrNotRegistered {
			t.Error(err)
		}
		if _, err := s.Find(ctx, address("1", "1")); err != ErrNotRegistered {
			t.Error(err)
		}
		register(t, s, "x", "1", 0)
		if _, err := s.Register(ctx, address("y", "1"), keys(0)); err != ErrFull {
			t.Error(err)
		}
	})
}

func TestRemovePrekeys(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		d := register(t, s, "k", "1", 3)
		if n, err := s.RemovePrekeys(t.Context(), "k"); err != nil || n != 3 {
			t.Error(n, err)
		}
		if got, _, err := s.TakeKeys(t.Context(), "k", d.ID); err != nil || string(got["1"]) != `{"id":"last"}` {
			t.Errorf("%s, %v", got, err)
		}
		if _, err := s.RemovePrekeys(t.Context(), "x"); err != ErrNotRegistered {
			t.Error(err)
		}
	})
}

// A database of the first schema is brought to this one with what is in it.
func TestMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		schema1,
		fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 1",
		`INSERT INTO identities (key, created) VALUES (CAST('k' AS BLOB), 5), (CAST('other' AS BLOB), 6)`,
		`INSERT INTO devices (identity, name, created, last_resort) VALUES (1, '1', 5, x'7b7d'), (2, '1', 5, x'7b7d')`,
		`INSERT INTO prekeys (device, body) VALUES (1, x'7b2078207d'), (1, x'7b7d')`,
		`INSERT INTO messages (seq, tag, device, header, body) VALUES (1, 1, 1, CAST('"h"' AS BLOB), CAST('"old"' AS BLOB))`,
	} {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, Limits{Identities: 3, KeyBytesPerDevice: 19})
	ctx := t.Context()
	d, err := s.Find(ctx, address("k", "1"))
	if err != nil || d.Prekeys != 2 || time.Since(d.Used).Abs() > time.Minute {
		t.Fatalf("%+v, %v", d, err)
	}
	other, err := s.Find(ctx, address("other", "1"))
	if err != nil {
		t.Fatal(err)
	}
	queue(t, s, other, address("k", "1"), `"new"`)
	bodies, ids := pending(t, s, d)
	if !slices.Equal(bodies, []string{`"old"`, `"new"`}) {
		t.Error(bodies)
	}
	if u, err := s.Usage(ctx); err != nil || u.KeyBytes != 5+2+2+2 || u.Identities != 2 || u.Bytes != 8+8 {
		t.Errorf("%+v, %v", u, err)
	}
	if n, err := s.Confirm(ctx, d.ID, ids); err != nil || n != 2 || contents(t, s, "senders") != 0 {
		t.Error(n, err)
	}
	if _, err := s.AddKeys(ctx, d.ID, Keys{Prekeys: [][]byte{[]byte(`{"id":5555}`)}}); !errors.Is(err, ErrKeysTooLarge) {
		t.Error(err)
	}
	register(t, s, "third", "1", 0)
	if _, err := s.Register(ctx, address("fourth", "1"), Keys{LastResort: []byte(`{}`)}); err != ErrFull {
		t.Error(err)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// A clock that is behind does not make an identity idle.
func TestUseNeverGoesBack(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		d := register(t, s, "k", "1", 0)
		s.Used(d)
		first := used(t, s, "k")
		past := time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
		if err := s.writer.do(t.Context(), 0, func(b *batch) error {
			b.now = past
			return s.use(b, []DeviceID{d.ID})
		}, nil); err != nil {
			t.Fatal(err)
		}
		if again := used(t, s, "k"); !again.Used.Equal(first.Used) {
			t.Errorf("%v became %v", first.Used, again.Used)
		}
	})
}
