package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/pushsocket/store/postgrestest"
)

func openAt(t testing.TB, where string, l Limits) *keeper {
	t.Helper()
	st, err := Open(where, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close(context.Background()) })
	return st.(*keeper)
}

// each runs a test with both databases. open makes a new store.
func each(t *testing.T, test func(t *testing.T, open func(Limits) *keeper)) {
	places(t, func(t *testing.T, place func() string) {
		test(t, func(l Limits) *keeper { return openAt(t, place(), l) })
	})
}

// places is each for who opens a store more than once.
func places(t *testing.T, test func(t *testing.T, place func() string)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func() string { return filepath.Join(t.TempDir(), "a store?#%.db") })
	})
	t.Run("postgres", func(t *testing.T) {
		server := postgrestest.Shared(t)
		test(t, func() string { return server.Schema(t) })
	})
}

// ask asks a database, of either kind.
func ask(t testing.TB, s *keeper, text string, args []any, into ...any) {
	t.Helper()
	if err := s.engine.row(t.Context(), text, args...).Scan(into...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func open(t testing.TB, l Limits) *keeper {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "a store?#%.db"), l)
}

// address makes up an address; the store does not look into keys.
func address(key, device string) auth.Address { return auth.Address{Key: key, Device: device} }

func keys(n int) Keys {
	k := Keys{LastResort: []byte(`{"id":"last"}`)}
	for i := range n {
		k.Prekeys = append(k.Prekeys, fmt.Appendf(nil, `{"id":%d}`, i))
	}
	return k
}

func register(t testing.TB, s *keeper, key, device string, prekeys int) Device {
	t.Helper()
	d, err := s.Register(t.Context(), address(key, device), keys(prekeys))
	if err != nil || d.Prekeys != prekeys {
		t.Fatalf("%+v, %v", d, err)
	}
	return d
}

