package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// strangers registers so many senders that nobody knows.
func strangers(t testing.TB, s *keeper, prefix string, n int) []Device {
	t.Helper()
	var list []Device
	for i := range n {
		list = append(list, register(t, s, fmt.Sprint(prefix, i), "1", 0))
	}
	return list
}

// flood has each of some senders send messages to a device, and returns how many were
// stored and what became of the others.
func flood(t testing.TB, s *keeper, from []Device, to string, each int) (stored int, refused map[OutcomeKind]int) {
	t.Helper()
	refused = make(map[OutcomeKind]int)
	for _, d := range from {
		for _, o := range queue(t, s, d, address(to, "1"), slices.Repeat([]string{`"spam"`}, each)...) {
			if o.Kind == Queued {
				stored++
			} else {
				refused[o.Kind]++
			}
		}
	}
	return stored, refused
}

// confirmAll has a device confirm all that waits for it.
func confirmAll(t testing.TB, s *keeper, d Device) {
	t.Helper()
	_, ids := pending(t, s, d)
	if n, err := s.Confirm(t.Context(), d.ID, ids); err != nil || n != len(ids) {
		t.Fatal(n, err)
	}
}

// later makes all contacts older.
func later(t testing.TB, s *keeper, by time.Duration) {
	t.Helper()
	alter(t, s, `UPDATE contacts SET since = since - $1, used = used - $1`, by.Milliseconds())
}

func alter(t testing.TB, s *keeper, text string, args ...any) {
	t.Helper()
	if err := s.writer.do(t.Context(), 0, func(b *batch) error { return b.exec(text, args...) }, nil); err != nil {
		t.Fatal(err)
	}
}

// checkWaits compares what is counted of each mailbox with what is in it.
func checkWaits(t testing.TB, s *keeper) {
	t.Helper()
	const size = `(length(header) + length(body) + shared_size)`
	var wrong int
	ask(t, s, `SELECT count(*) FROM (SELECT d.messages, d.bytes, d.heard_messages, d.heard_bytes, d.strange_messages, d.strange_bytes, d.contacts,
		(SELECT count(*) FROM messages WHERE device = d.id) AS n, (SELECT coalesce(sum(`+size+`), 0) FROM messages WHERE device = d.id) AS size,
		(SELECT count(*) FROM messages WHERE device = d.id AND standing = 1) AS n1, (SELECT coalesce(sum(`+size+`), 0) FROM messages WHERE device = d.id AND standing = 1) AS size1,
		(SELECT count(*) FROM messages WHERE device = d.id AND standing = 2) AS n2, (SELECT coalesce(sum(`+size+`), 0) FROM messages WHERE device = d.id AND standing = 2) AS size2,
		(SELECT count(*) FROM contacts WHERE device = d.id) AS known FROM devices d) AS c
		WHERE NOT (messages = n AND bytes = size AND heard_messages = n1 AND heard_bytes = size1 AND strange_messages = n2 AND strange_bytes = size2 AND contacts = known)`, nil, &wrong)
	if wrong != 0 {
		t.Errorf("the counts of %d devices are wrong", wrong)
	}
}

