package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"poosh/auth"
	"poosh/server/pushsocket/store/postgrestest"
)

const patience = 60 * time.Second

// eventually waits until something is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// Whoever reads on from the last message it was given misses none, however many senders
// of several processes store messages for it at once: Seqs have the order of commits.
func TestSeqHasTheOrderOfCommits(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	stores := []*keeper{openAt(t, where, Limits{}), openAt(t, where, Limits{}), openAt(t, where, Limits{})}
	to := []Device{register(t, stores[0], "one", "1", 0), register(t, stores[0], "two", "1", 0)}
	const senders, each = 12, 15
	var all sync.WaitGroup
	for i := range senders {
		from := register(t, stores[0], fmt.Sprint("sender", i), "1", 0)
		all.Go(func() {
			for n := range each {
				m := outgoing(fmt.Sprint(i, n), address("one", "1"), address("two", "1"))
				if n%2 == 1 {
					slices.Reverse(m.Copies) // two orders, in which nobody waits for the other
				}
				out, _, err := stores[(i+n)%len(stores)].Queue(t.Context(), from.ID, []Outgoing{m}, nil)
				if err != nil || out[0].Kind != Queued || out[1].Kind != Queued {
					t.Error(out, err)
				}
			}
		})
	}
	var read sync.WaitGroup
	for i, d := range to {
		read.Go(func() {
			var got []string
			after := int64(0)
			for end := time.Now().Add(patience); len(got) < senders*each; {
				list, err := stores[i].Pending(t.Context(), d.ID, after, 1<<20)
				if err != nil {
					t.Error(err)
					return
				}
				for _, m := range list {
					got, after = append(got, string(m.Body)), m.Seq
				}
				if time.Now().After(end) {
					t.Errorf("device %d was given %d of %d messages", i, len(got), senders*each)
					return
				}
			}
			slices.Sort(got)
			if n := len(slices.Compact(got)); n != senders*each {
				t.Errorf("device %d was given %d different messages", i, n)
			}
		})
	}
	all.Wait()
	read.Wait()
	checkWaits(t, stores[0])
}

// The clock of the database may go back: a message never comes before one that was given.
func TestSeqGrowsWhenTheClockGoesBack(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	s := openAt(t, where, Limits{})
	d := register(t, s, "k", "1", 0)
	alter(t, s, `UPDATE devices SET last_seq = $1`, seqAt(time.Now().Add(time.Hour)))
	queue(t, s, d, address("k", "1"), `1`)
	list, err := s.Pending(t.Context(), d.ID, 0, 1000)
	if err != nil || len(list) != 1 || seqTime(list[0].Seq).Before(time.Now().Add(50*time.Minute)) {
		t.Fatal(list, err)
	}
	if n, err := s.Confirm(t.Context(), d.ID, []string{list[0].ID}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	queue(t, s, d, address("k", "1"), `2`)
	if next, err := s.Pending(t.Context(), d.ID, list[0].Seq, 1000); err != nil || len(next) != 1 {
		t.Error(next, err)
	}
}

// A transaction that deadlocked with another is tried again, and its caller learns nothing
// of it.
func TestDeadlockIsTriedAgain(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	s := openAt(t, where, Limits{})
	register(t, s, "a", "1", 0)
	register(t, s, "b", "1", 0)
	// Two changes that touch in two orders, and name nothing.
	var met sync.WaitGroup
	met.Add(2)
	var runs atomic.Int64
	lock := func(first, second string) error {
		once := false
		return s.change(t.Context(), touches{}, 0, func(b *batch) error {
			runs.Add(1)
			if err := b.exec(`UPDATE identities SET used = used WHERE key = $1`, []byte(first)); err != nil {
				return err
			}
			if !once {
				once = true
				met.Done()
				met.Wait()
			}
			return b.exec(`UPDATE identities SET used = used WHERE key = $1`, []byte(second))
		}, nil)
	}
	var all sync.WaitGroup
	for i, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		all.Go(func() {
			if err := lock(order[0], order[1]); err != nil {
				t.Error(err)
			}
		})
		// The second is put when the first runs, or both may be of one transaction.
		eventually(t, "it runs", func() bool { return runs.Load() > int64(i) })
	}
	all.Wait()
	if n := runs.Load(); n < 3 { // more when the second try was in the way again
		t.Errorf("%d runs: nothing met", n)
	}
}