// addDevice gives an identity a second device, which no request can.
func addDevice(t testing.TB, s *keeper, key, device string) Device {
	t.Helper()
	d := Device{}
	err := s.writer.do(t.Context(), 0, func(b *batch) error {
		return b.row(`INSERT INTO devices (identity, name, created, last_resort)
			SELECT id, $1, 0, $2 FROM identities WHERE key = $3 RETURNING id`, name(device), []byte("{}"), []byte(key)).Scan(&d.ID)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// outgoing is a message with the header "h" for some devices.
func outgoing(body string, to ...auth.Address) Outgoing {
	m := Outgoing{Body: []byte(body)}
	for _, a := range to {
		m.Copies = append(m.Copies, Copy{To: a, Header: []byte(`"h"`)})
	}
	return m
}

func queue(t testing.TB, s *keeper, from Device, to auth.Address, bodies ...string) []Outcome {
	t.Helper()
	var messages []Outgoing
	for _, body := range bodies {
		messages = append(messages, outgoing(body, to))
	}
	out, _, err := s.Queue(t.Context(), from.ID, messages, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pending returns the bodies that wait for a device, and their ids.
func pending(t testing.TB, s *keeper, d Device) (bodies, ids []string) {
	t.Helper()
	after := int64(0)
	for {
		list, err := s.Pending(t.Context(), d.ID, after, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return bodies, ids
		}
		for _, m := range list {
			if m.Seq <= after {
				t.Fatalf("seq %d after %d", m.Seq, after)
			}
			after = m.Seq
			bodies, ids = append(bodies, string(m.Body)), append(ids, m.ID)
		}
	}
}

func TestRegister(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{PrekeysPerDevice: 3, Identities: 2})
		ctx := t.Context()
		if _, err := s.Find(ctx, address("k", "1")); err != ErrNotRegistered {
			t.Error(err)
		}
		if _, err := s.Register(ctx, address("k", "1"), keys(4)); err != ErrTooManyKeys {
			t.Error(err)
		}
		d := register(t, s, "k", "1", 2)
		if got, err := s.Find(ctx, address("k", "1")); err != nil || got != d {
			t.Errorf("%+v, %v", got, err)
		}
		for _, other := range []string{"2", "", "constructor"} {
			if _, err := s.Find(ctx, address("k", other)); err != ErrNotRegistered {
				t.Errorf("device %q: %v", other, err)
			}
			if _, err := s.Register(ctx, address("k", other), keys(1)); err != ErrRegistered {
				t.Errorf("device %q: %v", other, err)
			}
		}
		if got, err := s.AddKeys(ctx, d.ID, Keys{Prekeys: keys(1).Prekeys}); err != nil || got.Prekeys != 3 {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := s.AddKeys(ctx, d.ID, keys(1)); err != ErrTooManyKeys {
			t.Error(err)
		}
		if known, err := s.Knows(ctx, "k"); err != nil || !known {
			t.Error(known, err)
		}
		if known, err := s.Knows(ctx, "K"); err != nil || known {
			t.Error(known, err)
		}
		register(t, s, "k2", "1", 0)
		if _, err := s.Register(ctx, address("k3", "1"), keys(0)); err != ErrFull {
			t.Error(err)
		}
		if u, err := s.Usage(ctx); err != nil || u.Identities != 2 || u.Devices != 2 || u.Prekeys != 3 {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestTakeKeys(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		ctx := t.Context()
		me := register(t, s, "me", "1", 1)
		other := register(t, s, "other", "7", 2)
		for i, want := range []string{`{"id":0}`, `{"id":1}`, `{"id":"last"}`, `{"id":"last"}`} {
			got, d, err := s.TakeKeys(ctx, "other", me.ID)
			if err != nil || len(got) != 1 || string(got["7"]) != want || d.Prekeys != 1 {
				t.Errorf("%d: %s, %+v, %v", i, got, d, err)
			}
		}
		// One's own key is consumed like any other.
		if got, d, err := s.TakeKeys(ctx, "me", me.ID); err != nil || string(got["1"]) != `{"id":0}` || d.Prekeys != 0 {
			t.Errorf("%s, %+v, %v", got, d, err)
		}
		if _, err := s.AddKeys(ctx, other.ID, Keys{LastResort: []byte(`{"id":"new"}`)}); err != nil {
			t.Error(err)
		}
		addDevice(t, s, "other", "8")
		if got, _, err := s.TakeKeys(ctx, "other", me.ID); err != nil || len(got) != 2 || string(got["7"]) != `{"id":"new"}` || string(got["8"]) != `{}` {
			t.Errorf("%s, %v", got, err)
		}
		if _, _, err := s.TakeKeys(ctx, "nobody", me.ID); err != ErrNotRegistered {
			t.Error(err)
		}
	})
}

func TestRemove(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		ctx := t.Context()
		me := register(t, s, "me", "1", 1)
		first := register(t, s, "other", "1", 2)
		second := addDevice(t, s, "other", "2")
		queue(t, s, me, address("other", "1"), `"a"`)
		queue(t, s, me, address("other", "2"), `"b"`)

		if err := s.Remove(ctx, first.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(ctx, first.ID); err != ErrRevoked {
			t.Error(err)
		}
		if _, err := s.Find(ctx, address("other", "1")); err != ErrRevoked {
			t.Error(err)
		}
		if _, err := s.Find(ctx, address("other", "2")); err != nil {
			t.Error(err)
		}
		if out := queue(t, s, me, address("other", "1"), `"c"`); out[0].Kind != MissingDevice {
			t.Error(out)
		}
		if bodies, _ := pending(t, s, first); bodies != nil {
			t.Error(bodies)
		}
		if bodies, _ := pending(t, s, second); len(bodies) != 1 {
			t.Error(bodies)
		}
		if err := s.Remove(ctx, second.ID); err != nil {
			t.Fatal(err)
		}
		for _, device := range []string{"1", "2", "3"} {
			if _, err := s.Find(ctx, address("other", device)); err != ErrRevoked {
				t.Errorf("device %s: %v", device, err)
			}
		}
		if _, _, err := s.TakeKeys(ctx, "other", me.ID); err != ErrRevoked {
			t.Error(err)
		}
		if _, _, err := s.TakeKeys(ctx, "me", first.ID); err != ErrRevoked {
			t.Error(err)
		}
		if _, err := s.AddKeys(ctx, first.ID, keys(1)); err != ErrRevoked {
			t.Error(err)
		}
		if _, _, err := s.Queue(ctx, first.ID, nil, nil); err != ErrRevoked {
			t.Error(err)
		}
		if out := queue(t, s, me, address("other", "1"), `"c"`); out[0].Kind != RevokedKey {
			t.Error(out)
		}
		if _, err := s.Register(ctx, address("other", "1"), keys(1)); err != ErrRegistered {
			t.Error(err)
		}
		if u, err := s.Usage(ctx); err != nil || u.Revoked != 1 || u.Devices != 1 || u.Messages != 0 || u.Prekeys != 1 || u.Bytes != 0 {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestMessages(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		ctx := t.Context()
		one, two := register(t, s, "one", "1", 0), register(t, s, "two", "1", 0)
		out, d, err := s.Queue(ctx, one.ID, []Outgoing{
			{[]byte(`"\ud800 b1"`), []Copy{{address("two", "1"), []byte(`"h1"`)}}},
			{[]byte(`"b2"`), []Copy{{address("one", "1"), []byte(`"h2"`)}, {address("nobody", "1"), nil}, {address("two", "2"), nil}}},
			{[]byte(`""`), []Copy{{address("two", "1"), []byte(`"h3"`)}}},
		}, nil)
		want := []Outcome{{Queued, two.ID, 0}, {Queued, one.ID, 0}, {Kind: UnknownKey}, {Kind: MissingDevice}, {Queued, two.ID, 0}}
		if err != nil || !slices.Equal(out, want) || d.Prekeys != 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		bodies, ids := pending(t, s, two)
		if !slices.Equal(bodies, []string{`"\ud800 b1"`, `""`}) || ids[0] == ids[1] || len(ids[0]) != 24 {
			t.Errorf("%q %q", bodies, ids)
		}
		// Only the device it is for can confirm a message.
		if n, err := s.Confirm(ctx, one.ID, ids); err != nil || n != 0 {
			t.Error(n, err)
		}
		guess := ids[0][:23] + "0"
		if guess == ids[0] {
			guess = ids[0][:23] + "1"
		}
		if n, err := s.Confirm(ctx, two.ID, []string{"", "x", strings.ToUpper("zz" + ids[0][2:]), guess, ids[0] + "00"}); err != nil || n != 0 {
			t.Error(n, err)
		}
		if n, err := s.Confirm(ctx, two.ID, []string{ids[0], ids[0]}); err != nil || n != 1 {
			t.Error(n, err)
		}
		if bodies, again := pending(t, s, two); len(bodies) != 1 || again[0] != ids[1] {
			t.Errorf("%q %q", bodies, again)
		}
		if u, err := s.Usage(ctx); err != nil || u.Messages != 2 || u.Bytes != int64(len(`"h2""b2""h3"""`)) || time.Since(u.Oldest) > time.Minute {
			t.Errorf("%+v, %v", u, err)
		}
	})
}

func TestPendingIsBounded(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		d := register(t, s, "k", "1", 0)
		for range 2 * maxPending {
			queue(t, s, d, address("k", "1"), `"`+strings.Repeat("x", 1000)+`"`)
		}
		for _, test := range []struct{ bytes, least, most int }{{1, 1, 1}, {5000, 5, 6}, {1 << 30, maxPending, maxPending}} {
			if list, err := s.Pending(t.Context(), d.ID, 0, test.bytes); err != nil || len(list) < test.least || len(list) > test.most {
				t.Errorf("%d bytes: %d messages, %v", test.bytes, len(list), err)
			}
		}
	})
}

func TestDeviceFull(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{MessagesPerDevice: 3})
		d := register(t, s, "k", "1", 0)
		out := queue(t, s, d, address("k", "1"), `1`, `2`, `3`, `4`)
		if out[2].Kind != Queued || out[3].Kind != DeviceFull {
			t.Errorf("%+v", out)
		}
		l := s.Limits()
		l.DropOldest = true
		s.SetLimits(l)
		if out := queue(t, s, d, address("k", "1"), `5`); out[0].Kind != Queued || out[0].Dropped != 1 {
			t.Errorf("%+v", out)
		}
		if bodies, _ := pending(t, s, d); !slices.Equal(bodies, []string{`2`, `3`, `5`}) {
			t.Error(bodies)
		}
		l.MessagesPerDevice = 1
		s.SetLimits(l)
		if out := queue(t, s, d, address("k", "1"), `6`); out[0].Dropped != 3 {
			t.Errorf("%+v", out)
		}
		if u, _ := s.Usage(t.Context()); u.Messages != 1 || u.FullestOf != 1 {
			t.Errorf("%+v", u)
		}
	})
}

func TestExpire(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{MessagesPerDevice: 10_000})
		d := register(t, s, "k", "1", 0)
		for range 5 {
			queue(t, s, d, address("k", "1"), slices.Repeat([]string{`"old"`}, 300)...)
		}
		cut := time.Now().Add(time.Millisecond)
		for !time.Now().After(cut.Add(time.Millisecond)) {
			time.Sleep(time.Millisecond)
		}
		queue(t, s, d, address("k", "1"), `"new"`)
		if n, err := s.Expire(t.Context(), cut); err != nil || n != 1500 {
			t.Error(n, err)
		}
		if bodies, _ := pending(t, s, d); !slices.Equal(bodies, []string{`"new"`}) {
			t.Error(bodies)
		}
	})
}