// Four strangers, each with a fourth, filled a mailbox, and whom its device knew was
// refused. All strangers together have a part; whom the device has written to has its
// share all the same.
func TestStrangersShareAPart(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		for _, drop := range []bool{false, true} {
			t.Run(fmt.Sprint("drop ", drop), func(t *testing.T) {
				s := open(Limits{MessagesPerDevice: 40, DropOldest: drop})
				victim := register(t, s, "victim", "1", 0)
				friends := []Device{register(t, s, "friend", "1", 0), register(t, s, "friend2", "1", 0)}
				queue(t, s, victim, address("friend", "1"), `"hello"`)
				queue(t, s, victim, address("friend2", "1"), `"hello"`)
				queue(t, s, friends[0], address("victim", "1"), `"first"`)
				crowd := strangers(t, s, "stranger", 20)
				stored, refused := flood(t, s, crowd, "victim", 10)
				if drop && stored != 200 || !drop && (stored != 20 || refused[StrangersFull] != 180) {
					t.Errorf("%d stored, %v", stored, refused)
				}
				if bodies, _ := pending(t, s, victim); len(bodies) != 21 || bodies[0] != `"first"` {
					t.Errorf("%d wait: %q", len(bodies), bodies)
				}
				for i, want := range [][]Outcome{
					slices.Repeat([]Outcome{{Queued, victim.ID, 0}}, 9), slices.Repeat([]Outcome{{Queued, victim.ID, 0}}, 10),
				} {
					if out := queue(t, s, friends[i], address("victim", "1"), slices.Repeat([]string{`"mail"`}, len(want))...); !slices.Equal(out, want) {
						t.Errorf("friend %d: %+v", i, out)
					}
				}
				// The mailbox is full now. A stranger takes the place of strangers alone.
				flood(t, s, crowd, "victim", 10)
				bodies, _ := pending(t, s, victim)
				kept := slices.DeleteFunc(slices.Clone(bodies), func(b string) bool { return b == `"spam"` })
				if len(bodies) != 40 || !slices.Equal(kept, append([]string{`"first"`}, slices.Repeat([]string{`"mail"`}, 19)...)) {
					t.Errorf("%d wait: %q", len(bodies), bodies)
				}
				checkWaits(t, s)
			})
		}
	})
}

// The part of strangers is one of bytes too.
func TestStrangersBytes(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{BytesPerDevice: 40_000, SenderPercent: 100})
		register(t, s, "victim", "1", 0)
		body := `"` + strings.Repeat("x", 7_000) + `"`
		for i, d := range strangers(t, s, "stranger", 4) {
			want := Queued
			if i >= 2 {
				want = StrangersFull
			}
			if out := queue(t, s, d, address("victim", "1"), body); out[0].Kind != want {
				t.Errorf("%d: %+v", i, out)
			}
		}
		checkWaits(t, s)
	})
}

// Devices confirm whatever comes, so a confirmed message makes nobody known that day,
// and never as much as one that the device sent itself.
func TestNobodyBecomesKnownByFlooding(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{MessagesPerDevice: 40})
		victim, friend, service := register(t, s, "victim", "1", 0), register(t, s, "friend", "1", 0), register(t, s, "service", "1", 0)
		queue(t, s, victim, address("friend", "1"), `"hello"`)
		queue(t, s, service, address("victim", "1"), `"news"`)
		confirmAll(t, s, victim)
		later(t, s, heardAfter)
		crowd := strangers(t, s, "stranger", 20)
		for range 3 { // drained each time
			if stored, refused := flood(t, s, crowd, "victim", 10); stored != 20 || refused[StrangersFull] != 180 {
				t.Errorf("%d stored, %v", stored, refused)
			}
			confirmAll(t, s, victim)
		}
		// One that the device only hears from has a part that strangers cannot take.
		if stored, _ := flood(t, s, crowd, "victim", 10); stored != 20 {
			t.Errorf("%d stored", stored)
		}
		if stored, refused := flood(t, s, []Device{service}, "victim", 12); stored != 10 || refused[SenderFull] != 2 {
			t.Errorf("%d of 12 stored, %v", stored, refused)
		}
		confirmAll(t, s, victim)
		// After a day those that were confirmed are no strangers, and still leave a part.
		later(t, s, heardAfter)
		if stored, refused := flood(t, s, crowd, "victim", 10); stored != 30 || refused[StrangersFull] != 170 {
			t.Errorf("%d stored, %v", stored, refused)
		}
		if stored, refused := flood(t, s, []Device{friend}, "victim", 10); stored != 10 {
			t.Errorf("of a friend %d stored, %v", stored, refused)
		}
		checkWaits(t, s)
	})
}