// A body that several devices have goes with the last of them, also when they confirm it
// at the same time, and none of these sees that it is the last.
func TestBodiesGoInTheEnd(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	one, two := openAt(t, where, Limits{}), openAt(t, where, Limits{})
	me := register(t, one, "me", "1", 0)
	var devices []Device
	var to []auth.Address
	for i := range 20 {
		devices = append(devices, register(t, one, fmt.Sprint("k", i), "1", 0))
		to = append(to, address(fmt.Sprint("k", i), "1"))
	}
	if _, _, err := one.Queue(t.Context(), me.ID, []Outgoing{outgoing(`"`+strings.Repeat("x", 1000)+`"`, to...)}, nil); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i, d := range devices {
		all.Go(func() { confirmAll(t, []*keeper{one, two}[i%2], d) })
	}
	all.Wait()
	if n := contents(t, one, "messages"); n != 0 {
		t.Fatalf("%d messages", n)
	}
	alter(t, one, `INSERT INTO bodies (text) VALUES ($1)`, []byte("left over")) // whatever happened above
	if _, err := one.Expire(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := contents(t, one, "bodies"); n != 0 {
		t.Errorf("%d bodies", n)
	}
}

// Processes that start at once make one schema, and only one that they know is touched.
func TestPostgresSchema(t *testing.T) {
	server := postgrestest.Shared(t)
	where := server.Schema(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			s, err := Open(where, Limits{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	schema := func(where string) string {
		u, err := url.Parse(where)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("search_path")
	}
	newer, other, none, empty := server.Schema(t), server.Schema(t), server.Schema(t), server.Schema(t)
	s := openAt(t, newer, Limits{})
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "UPDATE "+schema(newer)+".poosh_schema SET version = 99; CREATE TABLE "+schema(other)+".messages (a int); DROP SCHEMA "+schema(none))
	for _, test := range []struct{ where, want string }{
		{newer, "made by a newer poosh"}, {other, "of another program"}, {none, "no schema that is there"}, {where, ""}, {empty, ""},
		{"postgres://poosh:" + postgrestest.Password + "@/postgres?host=/nowhere", "no such file"},
		{"postgres://poosh:" + postgrestest.Password + "@127.0.0.1:1/postgres", "refused"},
		{"postgres://poosh:hush-hush/-hush@host/postgres", "want postgres://USER:PASSWORD@"},
		{"postgres://poosh:hush-hush%-hush@host/postgres", "want postgres://USER:PASSWORD@"},
		{"postgres://host/postgres?sslmode=hush-hush", "want postgres://USER:PASSWORD@"},
		{"postgres://poosh:/hush-hush@127.0.0.1/postgres", "want postgres://USER:PASSWORD@"},
		{"postgres://poosh:1/hush-hush@127.0.0.1/postgres", "want postgres://USER:PASSWORD@"},
		{"postgres://127.0.0.1:1?hush-hush@127.0.0.1/postgres", "want postgres://USER:PASSWORD@"},
	} {
		err := Reach(t.Context(), test.where)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", test.where, err)
			}
			continue
		}
		s, opened := Open(test.where, Limits{})
		if opened == nil {
			s.Close(context.Background())
			t.Errorf("%s was opened", test.where)
			continue
		}
		if !errors.Is(opened, ErrOpen) {
			t.Error(opened)
		}
		for _, err := range []error{err, opened} {
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "hush") || strings.Contains(fmt.Sprintf("%+v", err), "hush") {
				t.Errorf("%s: %v", test.where, err)
			}
		}
	}
	if n := contents(t, openAt(t, empty, Limits{}), "devices"); n != 0 { // Reach left nothing
		t.Error(n)
	}
}

// What is shown of an address has no password, wherever it stands.
func TestShown(t *testing.T) {
	for where, want := range map[string]string{
		"push-socket.db": "push-socket.db",
		"postgres://u:hush@db.example:5433/push?sslmode=disable": "postgres://u@db.example:5433/push?...",
		"postgresql://db/push":             "postgres://db/push",
		"postgres://db/push?password=hush": "postgres://db/push?...",
		"postgres://u:hu/sh@db/push":       unreadable,
		"postgres://u:/hush@db/push":       unreadable,
		"postgres://u:7/hush@db/push":      unreadable,
		"postgres://u:12?hush@db/push":     unreadable,
		"postgres://u:12#hush@db/push":     unreadable,
		"postgres://hush?@db/push":         unreadable,
		"postgres://u:p@hush/hush@db/push": unreadable,
		"postgres://u:hu%2Fsh@db/push":     "postgres://u@db/push",
		"postgres://db/push?user=u%40h":    "postgres://db/push?...",
		"postgres://u:hush%zz@db/push":     unreadable,
	} {
		if got := Shown(where); got != want {
			t.Errorf("%s is shown as %s, want %s", where, got, want)
		}
	}
}