// What is stored is there after a restart, in order, and new messages come behind
// it.
func TestReopen(t *testing.T) {
	places(t, func(t *testing.T, place func() string) {
		where := place()
		s := openAt(t, where, Limits{})
		d := register(t, s, "k", "1", 1)
		queue(t, s, d, address("k", "1"), `1`, `2`)
		_, before := pending(t, s, d)
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Queue(t.Context(), d.ID, nil, nil); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		s = openAt(t, where, Limits{})
		queue(t, s, d, address("k", "1"), `3`)
		if bodies, ids := pending(t, s, d); !slices.Equal(bodies, []string{`1`, `2`, `3`}) || !slices.Equal(ids[:2], before) {
			t.Error(bodies, ids, before)
		}
	})
}

// Nobody else on the machine may read what is kept.
func TestModeOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	openAt(t, path, Limits{})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, statement string) string {
		path := filepath.Join(dir, name)
		db, err := sql.Open("sqlite", dsn(path))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	openAt(t, newer, Limits{}).Close(context.Background())
	for _, test := range []struct{ path, want string }{
		{write("other.db", "CREATE TABLE x (a)"), "another program"},
		{write("newer.db", "PRAGMA user_version = 99"), "newer poosh"},
		{text, "not a database"},
		{dir, "is a directory"},
		{filepath.Join(dir, "none", "x.db"), "no such file or directory"},
	} {
		s, err := Open(test.path, Limits{})
		if err == nil {
			s.Close(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path) {
			t.Errorf("%s: %v, want %q", test.path, err, test.want)
		}
	}
}

// The statements of the hot path go by an index and sort nothing.
func TestQueryPlans(t *testing.T) {
	s := open(t, Limits{})
	for _, text := range []string{sqlPending, sqlFind, sqlKnows, sqlTarget, sqlOldest, sqlUnused, sqlIdle, sqlOldContacts,
		`SELECT 1 FROM messages WHERE shared = ?`, // what bodies_released asks
		`SELECT max(seq) FROM messages`, `SELECT seq FROM messages WHERE seq < ? ORDER BY seq LIMIT ?`} {
		rows, err := s.engine.(*sqlite).reads.Query("EXPLAIN QUERY PLAN "+text, slices.Repeat([]any{1}, strings.Count(text, "$")+strings.Count(text, "?"))...)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(step, "TEMP B-TREE") || strings.HasPrefix(step, "SCAN") {
				t.Errorf("%s\n%s", text, step)
			}
			if text == sqlPending && strings.Contains(step, " messages ") && !strings.Contains(step, "device=? AND rowid>?") {
				t.Errorf("%s\n%s", text, step)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkQueue stores messages of 1,000 bytes from many goroutines at once, all for one
// device, or each for another of 64, and waits for each on the disk.
func BenchmarkQueue(b *testing.B) {
	for _, db := range []string{"sqlite", "postgres"} {
		for _, devices := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/devices=%d", db, devices), func(b *testing.B) {
				where := filepath.Join(b.TempDir(), "x.db")
				if db == "postgres" {
					where = postgrestest.Start(b).Schema(b)
				}
				benchmarkQueue(b, openAt(b, where, Limits{MessagesPerDevice: 1 << 30, BytesPerDevice: 1 << 40}), devices)
			})
		}
	}
}

func benchmarkQueue(b *testing.B, s *keeper, n int) {
	var devices []Device
	var messages [][]Outgoing
	for i := range n {
		key := fmt.Sprint("k", i)
		devices = append(devices, register(b, s, key, "1", 0))
		messages = append(messages, []Outgoing{outgoing(`"`+strings.Repeat("x", 1000)+`"`, address(key, "1"))})
	}
	var next atomic.Int64
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := int(next.Add(1)) % n
			if _, _, err := s.Queue(b.Context(), devices[i].ID, messages[i], nil); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkConfirm confirms 64 messages at once of those that wait for a device.
func BenchmarkConfirm(b *testing.B) {
	for _, db := range []string{"sqlite", "postgres"} {
		b.Run(db, func(b *testing.B) {
			where := filepath.Join(b.TempDir(), "x.db")
			if db == "postgres" {
				where = postgrestest.Start(b).Schema(b)
			}
			s := openAt(b, where, Limits{MessagesPerDevice: 1 << 30, BytesPerDevice: 1 << 40})
			d := register(b, s, "k", "1", 0)
			messages := slices.Repeat([]Outgoing{outgoing(`"x"`, address("k", "1"))}, 64)
			for range b.N {
				if _, _, err := s.Queue(b.Context(), d.ID, messages, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for range b.N {
				list, err := s.Pending(b.Context(), d.ID, 0, 1<<20)
				if err != nil {
					b.Fatal(err)
				}
				var ids []string
				for _, m := range list {
					ids = append(ids, m.ID)
				}
				if n, err := s.Confirm(b.Context(), d.ID, ids); n != 64 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