// What is dropped for a sender never is of one whom the device knows better.
func TestDroppingGoesByStanding(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{MessagesPerDevice: 8, SenderPercent: 100, DropOldest: true})
		victim, friend, service := register(t, s, "victim", "1", 0), register(t, s, "friend", "1", 0), register(t, s, "service", "1", 0)
		queue(t, s, victim, address("friend", "1"), `"hello"`)
		queue(t, s, service, address("victim", "1"), `"news"`)
		confirmAll(t, s, victim)
		later(t, s, heardAfter)
		other := register(t, s, "stranger", "1", 0)
		to := address("victim", "1")
		queue(t, s, friend, to, `f1`, `f2`, `f3`, `f4`, `f5`)
		queue(t, s, service, to, `h1`, `h2`)
		for _, step := range []struct {
			from   Device
			bodies []string
			last   Outcome
			want   string
		}{
			{other, []string{`s1`, `s2`}, Outcome{Queued, victim.ID, 1}, "f1 f2 f3 f4 f5 h1 h2 s2"},
			{service, []string{`h3`}, Outcome{Queued, victim.ID, 1}, "f1 f2 f3 f4 f5 h2 s2 h3"},
			{service, []string{`h4`, `h5`}, Outcome{Queued, victim.ID, 1}, "f1 f2 f3 f4 f5 h3 h4 h5"},
			{other, []string{`s3`}, Outcome{Kind: DeviceFull}, "f1 f2 f3 f4 f5 h3 h4 h5"},
			{friend, []string{`f6`}, Outcome{Queued, victim.ID, 1}, "f2 f3 f4 f5 h3 h4 h5 f6"},
			{friend, []string{`f7`, `f8`, `f9`, `g`, `g`, `g`, `g`}, Outcome{Queued, victim.ID, 1}, "f6 f7 f8 f9 g g g g"},
			{service, []string{`h6`}, Outcome{Kind: DeviceFull}, "f6 f7 f8 f9 g g g g"},
		} {
			out := queue(t, s, step.from, to, step.bodies...)
			bodies, _ := pending(t, s, victim)
			if got := strings.Join(bodies, " "); out[len(out)-1] != step.last || got != step.want {
				t.Errorf("after %q: %+v, %s; want %s", step.bodies, out, got, step.want)
			}
			checkWaits(t, s)
		}
	})
}

// A device remembers so many others; strangers push out none of them, and its own
// messages push out first those that it only heard from.
func TestContactsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{ContactsPerDevice: 8})
		victim := register(t, s, "victim", "1", 0)
		known := func() (contacts, wrote int) {
			t.Helper()
			ask(t, s, `SELECT count(*), CAST(coalesce(sum(written), 0) AS BIGINT) FROM contacts WHERE device = $1`, []any{int64(victim.ID)}, &contacts, &wrote)
			return contacts, wrote
		}
		strangers(t, s, "friend", 12)
		for i := range 3 {
			queue(t, s, victim, address(fmt.Sprint("friend", i), "1"), `"hello"`)
		}
		flood(t, s, strangers(t, s, "stranger", 20), "victim", 1)
		confirmAll(t, s, victim)
		if contacts, wrote := known(); contacts != 8 || wrote != 3 {
			t.Errorf("%d contacts, of which it wrote to %d", contacts, wrote)
		}
		for i := 3; i < 8; i++ {
			queue(t, s, victim, address(fmt.Sprint("friend", i), "1"), `"hello"`)
		}
		if contacts, wrote := known(); contacts != 8 || wrote != 8 {
			t.Errorf("%d contacts, of which it wrote to %d", contacts, wrote)
		}
		// The one not used for longest goes.
		alter(t, s, `UPDATE contacts SET used = used - 3600000 WHERE device = $1 AND contact = (SELECT d.id FROM devices d JOIN identities i ON i.id = d.identity WHERE i.key = $2)`,
			int64(victim.ID), []byte("friend5"))
		queue(t, s, victim, address("friend8", "1"), `"hello"`)
		var left int
		ask(t, s, `SELECT count(*) FROM contacts c JOIN devices d ON d.id = c.contact JOIN identities i ON i.id = d.identity
			WHERE c.device = $1 AND i.key IN ($2, $3)`, []any{int64(victim.ID), []byte("friend5"), []byte("friend8")}, &left)
		if left != 1 {
			t.Error(left)
		}
		if contacts, _ := known(); contacts != 8 {
			t.Errorf("%d contacts", contacts)
		}
		checkWaits(t, s)
	})
}