// A database that is away is an error at once, and when it is back all goes on: nobody
// has to do anything, and what was accepted is there.
func TestDatabaseAwayAndBack(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off") // the machine stays
	s := openAt(t, server.Schema(t), Limits{})
	d := register(t, s, "k", "1", 0)
	queue(t, s, d, address("k", "1"), `1`)
	for round, end := range []func(testing.TB){server.Stop, server.Kill} {
		end(t)
		began := time.Now()
		_, _, err := s.Queue(t.Context(), d.ID, []Outgoing{outgoing(`"refused"`, address("k", "1"))}, nil)
		if !errors.Is(err, ErrUnavailable) || time.Since(began) > patience {
			t.Error(err, time.Since(began))
		}
		if err := s.Ready(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		if _, err := s.Find(t.Context(), address("k", "1")); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
		server.Restart(t)
		// The first that comes has no connection of before.
		queue(t, s, d, address("k", "1"), fmt.Sprint(round+2))
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if bodies, _ := pending(t, s, d); !slices.Equal(bodies, []string{`1`, `2`, `3`}) {
		t.Error(bodies)
	}
}

// Killed over and over while messages are stored, the database has each of which a sender
// was told, and none that a sender was told is not stored.
func TestPostgresIsKilled(t *testing.T) {
	server := postgrestest.Start(t)
	where := server.Schema(t)
	s := openAt(t, where, Limits{MessagesPerDevice: 1 << 20, BytesPerDevice: 1 << 30, SenderPercent: 100, StrangersPercent: 100})
	const senders, rounds = 12, 4
	var devices []Device
	for i := range senders {
		devices = append(devices, register(t, s, fmt.Sprint("k", i), "1", 0))
	}
	var mu sync.Mutex
	accepted, refused := make(map[string]bool), make(map[string]bool)
	unknown := 0
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i, d := range devices {
		all.Go(func() { // ends with stop
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				body := fmt.Sprint(i, " ", n)
				out, _, err := s.Queue(t.Context(), d.ID, []Outgoing{outgoing(body, address(fmt.Sprint("k", n%senders), "1"))}, nil)
				mu.Lock()
				switch {
				case err == nil && out[0].Kind == Queued:
					accepted[body] = true
				case err == nil:
					t.Error(out)
				case errors.Is(err, ErrUnavailable) && !strings.Contains(err.Error(), "may be stored"):
					refused[body] = true
				case errors.Is(err, ErrUnavailable):
					unknown++
				default:
					t.Error(err)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(accepted)
	}
	for range rounds {
		target := count() + 150
		eventually(t, "messages are stored", func() bool { return count() >= target })
		server.Kill(t)
		server.Restart(t)
	}
	close(stop)
	all.Wait()
	lost, told := 0, 0
	there := make(map[string]bool)
	for _, d := range devices {
		bodies, _ := pending(t, s, d)
		for _, body := range bodies {
			if there[body] {
				t.Errorf("%s is there twice", body)
			}
			there[body] = true
			if refused[body] {
				told++
			}
		}
	}
	for body := range accepted {
		if !there[body] {
			lost++
		}
	}
	t.Logf("%d kills: %d accepted, %d refused, of %d nobody knows", rounds, len(accepted), len(refused), unknown)
	if lost > 0 || told > 0 {
		t.Errorf("%d that were accepted are lost, %d are stored whose senders were told that they are not", lost, told)
	}
	checkWaits(t, s)
}

// A database that hangs costs a caller its patience, and what was under way is told of
// when it goes on.
func TestPostgresHangs(t *testing.T) {
	s := openAt(t, postgrestest.Shared(t).Schema(t), Limits{})
	d := register(t, s, "k", "1", 0)
	unlock := lockTable(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	told := make(chan []Outcome, 1)
	_, _, err := s.Queue(ctx, d.ID, []Outgoing{outgoing(`"late"`, address("k", "1"))}, func(o []Outcome) { told <- o })
	if !errors.Is(err, ErrSlow) || !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	unlock()
	select {
	case o := <-told:
		if len(o) != 1 || o[0].Kind != Queued {
			t.Error(o)
		}
	case <-time.After(patience):
		t.Error("nobody was told")
	}
}

// lockTable keeps everybody from writing messages until what it returns is called.
func lockTable(t testing.TB, s *keeper) (unlock func()) {
	t.Helper()
	return lock(t, s, "LOCK TABLE messages IN EXCLUSIVE MODE")
}

// lock takes the locks of a statement until what it returns is called, or the test ends.
func lock(t testing.TB, s *keeper, text string) (unlock func()) {
	t.Helper()
	e := s.engine.(*postgres)
	conn, err := e.reads.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"BEGIN", text} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	unlock = sync.OnceFunc(func() {
		if _, err := conn.Exec(context.Background(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		conn.Release()
	})
	t.Cleanup(unlock) // the store ends behind it
	return unlock
}

// A commit whose answer is lost is looked for: who waits is told what became of it.
func TestLostCommit(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	s := openAt(t, where, Limits{})
	e := s.engine.(*postgres)
	w := newPostgresWrites(e, &sharedPool{Pool: e.reads, left: 2})
	none := func(*batch) error { return nil }
	if _, err := w.transact([]*change{{run: none}}, (*batch).run, &acquainted{}); err != nil {
		t.Fatal(err)
	}
	if err := w.settle(w.count, errLost); err != nil {
		t.Errorf("committed, and told: %v", err)
	}
	if err := w.settle(w.count+1, errLost); !errors.Is(err, errLost) || !strings.Contains(err.Error(), "nothing of it is stored") {
		t.Errorf("not committed, and told: %v", err)
	}
	e.stop()
	if err := w.settle(w.count, errLost); err == nil || !strings.Contains(err.Error(), "may be stored") {
		t.Errorf("nobody can know, and told: %v", err)
	}
}

// Nobody sees the row that a writer's first transaction makes before that is committed: who
// looks what became of it waits for its end.
func TestLostFirstCommit(t *testing.T) {
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		t.Run(end, func(t *testing.T) {
			where := postgrestest.Shared(t).Schema(t)
			s := openAt(t, where, Limits{})
			e := s.engine.(*postgres)
			w := newPostgresWrites(e, &sharedPool{Pool: e.reads, left: 2})
			first, err := pgx.Connect(t.Context(), where)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = first.Close(context.Background()) }()
			exec := func(text string, args ...any) {
				t.Helper()
				if _, err := first.Exec(t.Context(), text, args...); err != nil {
					t.Fatal(err)
				}
			}
			exec("BEGIN")
			exec(sqlWriter, w.id, 1)
			settled := make(chan error, 1)
			go func() { settled <- w.settle(1, errLost) }()
			eventually(t, "it waits for the transaction", func() bool {
				if len(settled) > 0 {
					return true // wrongly
				}
				var n int
				ask(t, s, `SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))`, []any{int64(first.PgConn().PID())}, &n)
				return n > 0
			})
			exec(end)
			select {
			case err := <-settled:
				if end == "COMMIT" && err != nil {
					t.Errorf("committed, and told: %v", err)
				}
				if end == "ROLLBACK" && (err == nil || !strings.Contains(err.Error(), "nothing of it is stored")) {
					t.Errorf("rolled back, and told: %v", err)
				}
			case <-time.After(patience):
				t.Fatal("nobody is told")
			}
			// Its next one is counted as any other.
			w.count = 1
			none := func(*batch) error { return nil }
			if _, err := w.transact([]*change{{run: none}}, (*batch).run, &acquainted{}); err != nil {
				t.Fatal(err)
			}
			if err := w.settle(2, errLost); err != nil {
				t.Errorf("the second is committed, and told: %v", err)
			}
		})
	}
}

// Names and keys of devices are bytes, whatever is in them.
func TestOddNames(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		for i, odd := range []string{"\xff\xfe", `\x41\000'"`, "å", "0"} {
			key := fmt.Sprint("\xfe\x00\\x", i)
			d, err := s.Register(t.Context(), address(key, odd), keys(1))
			if err != nil {
				t.Fatalf("%q: %v", odd, err)
			}
			if got, err := s.Find(t.Context(), address(key, odd)); err != nil || got.ID != d.ID {
				t.Errorf("%q: %+v, %v", odd, got, err)
			}
			if out := queue(t, s, d, address(key, odd), `"x"`); out[0].Kind != Queued {
				t.Errorf("%q: %+v", odd, out)
			}
			if got, _, err := s.TakeKeys(t.Context(), key, d.ID); err != nil || string(got[odd]) != `{"id":0}` {
				t.Errorf("%q: %q, %v", odd, got, err)
			}
		}
	})
}

// Each transaction is bounded on the server and goes by indexes, and readers are not.
func TestSettingsOfATransaction(t *testing.T) {
	s := openAt(t, postgrestest.Shared(t).Schema(t), Limits{})
	const settings = `SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout'),
		current_setting('enable_seqscan'), current_setting('enable_hashjoin'), current_setting('enable_mergejoin'), current_setting('jit'))`
	var inside, after string
	if err := s.change(t.Context(), touches{}, 0, func(b *batch) error { return b.row(settings).Scan(&inside) }, nil); err != nil {
		t.Fatal(err)
	}
	if want := "10s 20s off off off off"; inside != want {
		t.Errorf("%q, want %q", inside, want)
	}
	if err := s.engine.row(t.Context(), settings).Scan(&after); err != nil || after == inside {
		t.Errorf("a reader has %q, %v", after, err)
	}
}