// Contacts go when they are old and with their device, and being used keeps them.
func TestContactsGo(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		ctx := t.Context()
		a, b := register(t, s, "a", "1", 0), register(t, s, "b", "1", 0)
		queue(t, s, a, address("b", "1"), `1`)
		queue(t, s, b, address("a", "1"), `2`)
		queue(t, s, a, address("a", "1"), `3`) // is nobody's contact
		c := register(t, s, "c", "1", 0)
		queue(t, s, c, address("a", "1"), `4`)
		confirmAll(t, s, a)
		if u, err := s.Usage(ctx); err != nil || u.Contacts != 4 {
			t.Errorf("%+v, %v", u, err)
		}
		later(t, s, 48*time.Hour)
		queue(t, s, a, address("b", "1"), `1`)
		queue(t, s, c, address("a", "1"), `4`)
		confirmAll(t, s, a)
		// Left are those of a, who wrote to one and heard from the other again, and the one of
		// c, who wrote again.
		if n, err := s.ExpireContacts(ctx, time.Now().Add(-24*time.Hour)); err != nil || n != 1 || contents(t, s, "contacts") != 3 {
			t.Errorf("%d went, %d are left, %v", n, contents(t, s, "contacts"), err)
		}
		if err := s.Remove(ctx, a.ID); err != nil || contents(t, s, "contacts") != 1 {
			t.Errorf("%d are left, %v", contents(t, s, "contacts"), err)
		}
		if _, err := s.RemoveIdentity(ctx, "c"); err != nil || contents(t, s, "contacts") != 0 {
			t.Errorf("%d are left, %v", contents(t, s, "contacts"), err)
		}
		checkWaits(t, s)
	})
}

// When the file has no room left but for messages, messages go on and nobody is noted.
func TestContactsLeaveRoom(t *testing.T) {
	s := open(t, Limits{BytesOnDisk: 2 << 20, KeysPercent: 10})
	a, b := register(t, s, "a", "1", 0), register(t, s, "b", "1", 0)
	large := `"` + strings.Repeat("m", 200_000) + `"`
	queue(t, s, a, address("a", "1"), large)
	if out := queue(t, s, a, address("b", "1"), `1`); out[0].Kind != Queued {
		t.Errorf("%+v", out)
	}
	confirmAll(t, s, b)
	if n := contents(t, s, "contacts"); n != 0 {
		t.Errorf("%d contacts", n)
	}
}

// Whoever was there before contacts were kept has lost nothing by the upgrade: to each
// other they are no strangers, and what waited counts as nobody's.
func TestUpgradeMakesNobodyAStranger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		schema1, schema2,
		fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 2",
		`INSERT INTO identities (key, created) VALUES (CAST('victim' AS BLOB), 5), (CAST('friend' AS BLOB), 5), (CAST('busy' AS BLOB), 5)`,
		`INSERT INTO devices (identity, name, created, last_resort) VALUES (1, '1', 5, x'7b7d'), (2, '1', 5, x'7b7d'), (3, '1', 5, x'7b7d')`,
		`WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10)
			INSERT INTO messages (seq, tag, device, sender, header, body) SELECT i, 1, 1, 3, CAST('"h"' AS BLOB), CAST('"old"' AS BLOB) FROM n`,
	} {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	limits := Limits{MessagesPerDevice: 40}
	s := openAt(t, path, limits)
	if stored, _ := flood(t, s, strangers(t, s, "stranger", 20), "victim", 10); stored != 20 {
		t.Errorf("%d stored", stored)
	}
	friend, err := s.Find(t.Context(), address("friend", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if stored, refused := flood(t, s, []Device{friend}, "victim", 10); stored != 10 {
		t.Errorf("of one from before %d stored, %v", stored, refused)
	}
	checkWaits(t, s)
	victim, err := s.Find(t.Context(), address("victim", "1"))
	if err != nil {
		t.Fatal(err)
	}
	confirmAll(t, s, victim)
	checkWaits(t, s)

	// A restart keeps that; a year ends it for who was never heard from.
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, limits)
	busy, err := s.Find(t.Context(), address("busy", "1"))
	if err != nil {
		t.Fatal(err)
	}
	of := func(sender Device) (got standing) {
		t.Helper()
		if err := s.writer.do(t.Context(), 0, func(b *batch) error {
			box, _, err := b.target(address("victim", "1"), sender.ID, s.limits.Load())
			got = box.standing
			return err
		}, nil); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := of(busy); got != heard {
		t.Errorf("one from before stands %d", got)
	}
	l := s.Limits()
	l.IdleAge = time.Nanosecond
	s.SetLimits(l)
	later(t, s, heardAfter)
	fresh := register(t, s, "fresh", "1", 0)
	alter(t, s, `DELETE FROM contacts WHERE contact = $1`, int64(friend.ID))
	for _, test := range []struct {
		who  Device
		want standing
	}{{busy, heard}, {friend, stranger}, {fresh, stranger}, {victim, trusted}} {
		if got := of(test.who); got != test.want {
			t.Errorf("device %d stands %d, want %d", test.who.ID, got, test.want)
		}
	}
}

// Whoever sends what, in whatever order, every part of a mailbox keeps its bound, and
// nobody's message goes for one whose sender is known less.
func TestPartsHold(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		for _, drop := range []bool{false, true} {
			t.Run(fmt.Sprint("drop ", drop), func(t *testing.T) {
				limits := Limits{MessagesPerDevice: 16, BytesPerDevice: 8_000, SenderPercent: 50, DropOldest: drop}
				s := open(limits)
				limits = s.Limits()
				whole := load{int64(limits.MessagesPerDevice), limits.BytesPerDevice}
				victim := register(t, s, "victim", "1", 0)
				senders := append(strangers(t, s, "s", 6), victim)
				queue(t, s, victim, address("s0", "1"), `"hello"`)
				random := rand.New(rand.NewPCG(1, 2))
				look := func(sender Device) (box mailbox) {
					t.Helper()
					if err := s.change(t.Context(), touches{devices: []DeviceID{victim.ID}}, 0, func(b *batch) (err error) {
						box, _, err = b.target(address("victim", "1"), sender.ID, &limits)
						return err
					}, nil); err != nil {
						t.Fatal(err)
					}
					return box
				}
				for i := range 400 {
					sender := senders[random.IntN(len(senders))]
					before := look(sender)
					out := queue(t, s, sender, address("victim", "1"), `"`+strings.Repeat("x", random.IntN(1500))+`"`)
					after := look(sender)
					for stood := trusted; stood < before.standing; stood++ {
						if after.waits[stood] != before.waits[stood] && before.sent == after.sent {
							t.Fatalf("step %d: for a sender that stands %d, %+v became %+v", i, before.standing, before.waits, after.waits)
						}
					}
					for from, part := range []load{whole, whole.part(limits.heardPercent()), whole.part(limits.StrangersPercent)} {
						if got := after.waits.from(standing(from)); got.messages > part.messages || got.bytes > part.bytes && got.messages > 1 {
							t.Fatalf("step %d, %+v: of standing %d and less %+v wait, and may %+v", i, out, from, got, part)
						}
					}
					switch random.IntN(20) {
					case 0:
						later(t, s, heardAfter)
					case 1:
						if _, ids := pending(t, s, victim); len(ids) > 0 {
							if _, err := s.Confirm(t.Context(), victim.ID, ids[:1+random.IntN(len(ids))]); err != nil {
								t.Fatal(err)
							}
						}
					case 2: // somebody is forgotten
						alter(t, s, `DELETE FROM contacts WHERE device = $1 AND contact = $2`, int64(victim.ID), int64(senders[random.IntN(len(senders))].ID))
					case 3:
						queue(t, s, victim, address(fmt.Sprint("s", random.IntN(3)), "1"), `"hello"`)
					}
				}
				checkWaits(t, s)
			})
		}
	})
}
